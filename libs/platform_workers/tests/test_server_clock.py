"""Workers agree on the time, whatever their machines say."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient
from platform_workers.server_clock import ServerClock
from platform_workers.testing import FakeClock, FakeRedis

A_MOMENT = timedelta(seconds=10)


def test_a_machine_that_is_ahead_is_put_right(redis: RedisClient) -> None:
    machine = FakeClock(datetime.now(UTC) + timedelta(minutes=5))
    clock = ServerClock(redis, machine)
    assert abs(clock.now() - datetime.now(UTC)) < A_MOMENT
    before = clock.now()
    machine.advance(7)
    assert clock.now() - before == timedelta(seconds=7)
    assert clock.monotonic() == machine.monotonic()


def test_the_clocks_are_compared_again_after_a_while(redis: RedisClient) -> None:
    machine = FakeClock(datetime.now(UTC))
    clock = ServerClock(redis, machine)
    clock.now()
    machine.advance(31)
    assert abs(clock.now() - datetime.now(UTC)) < A_MOMENT


def test_without_redis_the_last_correction_holds() -> None:
    redis = FakeRedis()
    machine = FakeClock(datetime.now(UTC) + timedelta(minutes=5))
    clock = ServerClock(redis, machine)
    clock.now()
    redis.server.connected = False
    machine.advance(31)
    assert abs(clock.now() - datetime.now(UTC) - timedelta(seconds=31)) < A_MOMENT


def test_who_starts_before_redis_is_put_right_soon_after_it_is_there() -> None:
    """Not only at the next regular comparison: until then its leases would end at a time of its own."""
    redis = FakeRedis()
    redis.server.connected = False
    machine = FakeClock(datetime.now(UTC) + timedelta(minutes=5))
    clock = ServerClock(redis, machine)
    clock.now()
    redis.server.connected = True
    machine.advance(1)
    assert abs(clock.now() - datetime.now(UTC)) < A_MOMENT


class SteppingClock(FakeClock):
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))
        self.step = timedelta()

    @override
    def now(self) -> datetime:
        return super().now() + self.step


@pytest.mark.parametrize("minutes", [3, -3])
def test_a_machine_that_is_set_to_another_time_takes_nobodys_lease(redis: RedisClient, minutes: int) -> None:
    """Until the next comparison, half a minute later, it took for ended what others had just begun."""
    machine = SteppingClock()
    clock = ServerClock(redis, machine)
    before = clock.now()
    machine.step = timedelta(minutes=minutes)
    assert clock.unasked.now() == before
    assert abs(clock.now() - before) < A_MOMENT


class Counting(RedisClient):
    """A connection that counts how often it was asked for the time, and may not answer."""

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis.connection)
        self.asked = 0
        self.is_away = False

    @override
    def now(self) -> datetime:
        self.asked += 1
        if self.is_away:
            raise RedisUnavailableError("away")
        return super().now()


@pytest.mark.parametrize(("seconds", "asked"), [(0.9, 1), (1.1, 2), (-1.1, 2)])
def test_a_step_is_compared_at_once_and_a_drift_is_not(
    redis: RedisClient, seconds: float, asked: int
) -> None:
    """A machine that slept has a monotonic clock that stood still; only a comparison puts that right."""
    counting, machine = Counting(redis), SteppingClock()
    clock = ServerClock(counting, machine)
    clock.now()
    machine.step = timedelta(seconds=seconds)
    clock.now()
    clock.now()
    assert counting.asked == asked


def test_after_a_step_a_silent_server_is_asked_once_a_second_and_not_at_each_call(redis: RedisClient) -> None:
    counting, machine = Counting(redis), SteppingClock()
    clock = ServerClock(counting, machine)
    clock.now()
    counting.is_away, machine.step = True, timedelta(minutes=3)
    for _ in range(5):
        clock.now()
    assert counting.asked == 2
    machine.advance(1)
    clock.now()
    assert counting.asked == 3


def test_who_asks_nobody_gets_the_time_all_the_same(redis: RedisClient) -> None:
    """In the middle of a sending nobody waits for a silent server only to date a mail."""
    counting = Counting(redis)
    machine = FakeClock(datetime.now(UTC) + timedelta(minutes=5))
    clock = ServerClock(counting, machine)
    assert clock.unasked.now() == machine.now(), "before the first comparison"
    clock.now()
    machine.advance(3600)
    server_time = datetime.now(UTC) + timedelta(hours=1)
    assert abs(clock.unasked.now() - server_time) < A_MOMENT
    assert clock.unasked.monotonic() == machine.monotonic()
    assert counting.asked == 1


class PausedOnce(RedisClient):
    """A connection whose process is stopped for a minute while the server answers the first time."""

    def __init__(self, redis: RedisClient, machine: FakeClock) -> None:
        super().__init__(redis.connection)
        self._machine = machine
        self.asked = 0

    @override
    def now(self) -> datetime:
        self.asked += 1
        answer = self._machine.now()
        if self.asked == 1:
            self._machine.advance(60)
        return answer


def test_an_answer_that_took_long_is_not_believed(redis: RedisClient) -> None:
    """It would put the clock back by the time the process was paused."""
    machine = FakeClock(datetime.now(UTC))
    paused = PausedOnce(redis, machine)
    clock = ServerClock(paused, machine)
    assert clock.now() == machine.now()
    machine.advance(1)
    assert clock.now() == machine.now()
    assert paused.asked == 2


class Gate(RedisClient):
    """A connection that answers when it is told to; its server is 5 minutes ahead."""

    def __init__(self, redis: RedisClient, machine: FakeClock) -> None:
        super().__init__(redis.connection)
        self._machine = machine
        self.asked = threading.Semaphore(0)
        self.answers = threading.Semaphore(0)

    @override
    def now(self) -> datetime:
        self.asked.release()
        assert self.answers.acquire(timeout=30)
        return self._machine.now() + timedelta(minutes=5)


def test_the_first_comparison_is_waited_for_and_later_ones_are_not(redis: RedisClient) -> None:
    """No thread goes by the machine's own time at the start, and none waits for a server that hangs later."""
    machine = FakeClock(datetime.now(UTC))
    gate = Gate(redis, machine)
    clock, told = ServerClock(gate, machine), list[datetime]()
    threads = [threading.Thread(target=lambda: told.append(clock.now())) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert gate.asked.acquire(timeout=30)
    gate.answers.release()
    for thread in threads:
        thread.join(30)
    assert told == [machine.now() + timedelta(minutes=5)] * 2
    machine.advance(31)
    asking = threading.Thread(target=clock.now)
    asking.start()
    assert gate.asked.acquire(timeout=30)
    assert clock.now() == machine.now() + timedelta(minutes=5)
    gate.answers.release()
    asking.join(30)
