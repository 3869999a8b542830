"""Small words for people: sizes, and text that can't play tricks on a terminal."""

import re
from typing import Final

_STEP: Final = 1024
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")

# What moves the cursor, colours, or turns the direction of writing: a message may quote a stranger's file.
_TRICKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text for one line of a terminal; what is invisible becomes a space."""
    return _TRICKS.sub(" ", text)


def byte_count(size: int) -> str:
    """Return a size as people say it: `1 byte`, `655 bytes`, `1.2 MiB`."""
    if size < _STEP:
        return "1 byte" if size == 1 else f"{size} bytes"
    # The largest unit in which there is at least one, or the last.
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 2.0 ** (10 * power):.1f} {_UNITS[power - 1]}"
