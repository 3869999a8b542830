"""The sender's loop sends at once what was queued and else waits as long as it may."""

import threading
from datetime import datetime, timedelta

import pytest
from platform_notify.sender import Round, Sender
from platform_workers.testing import FakeClock
from typing_extensions import override

from notifier.sending import LOOK_AGAIN_SECONDS, SendingLoop


class Wake(threading.Event):
    """Remembers how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return True


class RoundsSender(Sender):
    """Does nothing and says what the test wants."""

    def __init__(self, *rounds: Round) -> None:
        self._rounds = list(rounds)

    @override
    def run_once(self) -> Round:
        return self._rounds.pop(0)


def test_after_a_batch_it_looks_for_the_next_at_once(clock: FakeClock) -> None:
    wake = Wake()
    SendingLoop(sender=RoundsSender({"verdict": "claimed", "claimed": 3}), clock=clock, wake=wake).step()
    assert wake.waits == []


@pytest.mark.parametrize(
    ("due_in", "waits"),
    [(0.25, 0.25), (500.0, LOOK_AGAIN_SECONDS), (-3.0, 0.0), (None, LOOK_AGAIN_SECONDS)],
)
def test_with_nothing_due_it_waits_for_what_is_due_next(
    clock: FakeClock, due_in: float | None, waits: float
) -> None:
    wake = Wake()
    nothing: Round = {"verdict": "none", "claimed": 0}
    if due_in is not None:
        due_at: datetime = clock.now() + timedelta(seconds=due_in)
        nothing["again_at"] = due_at
    SendingLoop(sender=RoundsSender(nothing), clock=clock, wake=wake).step()
    assert wake.waits == [waits]


def test_what_is_queued_while_it_looks_ends_the_wait(clock: FakeClock) -> None:
    wake = threading.Event()

    class Queuing(RoundsSender):
        @override
        def run_once(self) -> Round:
            wake.set()
            return {"verdict": "none", "claimed": 0, "again_at": clock.now() + timedelta(days=1)}

    wake.set()
    SendingLoop(sender=Queuing(), clock=clock, wake=wake).step()
    assert wake.is_set()
