"""How things stand, on the health page and in the metrics."""

from datetime import UTC, datetime

import pytest
from notifier_kit import complete_job, completed, foreign_job, heard
from platform_core.job_events import TURKIC
from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intake import Intake
from platform_notify.undecodable_store import UndecodableStore
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_subscriber import EventLog, LiveEvents
from platform_workers.redis import GroupState, RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis

from notifier.feeds import LiveFeed, LogFeed, Tally
from notifier.figures import FigureReader, Figures
from notifier.metrics import METRICS_CONTENT_TYPE, Metrics
from notifier.readiness import LONGEST_SILENCE, Readiness, ReadinessReport

AWAY = RedisUnavailableError("connection refused")


def figures(*, circuit_open: bool = False, group: GroupState | None = None) -> Figures:
    found: Figures = {
        "channel": EMAIL,
        "provider": "smtp",
        "waiting": 3,
        "dead": 1,
        "overdue_seconds": 2.5,
        "circuit": {"state": "closed"},
        "groups": {} if group is None else {TURKIC: group},
    }
    if circuit_open:
        found["circuit"] = {
            "state": "open", "opened_at": datetime(2026, 1, 2, 12, 30, tzinfo=UTC), "why": "535 denied",
        }  # fmt: skip
    return found


def away() -> Figures:
    raise AWAY


# -- from Redis ---------------------------------------------------------------------------------------


def test_the_figures_are_those_of_redis(redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> None:
    store = DeliveryStore(redis, clock)
    circuit = Circuit(redis, "smtp", clock)
    log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds)
    reader = FigureReader(store=store, circuit=circuit, log=log, clock=clock, channel=EMAIL, provider="smtp")
    assert reader.read() == {
        "channel": EMAIL,
        "provider": "smtp",
        "waiting": 0,
        "dead": 0,
        "overdue_seconds": 0.0,
        "circuit": {"state": "closed"},
        "groups": {},
    }
    complete_job(redis)
    log.next(0)
    foreign_job(redis)
    intake = Intake(
        redis=redis,
        store=store,
        clock=clock,
        logger=logger,
        config={"channel": EMAIL, "provider_configured": True, "public_url": None},
        wake=lambda: None,
    )
    intake.take_live(heard(completed()))
    clock.advance(4)
    circuit.open("535")
    found = reader.read()
    assert (found["waiting"], found["overdue_seconds"]) == (1, 4.0)
    assert found["circuit"]["state"] == "open"
    assert found["groups"][TURKIC]["pending"] == 2


def test_what_is_due_in_the_future_is_not_overdue(redis: RedisClient, clock: FakeClock) -> None:
    store = DeliveryStore(redis, clock)
    redis.zadd("notify:due:email", {"d": clock.now().timestamp() * 1000 + 60_000})
    log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds)
    circuit = Circuit(redis, "smtp", clock)
    reader = FigureReader(store=store, circuit=circuit, log=log, clock=clock, channel=EMAIL, provider="smtp")
    assert reader.read()["overdue_seconds"] == 0.0


# -- metrics ------------------------------------------------------------------------------------------


def lines(metrics: Metrics) -> list[str]:
    return metrics.exposition().decode().splitlines()


def test_figures_are_gauges() -> None:
    state: GroupState = {"pending": 4, "lag": 9, "last_delivered_id": "0-1"}
    found = lines(Metrics(lambda: figures(circuit_open=True, group=state)))
    for line in (
        "notifier_redis_up 1.0",
        'notifier_waiting{channel="email"} 3.0',
        'notifier_dead{channel="email"} 1.0',
        'notifier_overdue_seconds{channel="email"} 2.5',
        'notifier_circuit_open{provider="smtp"} 1.0',
        'notifier_log_lag{domain="turkic"} 9.0',
        'notifier_log_pending{domain="turkic"} 4.0',
    ):
        assert line in found


def test_a_lag_that_the_server_cannot_tell_is_left_out() -> None:
    state: GroupState = {"pending": 0, "last_delivered_id": "0-1"}
    found = lines(Metrics(lambda: figures(group=state)))
    assert 'notifier_log_pending{domain="turkic"} 0.0' in found
    assert 'notifier_circuit_open{provider="smtp"} 0.0' in found
    assert not [line for line in found if line.startswith("notifier_log_lag{")]


def test_without_redis_the_counters_are_told_all_the_same() -> None:
    metrics = Metrics(away)
    metrics.batch_sent({"provider": "smtp", "mails": 3, "seconds": 0.02})
    for state, result in (("sent", "sent"), ("dead", "refused"), ("waiting", "server")):
        metrics.attempt_recorded(
            {"provider": "smtp", "result": result, "state": state, "attempt": 1, "age_seconds": 0.03}
        )
    found = lines(metrics)
    for line in (
        "notifier_redis_up 0.0",
        'notifier_attempts_total{provider="smtp",result="refused"} 1.0',
        'notifier_attempts_total{provider="smtp",result="server"} 1.0',
        'notifier_deliveries_total{reason="",state="sent"} 1.0',
        'notifier_deliveries_total{reason="",state="dead"} 1.0',
        'notifier_provider_seconds_count{provider="smtp"} 1.0',
        'notifier_delivery_age_seconds_count{provider="smtp"} 1.0',
    ):
        assert line in found
    assert not [line for line in found if line.startswith("notifier_waiting{")]
    assert METRICS_CONTENT_TYPE.startswith("text/plain")


def test_skipped_deliveries_are_counted_by_reason_and_known_ones_are_no_new_delivery() -> None:
    metrics = Metrics(away)
    metrics.taken("log", {"result": "skipped", "reason": "opted_out"})
    metrics.taken("live", {"result": "known"})
    found = lines(metrics)
    assert 'notifier_deliveries_total{reason="opted_out",state="skipped"} 1.0' in found
    assert 'notifier_intake_total{feed="live",result="known"} 1.0' in found
    assert len([line for line in found if line.startswith("notifier_deliveries_total{")]) == 1


# -- readiness ----------------------------------------------------------------------------------------


class Ears:
    """Two feeds that never heard anything, set as the test wants."""

    def __init__(self, clock: FakeClock, logger: FakeLogger) -> None:
        redis = FakeRedis()
        store = DeliveryStore(redis, clock)
        intake = Intake(
            redis=redis,
            store=store,
            clock=clock,
            logger=logger,
            config={"channel": EMAIL, "provider_configured": True, "public_url": None},
            wake=lambda: None,
        )
        tally = Tally(metrics=Metrics(away), undecodable=UndecodableStore(redis, clock))
        self.live = LiveFeed(events=LiveEvents(redis), intake=intake, tally=tally)
        log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds)
        self.log = LogFeed(log=log, intake=intake, tally=tally, clock=clock, logger=logger)
        self._clock = clock

    def check(self, found: Figures | None = None) -> ReadinessReport:
        present = figures() if found is None else found
        return Readiness(
            live=self.live, log=self.log, read_figures=lambda: present, clock=self._clock
        ).check()


@pytest.fixture
def ears(clock: FakeClock, logger: FakeLogger) -> Ears:
    return Ears(clock, logger)


def test_it_is_not_ready_before_it_hears_and_reads(ears: Ears) -> None:
    assert ears.check() == {
        "status": "not ready",
        "reasons": [
            "There is no subscription to the live channels.",
            "The event log has not been read yet.",
        ],
    }


def test_it_is_ready_once_it_does(ears: Ears, clock: FakeClock) -> None:
    ears.live.subscribed, ears.log.read_at = True, clock.monotonic()
    assert ears.check() == {"status": "ready", "reasons": []}


def test_a_log_that_cannot_be_read_for_a_while_is_a_reason(ears: Ears, clock: FakeClock) -> None:
    ears.live.subscribed, ears.log.read_at = True, clock.monotonic()
    clock.advance(LONGEST_SILENCE)
    assert ears.check()["status"] == "ready"
    clock.advance(1)
    assert ears.check()["reasons"] == ["The event log could not be read for 16 seconds."]


def test_an_open_circuit_is_a_reason_and_says_why(ears: Ears, clock: FakeClock) -> None:
    ears.live.subscribed, ears.log.read_at = True, clock.monotonic()
    opened = figures(circuit_open=True)
    assert ears.check(opened)["reasons"] == [
        "The mail provider smtp refuses the account since 2026-01-02 12:30 UTC: 535 denied"
    ]
    opened["circuit"] = {"state": "open"}
    assert ears.check(opened)["reasons"] == ["The mail provider smtp refuses the account: it gave no reason"]


def test_redis_away_is_a_reason(ears: Ears, clock: FakeClock) -> None:
    ears.live.subscribed, ears.log.read_at = True, clock.monotonic()
    report = Readiness(live=ears.live, log=ears.log, read_figures=away, clock=clock).check()
    assert report["reasons"] == ["Redis cannot be asked: connection refused"]
