"""Workers agree on the time, whatever their machines say."""

from datetime import UTC, datetime, timedelta

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
