"""Figures and moments as a person says them; text from elsewhere made safe."""

from datetime import UTC, datetime

import pytest

from jobs_api.client.words import (
    age_words,
    clock_words,
    rate_words,
    seconds_words,
    sparkline,
    visible,
    visible_lines,
)

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2026-01-02T12:00:00+00:00", "just now"),
        ("2026-01-02T13:00:00+00:00", "just now"),
        ("2026-01-02T11:59:55+00:00", "5 s ago"),
        ("2026-01-02T11:57:55+00:00", "2 min ago"),
        ("2026-01-02T12:57:55+01:30", "32 min ago"),
        ("2026-01-01T11:00:00", "1 day ago"),
        ("so\x1bon", "so on"),
    ],
)
def test_an_age_is_told_by_its_largest_unit(time: str, words: str) -> None:
    assert age_words(time, NOW) == words


def test_a_time_is_told_by_this_machines_clock() -> None:
    there = datetime(2026, 1, 2, 12, 0, 5, tzinfo=UTC)
    assert clock_words("2026-01-02T12:00:05.123+00:00") == f"{there.astimezone():%Y-%m-%d %H:%M:%S}"
    assert clock_words("soon\n") == "soon "


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "0 ms"), (0.0342, "34 ms"), (1.21, "1.2 s"), (72.4, "1 min 12 s"), (7200.0, "2 h")],
)
def test_a_duration_is_as_exact_as_it_is_short(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(0.0, "0"), (50.23, "50.2"), (12.0, "12"), (1234.5, "1,234")])
def test_a_rate_is_short(number: float, words: str) -> None:
    assert rate_words(number) == words


def test_what_is_there_never_looks_like_nothing() -> None:
    assert sparkline([0, 1, 50, 100]) == "▁▂▅█"
    assert sparkline([0, 1, 1000], plain=True) == "_.#"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""


def test_tricks_of_a_strangers_text_become_blanks() -> None:
    assert visible("a\x1b[31mb\nc\u202ed") == "a [31mb c d"
    assert visible_lines("a\x07b\nc\td") == "a b\nc d"
