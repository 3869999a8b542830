"""`/readyz` is red for a reason, says it in plain words, and turns green again."""

import threading
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from notifier_kit import INTAKE
from platform_core.job_events import TURKIC
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intake import Intake
from platform_notify.undecodable_store import UndecodableStore
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_log import EventLog
from platform_workers.live_events import LiveEvents
from platform_workers.redis.replies import GroupState
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis

from notifier.canary import DEAF_SECONDS, Canary
from notifier.feeds import LiveFeed, LogFeed
from notifier.figures import Figures
from notifier.lag_watch import LAG_WINDOW
from notifier.metrics import Metrics
from notifier.readiness import LONGEST_SILENCE, Readiness
from notifier.tally import Tally
from notifier.watch import Watch

DEAF = (
    "The live channels are not heard, or far too late: for 10 seconds no message of the notifier to itself"
    " has come back."
)


PAUSED = "The mail provider smtp has asked to be left alone until 2026-01-02 13:00:05 UTC."


class Notifier:
    """A notifier whose parts stand as the test sets them; all is well at first."""

    def __init__(self, clock: FakeClock, logger: FakeLogger) -> None:
        redis = FakeRedis()
        store = DeliveryStore(redis, clock)
        intake = Intake(
            redis=redis,
            store=store,
            clock=clock,
            logger=logger,
            config=INTAKE,
            wake=lambda: None,
        )
        metrics = Metrics()
        tally = Tally(metrics=metrics, undecodable=UndecodableStore(redis, clock))
        self.clock = clock
        self.live = LiveFeed(events=LiveEvents(redis), intake=intake, tally=tally, logger=logger)
        log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds)
        self.log = LogFeed(log=log, intake=intake, tally=tally, clock=clock, logger=logger)
        self.canary = Canary(redis=redis, replica="one", clock=clock, observer=metrics, to_send=lambda: None)
        self.figures: Figures = {
            "channel": EMAIL,
            "provider": "smtp",
            "waiting": 0,
            "dead": 0,
            "overdue_seconds": 0.0,
            "circuit": {"state": "closed"},
            "paused_seconds": 0.0,
            "groups": {},
        }
        self.away = False
        self.troubles: list[str] = []
        self.watch = Watch(canary=self.canary, read_figures=self._read, clock=clock, wake=threading.Event())
        self.readiness = Readiness(
            live=self.live,
            log=self.log,
            canary=self.canary,
            watch=self.watch,
            troubles=lambda: self.troubles,
            clock=clock,
        )

    def begin(self) -> None:
        """Subscribe, hear the canary, read the log, and look."""
        self.live.subscribed = True
        self.canary.listens()
        self.look()
        self.hear_canary(1)

    def hear_canary(self, number: int) -> None:
        self.canary.hear({"channel": self.canary.channel, "data": str(number).encode()})

    def look(self) -> None:
        """Let the log be read and Redis be looked at now."""
        self.log.read_at = self.clock.monotonic()
        with suppress(RedisUnavailableError):
            self.watch.step()

    def reasons(self) -> list[str]:
        report = self.readiness.check()
        assert report["status"] == ("not ready" if report["reasons"] else "ready")
        return report["reasons"]

    def _read(self) -> Figures:
        if self.away:
            raise RedisUnavailableError("connection refused")
        return self.figures


@pytest.fixture
def notifier(clock: FakeClock, logger: FakeLogger, monkeypatch: pytest.MonkeyPatch) -> Notifier:
    monkeypatch.setattr("notifier.watch.LOOK_SECONDS", 0.0)
    return Notifier(clock, logger)


def test_it_is_not_ready_before_it_hears_reads_and_looks(notifier: Notifier) -> None:
    assert notifier.reasons() == [
        "There is no subscription to the live channels.",
        "The event log has not been read yet.",
        "Redis cannot be asked: it has not been asked yet",
    ]


def test_it_is_ready_once_its_own_message_has_come_back(notifier: Notifier) -> None:
    notifier.live.subscribed = True
    notifier.canary.listens()
    notifier.look()
    assert notifier.reasons() == [
        "The subscription to the live channels is new, and nothing has come through it yet."
    ]
    notifier.hear_canary(1)
    assert notifier.reasons() == []


def test_a_deaf_subscription_is_a_reason_until_a_canary_comes_back(
    notifier: Notifier, clock: FakeClock
) -> None:
    notifier.begin()
    clock.advance(5)
    notifier.look()
    clock.advance(DEAF_SECONDS - 1)
    notifier.look()
    assert notifier.reasons() == []
    clock.advance(1)
    assert notifier.reasons() == [DEAF]
    notifier.hear_canary(3)
    assert notifier.reasons() == []


def test_a_log_that_cannot_be_read_for_a_while_is_a_reason(notifier: Notifier, clock: FakeClock) -> None:
    notifier.begin()
    clock.advance(LONGEST_SILENCE)
    assert notifier.reasons() == []
    notifier.look()
    notifier.hear_canary(2)
    notifier.log.read_at = clock.monotonic() - LONGEST_SILENCE - 1
    assert notifier.reasons() == ["The event log could not be read for 16 seconds."]
    notifier.look()
    assert notifier.reasons() == []


def test_a_log_that_is_not_worked_off_is_a_reason_until_it_is(notifier: Notifier, clock: FakeClock) -> None:
    notifier.begin()
    behind: GroupState = {"pending": 0, "lag": 5000, "last_delivered_id": "1-0"}
    notifier.figures["groups"] = {TURKIC: behind}
    notifier.look()
    clock.advance(LAG_WINDOW)
    notifier.look()
    notifier.hear_canary(2)
    (reason,) = notifier.reasons()
    assert reason.startswith("The event log of turkic is not worked off: 5000 events or more are unread")
    behind["lag"] = 4000
    notifier.look()
    assert notifier.reasons() == []


def test_an_open_circuit_is_a_reason_and_says_why(notifier: Notifier) -> None:
    notifier.begin()
    opened_at = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)
    notifier.figures["circuit"] = {"state": "open", "opened_at": opened_at, "why": "535 denied"}
    notifier.look()
    assert notifier.reasons() == [
        "The mail provider smtp refuses the account since 2026-01-02 12:30 UTC: 535 denied"
    ]
    notifier.figures["circuit"] = {"state": "open"}
    assert notifier.reasons() == ["The mail provider smtp refuses the account: it gave no reason"]
    notifier.figures["circuit"] = {"state": "closed"}
    notifier.look()
    assert notifier.reasons() == []


def test_redis_away_is_a_reason(notifier: Notifier) -> None:
    notifier.begin()
    notifier.away = True
    notifier.look()
    assert notifier.reasons() == ["Redis cannot be asked: connection refused"]
    notifier.away = False
    notifier.look()
    assert notifier.reasons() == []


def test_redis_that_hangs_is_a_reason(notifier: Notifier, clock: FakeClock) -> None:
    notifier.begin()
    clock.advance(20)
    notifier.log.read_at = clock.monotonic()
    assert notifier.reasons() == ["Redis cannot be asked: it has not answered for 20 seconds"]


def test_a_part_in_trouble_is_a_reason(notifier: Notifier) -> None:
    notifier.begin()
    notifier.troubles.append("The part `live` has ended; only a restart brings it back.")
    assert notifier.reasons() == notifier.troubles


def test_a_provider_that_asks_for_a_long_pause_is_told(clock: FakeClock, logger: FakeLogger) -> None:
    notifier = Notifier(clock, logger)
    notifier.begin()
    for seconds, told in ((60.0, []), (61.0, [PAUSED])):
        until = datetime(2026, 1, 2, 13, 0, 5, tzinfo=UTC)
        notifier.figures["circuit"] = {"state": "closed", "paused_until": until}
        notifier.figures["paused_seconds"] = seconds
        notifier.look()
        assert notifier.readiness.check()["reasons"] == told
