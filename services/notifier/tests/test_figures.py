"""How things stand, on the health page and in the metrics."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from notifier_kit import INTAKE, complete_job, completed, foreign_job, heard
from platform_core.job_events import TURKIC
from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intake import Intake
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_log import EventLog
from platform_workers.redis import RedisClient
from platform_workers.redis.replies import GroupState
from platform_workers.testing import FakeClock, FakeLogger

from notifier.figures import FigureReader, Figures
from notifier.metrics import METRICS_CONTENT_TYPE, Metrics

AWAY = RedisUnavailableError("connection refused")


def figures(*, circuit_open: bool = False, group: GroupState | None = None) -> Figures:
    found: Figures = {
        "channel": EMAIL,
        "provider": "smtp",
        "waiting": 3,
        "dead": 1,
        "overdue_seconds": 2.5,
        "circuit": {"state": "closed"},
        "paused_seconds": 0.0,
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
        "paused_seconds": 0.0,
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
        config=INTAKE,
        wake=lambda: None,
    )
    intake.take_live(heard(completed()))
    circuit.pause(timedelta(seconds=30))
    clock.advance(4)
    circuit.open("535")
    found = reader.read()
    assert (found["waiting"], found["overdue_seconds"]) == (1, 4.0)
    assert (found["circuit"]["state"], found["paused_seconds"]) == ("open", 26.0)
    assert found["groups"][TURKIC]["pending"] == 2


def test_what_is_due_in_the_future_is_not_overdue(redis: RedisClient, clock: FakeClock) -> None:
    store = DeliveryStore(redis, clock)
    redis.zadd("notify:due:email", {"d": clock.now().timestamp() * 1000 + 60_000})
    log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds)
    circuit = Circuit(redis, "smtp", clock)
    reader = FigureReader(store=store, circuit=circuit, log=log, clock=clock, channel=EMAIL, provider="smtp")
    assert reader.read()["overdue_seconds"] == 0.0


# -- metrics ------------------------------------------------------------------------------------------


def shown(read_figures: Callable[[], Figures], *, ready: bool = True, unanswered: float = 0.0) -> Metrics:
    metrics = Metrics()
    metrics.show(read_figures=read_figures, is_ready=lambda: ready, canary_unanswered=lambda: unanswered)
    return metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.exposition().decode().splitlines()


def test_figures_are_gauges() -> None:
    state: GroupState = {"pending": 4, "lag": 9, "last_delivered_id": "0-1"}
    found = lines(shown(lambda: figures(circuit_open=True, group=state)))
    for line in (
        "notifier_redis_up 1.0",
        'notifier_waiting{channel="email"} 3.0',
        'notifier_provider_paused_seconds{provider="smtp"} 0.0',
        'notifier_dead{channel="email"} 1.0',
        'notifier_overdue_seconds{channel="email"} 2.5',
        'notifier_circuit_open{provider="smtp"} 1.0',
        'notifier_log_lag{domain="turkic"} 9.0',
        'notifier_log_pending{domain="turkic"} 4.0',
    ):
        assert line in found


def test_a_lag_that_the_server_cannot_tell_is_left_out() -> None:
    state: GroupState = {"pending": 0, "last_delivered_id": "0-1"}
    found = lines(shown(lambda: figures(group=state)))
    assert 'notifier_log_pending{domain="turkic"} 0.0' in found
    assert 'notifier_circuit_open{provider="smtp"} 0.0' in found
    assert not [line for line in found if line.startswith("notifier_log_lag{")]


def test_without_redis_the_counters_are_told_all_the_same() -> None:
    metrics = shown(away)
    metrics.batch_sent({"provider": "smtp", "mails": 3, "seconds": 0.02})
    for state, result in (("sent", "sent"), ("dead", "refused"), ("waiting", "server")):
        metrics.attempt_recorded(
            {
                "provider": "smtp",
                "result": result,
                "state": state,
                "attempt": 1,
                "age_seconds": 0.03,
                "gathered": 0,
            }
        )
    found = lines(metrics)
    for line in (
        "notifier_redis_up 0.0",
        'notifier_attempts_total{provider="smtp",result="refused"} 1.0',
        'notifier_attempts_total{provider="smtp",result="server"} 1.0',
        'notifier_deliveries_total{reason="",state="sent"} 1.0',
        'notifier_deliveries_total{reason="",state="dead"} 1.0',
        'notifier_retries_total{provider="smtp",result="server"} 1.0',
        'notifier_provider_seconds_count{provider="smtp"} 1.0',
        'notifier_delivery_age_seconds_count{provider="smtp"} 1.0',
    ):
        assert line in found
    assert not [
        line
        for line in found
        if line.startswith(("notifier_waiting{", 'notifier_retries_total{provider="smtp",result="refused"'))
    ]
    assert METRICS_CONTENT_TYPE.startswith("text/plain")


def test_skipped_deliveries_are_counted_by_reason_and_known_ones_are_no_new_delivery() -> None:
    metrics = shown(away)
    metrics.taken("log", {"result": "skipped", "reason": "opted_out"})
    metrics.taken("live", {"result": "known"})
    found = lines(metrics)
    assert 'notifier_deliveries_total{reason="opted_out",state="skipped"} 1.0' in found
    assert 'notifier_intake_total{feed="live",result="known"} 1.0' in found
    # The three others stand at 0 from the start.
    assert len([line for line in found if line.startswith("notifier_deliveries_total{")]) == 4


def test_what_ended_without_an_attempt_is_counted() -> None:
    """Mails that were given up were missing in what the alert looks at."""
    metrics = shown(away)
    metrics.ended_unsent({"state": "dead", "reason": "", "gathered": 0})
    metrics.ended_unsent({"state": "skipped", "reason": "opted_out", "gathered": 3})
    found = lines(metrics)
    assert 'notifier_deliveries_total{reason="",state="dead"} 1.0' in found
    assert 'notifier_deliveries_total{reason="opted_out",state="skipped"} 3.0' in found
    assert 'notifier_digests_total{state="skipped"} 1.0' in found


def test_a_digest_counts_once_and_each_outcome_in_it_too() -> None:
    metrics = shown(away)
    for _ in range(2):
        metrics.taken("log", {"result": "gathered"})
    for state, result in (("sent", "sent"), ("dead", "refused"), ("waiting", "server")):
        metrics.attempt_recorded(
            {
                "provider": "smtp",
                "result": result,
                "state": state,
                "attempt": 1,
                "age_seconds": 0.03,
                "gathered": 17,
            }
        )
    found = lines(metrics)
    for line in (
        'notifier_deliveries_total{reason="",state="gathered"} 2.0',
        'notifier_deliveries_total{reason="",state="sent"} 17.0',
        'notifier_deliveries_total{reason="",state="dead"} 17.0',
        'notifier_digests_total{state="sent"} 1.0',
        'notifier_digests_total{state="dead"} 1.0',
        'notifier_attempts_total{provider="smtp",result="sent"} 1.0',
        'notifier_delivery_age_seconds_count{provider="smtp"} 1.0',
    ):
        assert line in found


def test_what_must_not_happen_stands_at_0_from_the_start() -> None:
    found = lines(Metrics())
    for line in (
        'notifier_undecodable_total{feed="live"} 0.0',
        'notifier_undecodable_total{feed="log"} 0.0',
        'notifier_deliveries_total{reason="",state="dead"} 0.0',
        'notifier_deliveries_total{reason="",state="gathered"} 0.0',
        'notifier_digests_total{state="sent"} 0.0',
        "notifier_deaf_total 0.0",
    ):
        assert line in found


@pytest.mark.parametrize(("ready", "number"), [(True, "1.0"), (False, "0.0")])
def test_readiness_and_canary_are_shown_with_or_without_redis(ready: bool, number: str) -> None:
    for read in (away, figures):
        metrics = shown(read, ready=ready, unanswered=2.5)
        metrics.canary_came_back(0.002)
        metrics.went_deaf()
        found = lines(metrics)
        for line in (
            f"notifier_ready {number}",
            "notifier_canary_unanswered_seconds 2.5",
            'notifier_canary_round_trip_seconds_bucket{le="0.0025"} 1.0',
            'notifier_canary_round_trip_seconds_bucket{le="0.001"} 0.0',
            "notifier_deaf_total 1.0",
        ):
            assert line in found
