"""Text for a terminal: what comes from elsewhere made safe, and figures as a person says them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from platform_notify.plain_words import human_duration

# What moves the cursor, colours, or turns the direction of writing: a message may quote a stranger's file.
_TRICKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = "_.-:=+*#"
_A_SECOND: Final = 1.0
_A_FEW_SECONDS: Final = 10.0
_LARGE: Final = 100


def visible(text: str) -> str:
    """Return text for one line of a terminal; what is invisible becomes a space."""
    return _TRICKS.sub(" ", text)


def visible_lines(text: str) -> str:
    """Return text of several lines for a terminal; the line ends stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


def age_words(created_at: str, now: datetime) -> str:
    """Say how long ago a moment was by its largest unit, such as `5 min ago`.

    Args:
        created_at: ISO 8601; a text that is none is returned as it is.
        now: the time, aware.
    """
    moment = parse_moment(created_at)
    if moment is None:
        return visible(created_at)
    passed = now - moment
    if passed < timedelta(seconds=1):
        return "just now"
    return f"{' '.join(human_duration(passed).split()[:2])} ago"


def clock_words(time: str) -> str:
    """Say a moment (ISO 8601) by this machine's clock, such as `2026-11-25 14:03:59`."""
    moment = parse_moment(time)
    return visible(time) if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def parse_moment(text: str) -> datetime | None:
    """Read an ISO 8601 time; None if it is none, and UTC if it names no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def seconds_words(seconds: float) -> str:
    """Say a short duration, such as `35 ms`, `1.2 s` or `2 min 5 s`."""
    if seconds < _A_SECOND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _A_FEW_SECONDS:
        return f"{seconds:.1f} s"
    return human_duration(timedelta(seconds=seconds))


def rate_words(number: float) -> str:
    """Say a number of something, with one digit after the point where it is small."""
    return f"{number:,.0f}" if number >= _LARGE or number == int(number) else f"{number:.1f}"


def sparkline(numbers: Sequence[int], *, plain: bool = False) -> str:
    """Draw numbers as a line of small bars, the largest full height; nothing is the lowest bar.

    Args:
        numbers: not negative.
        plain: in ASCII.
    """
    bars = _PLAIN_BARS if plain else _BARS
    largest = max(numbers, default=0) or 1
    # Rounded up: what is there, however little, must not look like nothing.
    return "".join(bars[-(-number * (len(bars) - 1) // largest)] for number in numbers)
