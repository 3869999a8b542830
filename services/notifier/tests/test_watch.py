"""The look at Redis every second: what it finds is kept, and so is that it found nothing."""

import threading

import pytest
from platform_core.errors import DecodeError
from platform_core.job_events import TURKIC
from platform_notify.deliveries import EMAIL
from platform_workers.errors import RedisUnavailableError
from platform_workers.testing import FakeClock, FakeRedis
from typing_extensions import override

from notifier.canary import Canary
from notifier.figures import Figures
from notifier.lag_watch import LAG_WINDOW
from notifier.metrics import Metrics
from notifier.watch import LOOK_SECONDS, OLDEST_SECONDS, Watch

FIGURES: Figures = {
    "channel": EMAIL,
    "provider": "smtp",
    "waiting": 0,
    "dead": 0,
    "overdue_seconds": 0.0,
    "circuit": {"state": "closed"},
    "paused_seconds": 0.0,
    "groups": {TURKIC: {"pending": 0, "lag": 5000, "last_delivered_id": "1-0"}},
}


class Waits(threading.Event):
    """Remembers the waits instead of making them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return True


class Bench:
    """A watch over figures that the test sets."""

    def __init__(self, clock: FakeClock) -> None:
        self.fault: Exception | None = None
        self.wake = Waits()
        self.redis = FakeRedis()
        self.canary = Canary(
            redis=self.redis, replica="one", clock=clock, observer=Metrics(), to_send=lambda: None
        )
        self.watch = Watch(canary=self.canary, read_figures=self._read, clock=clock, wake=self.wake)

    def _read(self) -> Figures:
        if self.fault is not None:
            raise self.fault
        return FIGURES


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


def test_before_the_first_look_nothing_is_known(bench: Bench) -> None:
    with pytest.raises(RedisUnavailableError, match="it has not been asked yet"):
        bench.watch.figures()
    assert bench.watch.lag_reasons() == []


def test_a_look_sends_the_canary_keeps_the_figures_and_waits(bench: Bench, clock: FakeClock) -> None:
    bench.wake.set()
    bench.canary.listens()
    bench.watch.step()
    clock.advance(1)
    assert bench.canary.unanswered_seconds() == 1.0
    assert bench.watch.figures() == FIGURES
    assert bench.wake.waits == [LOOK_SECONDS]
    # What was said before the look is done; only what comes during it ends the wait.
    assert not bench.wake.is_set()


@pytest.mark.parametrize("fault", [RedisUnavailableError("away"), DecodeError("$.state", "open", "str")])
def test_a_look_that_fails_is_kept_too_until_one_succeeds(bench: Bench, fault: Exception) -> None:
    bench.watch.step()
    bench.fault = fault
    with pytest.raises(type(fault)):
        bench.watch.step()
    with pytest.raises(RedisUnavailableError) as told:
        bench.watch.figures()
    assert str(told.value) == str(fault)
    bench.fault = None
    bench.watch.step()
    assert bench.watch.figures() == FIGURES


def test_old_figures_are_none(bench: Bench, clock: FakeClock) -> None:
    bench.watch.step()
    clock.advance(OLDEST_SECONDS)
    assert bench.watch.figures() == FIGURES
    clock.advance(1)
    with pytest.raises(RedisUnavailableError, match="it has not answered for 16 seconds"):
        bench.watch.figures()


def test_a_log_that_is_not_worked_off_is_told(bench: Bench, clock: FakeClock) -> None:
    bench.watch.step()
    assert bench.watch.lag_reasons() == []
    clock.advance(LAG_WINDOW)
    bench.watch.step()
    (reason,) = bench.watch.lag_reasons()
    assert "5000 events or more are unread" in reason
