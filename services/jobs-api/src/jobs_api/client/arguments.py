"""Values that are written on the command line, read: outcomes, options of a payload."""

from argparse import ArgumentTypeError
from typing import Final

from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue, decode_json
from platform_core.notifications import EVENT_WORDS, EventWord

_LISTS: Final = frozenset({"columns", "null_words"})
_YES: Final = frozenset({"true", "yes", "1"})
_NO: Final = frozenset({"false", "no", "0"})
_SWITCHES: Final = frozenset({"has_header"})
_SEPARATORS: Final = {"tab": "\t", "\\t": "\t"}


def parse_outcomes(text: str) -> list[EventWord]:
    """Read `success`, `failure` or both with a comma between.

    Raises:
        ArgumentTypeError: it says something else.
    """
    chosen = {word.strip().upper() for word in text.split(",")}
    words = [word for word in EVENT_WORDS if word in chosen]
    if len(words) != len(chosen):
        raise ArgumentTypeError("expected success, failure or success,failure")
    return words


def parse_option(text: str) -> tuple[str, JsonValue]:
    """Read `NAME=VALUE`, a field of the payload, or `NAME:=JSON`.

    Raises:
        ArgumentTypeError: it is neither.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    if name.endswith(":"):
        return name[:-1], parse_json(value)
    if name in _LISTS:
        return name, [part for part in value.split(",") if part]
    if name in _SWITCHES:
        return name, _switch(name, value)
    return name, _SEPARATORS.get(value, value)


def parse_json(text: str) -> JsonValue:
    """Read a JSON text.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return decode_json(text)
    except DecodeError:
        raise ArgumentTypeError(f"{text!r} is no JSON") from None


def _switch(name: str, value: str) -> bool:
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise ArgumentTypeError(f"{name} is yes or no")
