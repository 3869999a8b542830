"""Durations, sizes and moments read as a person would say them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy, integers

from platform_notify.plain_words import human_duration, human_size, human_span, human_time

ANY_SIZE: SearchStrategy[int] = integers(min_value=0, max_value=10**17)
ANY_SECONDS: SearchStrategy[int] = integers(min_value=-(10**7), max_value=10**8)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5.0, "less than a second"),
        (0.0, "less than a second"),
        (0.4, "less than a second"),
        (1.0, "1 s"),
        (59.6, "1 min"),
        (60.0, "1 min"),
        (125.0, "2 min 5 s"),
        (3_600.0, "1 h"),
        (3_605.0, "1 h"),
        (3_660.0, "1 h 1 min"),
        (86_400.0, "1 day"),
        (2 * 86_400.0 + 4 * 3_600 + 59, "2 days 4 h"),
    ],
)
def test_a_duration_is_said_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "minute"),
        (0, "minute"),
        (89, "minute"),
        (91, "2 minutes"),
        (599, "10 minutes"),
        (7_169, "119 minutes"),
        (7_200, "2 hours"),
        (47 * 3_600, "47 hours"),
        (50 * 3_600, "2 days"),
    ],
)
def test_a_stretch_of_time_is_said_in_one_unit(seconds: int, words: str) -> None:
    assert human_span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (12_431, "12.4 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (3_500_000_000, "3.5 GB"),
        (2_000_000_000_000, "2.0 TB"),
        (5_000_000_000_000_000, "5,000.0 TB"),
    ],
)
def test_a_size_is_said_in_its_largest_unit(size: int, words: str) -> None:
    assert human_size(size) == words


def test_a_moment_is_said_in_utc_and_in_english() -> None:
    ankara = timezone(timedelta(hours=3))
    assert human_time(datetime(2026, 11, 1, 1, 5, tzinfo=ankara)) == "31 Oct 2026, 22:05 UTC"
    assert human_time(datetime(2026, 1, 9, 9, 0, tzinfo=UTC)) == "9 Jan 2026, 09:00 UTC"


@given(ANY_SIZE)
def test_any_size_is_short(size: int) -> None:
    assert len(human_size(size)) <= 12


@given(ANY_SECONDS)
def test_any_duration_is_short(seconds: int) -> None:
    assert len(human_duration(timedelta(seconds=seconds))) <= 18
