"""What follows a failed attempt: try again at a time, give up, or hold the mail back. Pure.

The rule: again after 5 s, 30 s, 2 min, 10 min, 30 min and every 30 min from then on, each
a fifth earlier or later so that many mails do not return at the same instant; give up after 2 h and at least
six attempts: two hours in which no notifier ran were no attempts. A refused mail is dead at once. Where the
account is refused no mail is at fault, so it is held back and its waiting does not count. A mail that was not
tried for want of time goes again at once, and nothing happened.
"""

from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, TypedDict, assert_never

from platform_notify.providers.base import ErrorClass

SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
)
SPREAD: Final = 0.2
GIVE_UP_AFTER: Final = timedelta(hours=2)

MAX_RETRY_AFTER: Final = timedelta(hours=1)
"""The most that a provider's `Retry-After` is believed: one that says a year would lose the mail."""


class RetryAt(TypedDict):
    """Try again, not before `at`."""

    decision: Literal["retry"]
    at: datetime


class GiveUp(TypedDict):
    """The mail is dead; `why` says which rule ended it, for the operator."""

    decision: Literal["give_up"]
    why: str


class Hold(TypedDict):
    """Keep the mail until the provider takes mails again; this attempt and the waiting do not count."""

    decision: Literal["hold"]


class PutBack(TypedDict):
    """Nothing was tried: put the mail back where it was, and count nothing."""

    decision: Literal["put_back"]


RetryDecision: TypeAlias = RetryAt | GiveUp | Hold | PutBack


def decide_retry(
    error_class: ErrorClass,
    *,
    attempt: int,
    first_attempt_at: datetime,
    now: datetime,
    retry_after: float | None,
    jitter: float,
) -> RetryDecision:
    """Decide what follows a failed attempt.

    Args:
        error_class: why it failed.
        attempt: which attempt it was, from 1.
        first_attempt_at: when the first one was made, or when the provider took mails again if that is later.
        now: the present time.
        retry_after: the seconds that the provider asked to wait, or None.
        jitter: a random number from -1 to 1.
    """
    match error_class:
        case "refused":
            return {"decision": "give_up", "why": "the provider will never take this mail"}
        case "auth":
            return {"decision": "hold"}
        case "no_time":
            return {"decision": "put_back"}
        case "connect" | "timeout" | "rate_limited" | "server" | "unexpected":
            return _retry(attempt, first_attempt_at, now, retry_after, jitter)
        case _ as never:
            assert_never(never)


def wait_asked(retry_after: float | None) -> timedelta:
    """Give the wait that a provider asked for, within reason; none if it asked for none or for nonsense."""
    if retry_after is None or not retry_after > 0:
        return timedelta(0)
    return timedelta(seconds=min(retry_after, MAX_RETRY_AFTER.total_seconds()))


def is_used_up(attempt: int, first_attempt_at: datetime, now: datetime) -> bool:
    """Tell whether a mail has had its chances: the two hours and every attempt of the schedule.

    The time alone says nothing: the notifiers may have been down in it.

    Args:
        attempt: how many attempts were made, this one with them.
        first_attempt_at: see `decide_retry`.
        now: the present time.
    """
    return attempt > len(SCHEDULE) and now >= first_attempt_at + GIVE_UP_AFTER


def _retry(
    attempt: int, first_attempt_at: datetime, now: datetime, retry_after: float | None, jitter: float
) -> RetryDecision:
    if is_used_up(attempt, first_attempt_at, now):
        return {"decision": "give_up", "why": "every attempt failed for 2 hours"}
    at = now + SCHEDULE[min(attempt, len(SCHEDULE)) - 1] * (1 + SPREAD * jitter)
    deadline = first_attempt_at + GIVE_UP_AFTER
    if now < deadline:
        # The last attempt is made when the time is up, not half an hour later.
        at = min(at, deadline)
    # What the provider asked for holds in any case.
    return {"decision": "retry", "at": max(at, now + wait_asked(retry_after))}
