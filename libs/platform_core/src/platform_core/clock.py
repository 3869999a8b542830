"""Time as a parameter: code takes a `Clock`, so that tests set the time instead of sleeping."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Clock(Protocol):
    """What code may ask about time."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back, so differences are durations."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()


def to_millis(moment: datetime) -> int:
    """Return whole milliseconds since 1970-01-01 UTC, rounded down; the score of the Redis index sets.

    Raises:
        ValueError: the datetime has no offset.
    """
    return (_aware(moment) - _EPOCH) // _MILLISECOND


def to_iso(moment: datetime) -> str:
    """Write a datetime as ISO 8601 in UTC with microseconds, as in `2026-01-31T12:00:00.000000+00:00`.

    All texts have one length and one offset, so they sort as the moments do.

    Raises:
        ValueError: the datetime has no offset.
    """
    return _aware(moment).astimezone(UTC).isoformat(timespec="microseconds")


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("the datetime has no offset")
    return moment
