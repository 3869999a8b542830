"""A loop's fault is told once and the loop goes on; an outage of Redis is told once for all loops."""

import threading
from collections.abc import Callable, Iterator

from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.testing import FakeClock, FakeLogger
from typing_extensions import override

from notifier.loops import FAILING_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, Loop, Outage

AWAY = RedisUnavailableError("connection refused")


class Stopping(threading.Event):
    """Remembers the pauses instead of making them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    @override
    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        return False


def run(
    logger: FakeLogger,
    outcomes: list[Exception | None],
    *,
    stopping: Stopping | None = None,
    name: str = "live",
) -> Stopping:
    """Run a loop whose steps end like this, one after the other."""
    stop = Stopping() if stopping is None else stopping
    steps: Iterator[Exception | None] = iter(outcomes)
    left = len(outcomes)

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            stop.set()
        outcome = next(steps)
        if outcome is not None:
            raise outcome

    Loop(
        name="live",
        step=step,
        stopping=stop,
        outage=Outage(logger, FakeClock()),
        logger=logger,
        clock=FakeClock(),
        patience=60.0,
    ).run()
    assert left == 0
    return stop


def test_a_sound_loop_runs_until_it_is_stopped_and_says_nothing(logger: FakeLogger) -> None:
    assert run(logger, [None] * 5).pauses == []
    assert logger.lines == []


def test_an_outage_is_told_once_and_so_is_its_end(logger: FakeLogger) -> None:
    run(logger, [None, AWAY, AWAY, AWAY, None, None])
    assert [(line["level"], line["event"]) for line in logger.lines] == [
        ("warning", "notifier.redis_away"),
        ("info", "notifier.redis_back"),
    ]
    assert logger.lines[0]["fields"] == {"fault": "connection refused"}


def test_each_outage_is_told(logger: FakeLogger) -> None:
    run(logger, [AWAY, None, AWAY, None])
    assert logger.events() == ["notifier.redis_away", "notifier.redis_back"] * 2


def test_pauses_grow_to_a_limit_and_begin_anew(logger: FakeLogger) -> None:
    stop = run(logger, [*[AWAY] * 8, None, AWAY])
    assert stop.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, FIRST_PAUSE]


def test_any_other_fault_is_told_once_until_the_loop_is_well(logger: FakeLogger) -> None:
    fault, other = ZeroDivisionError("by zero"), RedisCommandError("OOM command not allowed")
    run(logger, [fault, fault, other, other, None, other])
    assert logger.events("error") == ["notifier.loop_failed"] * 3
    assert [line["fields"]["fault"] for line in logger.lines] == [
        "ZeroDivisionError: by zero",
        "RedisCommandError: OOM command not allowed",
        "RedisCommandError: OOM command not allowed",
    ]


def test_a_refusal_is_an_answer_so_the_outage_is_over(logger: FakeLogger) -> None:
    run(logger, [AWAY, RedisCommandError("NOAUTH")])
    assert logger.events() == ["notifier.redis_away", "notifier.redis_back", "notifier.loop_failed"]


def test_loops_share_one_outage(logger: FakeLogger) -> None:
    outage = Outage(logger, FakeClock())
    outage.begins("live", AWAY)
    outage.begins("log", AWAY)
    outage.begins("live", AWAY)
    outage.ends("send")
    outage.ends("live")
    assert logger.events() == ["notifier.redis_away"]
    outage.ends("log")
    assert logger.events() == ["notifier.redis_away", "notifier.redis_back"]


def test_a_stop_ends_a_pause_at_once(logger: FakeLogger) -> None:
    stop = threading.Event()
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise AWAY

    loop = Loop(
        name="live",
        step=fail,
        stopping=stop,
        outage=Outage(logger, FakeClock()),
        logger=logger,
        clock=FakeClock(),
        patience=60.0,
    )
    action: Callable[[], None] = loop.run
    thread = threading.Thread(target=action)
    thread.start()
    assert failed.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


# -- troubles -----------------------------------------------------------------------------------------


class Watched:
    """A loop whose steps the test plays; what it says of itself is noted during each of them."""

    def __init__(self, clock: FakeClock, logger: FakeLogger) -> None:
        self._clock = clock
        self._stopping = Stopping()
        self._plan: list[tuple[float, Exception | None]] = []
        self.told: list[list[str]] = []
        self._loop = Loop(
            name="live",
            step=self._step,
            stopping=self._stopping,
            outage=Outage(logger, FakeClock()),
            logger=logger,
            clock=clock,
            patience=60.0,
        )

    def play(self, *plan: tuple[float, Exception | None]) -> list[list[str]]:
        """Let each step take so many seconds and end like this."""
        self._plan = list(plan)
        self._loop.run()
        return self.told

    def _step(self) -> None:
        seconds, outcome = self._plan.pop(0)
        self._clock.advance(seconds)
        self.told.append(list(self._loop.troubles()))
        if not self._plan:
            self._stopping.set()
        if outcome is not None:
            raise outcome


def test_a_step_that_does_not_come_back_is_told_until_it_does(clock: FakeClock, logger: FakeLogger) -> None:
    told = Watched(clock, logger).play((60, None), (61, None), (1, None))
    assert told == [[], ["The part `live` hangs: for 61 seconds it has not come back."], []]


def test_a_loop_that_only_fails_is_told_until_it_is_well(clock: FakeClock, logger: FakeLogger) -> None:
    fault = ZeroDivisionError("by zero")
    told = Watched(clock, logger).play((1, fault), (15, fault), (1, fault), (0, None), (20, fault), (1, None))
    assert told[:2] == [[], []]
    assert told[2] == ["The part `live` has done nothing but fail for 16 seconds: ZeroDivisionError: by zero"]
    assert told[4:] == [[], []]


def test_an_outage_of_redis_is_no_fault_of_the_loop(clock: FakeClock, logger: FakeLogger) -> None:
    told = Watched(clock, logger).play((1, ZeroDivisionError()), (20, AWAY), (20, AWAY), (1, None))
    assert told[2:] == [[], []]


def test_loops_that_are_long_without_redis_are_told_with_what_it_said(
    clock: FakeClock, logger: FakeLogger
) -> None:
    """A full Redis answers who only reads: the health page was green while no mail could leave."""
    outage = Outage(logger, clock)
    outage.begins("send-2", AWAY)
    clock.advance(FAILING_SECONDS)
    outage.begins("send-1", AWAY)
    assert outage.troubles() == []
    clock.advance(1)
    outage.begins("send-2", RedisUnavailableError("OOM command not allowed"))
    assert outage.troubles() == [
        "Without Redis for 16 seconds: `send-2`. It said last: OOM command not allowed"
    ]
    clock.advance(15)
    assert outage.troubles() == [
        "Without Redis for 31 seconds: `send-1`, `send-2`. It said last: OOM command not allowed"
    ]
    outage.ends("send-2")
    outage.ends("send-1")
    assert outage.troubles() == []
