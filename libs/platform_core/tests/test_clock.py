"""Time: one form on the wire, one number for scores."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from platform_core.clock import Clock, SystemClock, to_iso, to_millis

MOMENT = datetime(2026, 1, 31, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))


def test_a_datetime_is_written_in_utc_with_microseconds() -> None:
    assert to_iso(MOMENT) == "2026-01-31T12:00:00.000999+00:00"
    assert to_iso(MOMENT.replace(microsecond=0)) == "2026-01-31T12:00:00.000000+00:00"
    assert datetime.fromisoformat(to_iso(MOMENT)) == MOMENT


def test_milliseconds_are_whole_and_rounded_down() -> None:
    assert to_millis(datetime(1970, 1, 1, 0, 0, 1, 1999, tzinfo=UTC)) == 1001
    assert to_millis(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)) == -1
    assert to_millis(MOMENT) == 1_769_860_800_000


def test_a_datetime_without_offset_is_refused() -> None:
    naive = MOMENT.replace(tzinfo=None)
    with pytest.raises(ValueError, match="no offset"):
        to_iso(naive)
    with pytest.raises(ValueError, match="no offset"):
        to_millis(naive)


def test_the_system_clock_gives_utc_and_never_goes_back() -> None:
    clock: Clock = SystemClock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().utcoffset() == timedelta(0)
    first = clock.monotonic()
    assert clock.monotonic() >= first
