"""Text from elsewhere, made safe for a terminal."""

import re
from typing import Final

# What moves the cursor, colours, or turns the direction of writing: a message may quote a stranger's file.
_TRICKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text for one line of a terminal; what is invisible becomes a space."""
    return _TRICKS.sub(" ", text)
