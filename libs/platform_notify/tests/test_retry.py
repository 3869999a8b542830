"""The retry rule, as a table."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_notify.providers.base import ErrorClass
from platform_notify.retry import GIVE_UP_AFTER, MAX_RETRY_AFTER, SCHEDULE, RetryDecision, decide_retry

FIRST = datetime(2026, 1, 2, 12, tzinfo=UTC)
RETRYABLE: tuple[ErrorClass, ...] = ("connect", "timeout", "rate_limited", "server", "unexpected")


def decide(
    error_class: ErrorClass = "server",
    *,
    attempt: int = 1,
    after: timedelta = timedelta(0),
    retry_after: float | None = None,
    jitter: float = 0.0,
) -> RetryDecision:
    return decide_retry(
        error_class,
        attempt=attempt,
        first_attempt_at=FIRST,
        now=FIRST + after,
        retry_after=retry_after,
        jitter=jitter,
    )


def pause(decision: RetryDecision, after: timedelta = timedelta(0)) -> float:
    assert decision["decision"] == "retry"
    return (decision["at"] - FIRST - after).total_seconds()


@pytest.mark.parametrize("error_class", RETRYABLE)
@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (9, 1800)])
def test_the_schedule(error_class: ErrorClass, attempt: int, seconds: int) -> None:
    assert pause(decide(error_class, attempt=attempt)) == seconds


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 24), (0.0, 30), (0.5, 33), (1.0, 36)])
def test_jitter_moves_a_pause_by_up_to_a_fifth(jitter: float, seconds: float) -> None:
    assert pause(decide(attempt=2, jitter=jitter)) == seconds


@pytest.mark.parametrize("error_class", RETRYABLE)
def test_after_two_hours_it_gives_up(error_class: ErrorClass) -> None:
    almost = GIVE_UP_AFTER - timedelta(seconds=1)
    assert decide(error_class, attempt=8, after=almost)["decision"] == "retry"
    assert decide(error_class, attempt=8, after=GIVE_UP_AFTER) == {
        "decision": "give_up",
        "why": "every attempt failed for 2 hours",
    }


@pytest.mark.parametrize(
    ("attempt", "hours", "decision"),
    [
        (2, 3, "retry"),
        (5, 1000, "retry"),
        (6, 1.9, "retry"),
        (6, 2, "give_up"),
        (7, 3, "give_up"),
    ],
)
def test_time_in_which_no_notifier_ran_ends_no_mail(attempt: int, hours: float, decision: str) -> None:
    """All notifiers were down for three hours after the first attempt: the second one is not the last."""
    found = decide(attempt=attempt, after=timedelta(hours=hours))
    assert found["decision"] == decision


def test_beyond_the_two_hours_the_schedule_goes_on_where_it_was() -> None:
    after = timedelta(hours=3)
    assert pause(decide(attempt=2, after=after), after) == 30
    assert pause(decide("rate_limited", attempt=2, after=after, retry_after=300.0), after) == 300


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=30)])
def test_a_mail_for_which_no_time_was_left_is_put_back_however_old(after: timedelta) -> None:
    assert decide("no_time", attempt=50, after=after) == {"decision": "put_back"}


def test_the_last_attempt_is_made_when_the_time_is_up() -> None:
    after = timedelta(minutes=100)
    assert pause(decide(attempt=7, after=after), after) == 20 * 60


def test_a_refused_mail_is_dead_at_once() -> None:
    assert decide("refused", retry_after=10.0)["decision"] == "give_up"


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=30)])
def test_a_refused_account_holds_the_mail_back_however_long(after: timedelta) -> None:
    assert decide("auth", attempt=50, after=after) == {"decision": "hold"}


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, 5),
        (2.0, 5),
        (60.0, 60),
        (0.0, 5),
        (-3.0, 5),
        (1e12, 3600),
        (float("inf"), 3600),
        (float("nan"), 5),
    ],
)
def test_the_wait_a_provider_asks_for_is_honoured_within_reason(
    retry_after: float | None, seconds: float
) -> None:
    assert pause(decide("rate_limited", retry_after=retry_after)) == seconds


def test_the_wait_a_provider_asks_for_may_go_beyond_the_two_hours() -> None:
    after = GIVE_UP_AFTER - timedelta(seconds=10)
    assert pause(decide("rate_limited", attempt=6, after=after, retry_after=300.0), after) == 300


def test_a_class_nobody_knows_is_a_fault_of_ours() -> None:
    unknown: ErrorClass = json.loads('"cosmic_rays"')
    with pytest.raises(AssertionError):
        decide(unknown)


@given(
    attempt=st.integers(1, 60),
    after=st.timedeltas(timedelta(0), timedelta(hours=3)),
    retry_after=st.none() | st.floats(),
    jitter=st.floats(-1, 1),
)
def test_a_retry_is_never_in_the_past_and_never_too_far_away(
    attempt: int, after: timedelta, retry_after: float | None, jitter: float
) -> None:
    decision = decide(attempt=attempt, after=after, retry_after=retry_after, jitter=jitter)
    if decision["decision"] == "retry":
        wait = pause(decision, after)
        assert 0 < wait <= max(SCHEDULE[-1].total_seconds() * 1.2, MAX_RETRY_AFTER.total_seconds())
    else:
        assert after >= GIVE_UP_AFTER
        assert attempt > len(SCHEDULE)


def test_a_mail_that_always_fails_is_tried_for_two_hours_and_then_given_up() -> None:
    now, attempts = FIRST, 0
    while True:
        attempts += 1
        decision = decide("connect", attempt=attempts, after=now - FIRST)
        if decision["decision"] != "retry":
            break
        now = decision["at"]
    assert now - FIRST == GIVE_UP_AFTER
    assert attempts == 9
