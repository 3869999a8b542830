"""Values that are written on the command line, read: outcomes, options, payloads, moments."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from pathlib import Path
from re import fullmatch
from typing import Final, TypeAlias

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, decode_json
from platform_core.notifications import EVENT_WORDS, EventWord

Moment: TypeAlias = datetime | timedelta
"""A moment as it was written: itself, or how far it is from now."""

_LISTS: Final = frozenset({"columns", "null_words"})
_YES: Final = frozenset({"true", "yes", "1"})
_NO: Final = frozenset({"false", "no", "0"})
_SWITCHES: Final = frozenset({"has_header"})
_SEPARATORS: Final = {"tab": "\t", "\\t": "\t"}
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST: Final = timedelta(days=36_500)
"""What is further away than this may have no date."""

_MOMENT_WORDS: Final = "expected a time such as 2026-01-31T12:00 or 30m, 1h, 7d"


def add_json(parser: ArgumentParser, form: str) -> None:
    """Declare `--json`.

    Args:
        parser: the command's.
        form: what is printed then.
    """
    parser.add_argument("--json", action="store_true", help=f"print {form}")


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
        return name[:-1], _json(value)
    if name in _LISTS:
        return name, [part for part in value.split(",") if part]
    if name in _SWITCHES:
        return name, _switch(name, value)
    return name, _SEPARATORS.get(value, value)


def parse_payload(text: str) -> JsonObject:
    """Read a payload: a JSON object, or `@FILE` for a file with one.

    Raises:
        ArgumentTypeError: it is none, or the file can't be read.
    """
    value = _json(read_file(Path(text[1:])) if text.startswith("@") else text)
    if not isinstance(value, dict):
        raise ArgumentTypeError('a payload is a JSON object, such as \'{"name": "Ada"}\'')
    return value


def parse_moment(text: str) -> Moment:
    """Read an ISO 8601 time (this machine's time zone if it names none), or a duration such as `1h`.

    Raises:
        ArgumentTypeError: it is neither, or longer than a hundred years.
    """
    if match := fullmatch(r"(\d{1,6})([smhdw])", text):
        number, unit = match.groups("")
        duration = timedelta(seconds=int(number) * _UNIT_SECONDS[unit])
        if duration > _LONGEST:
            raise ArgumentTypeError(f"expected at most {_LONGEST.days}d, found {text!r}")
        return duration
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(f"{_MOMENT_WORDS}, found {text!r}") from None


def parse_count(text: str) -> int:
    """Read a number of at least one.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not fullmatch(r"\d{1,9}", text) or int(text) == 0:
        raise ArgumentTypeError(f"expected a number from 1, found {text!r}")
    return int(text)


def read_file(path: Path) -> bytes:
    """Read a file that an argument names.

    Raises:
        ArgumentTypeError: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArgumentTypeError(f"{path}: {error.strerror}") from None


def _switch(name: str, value: str) -> bool:
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise ArgumentTypeError(f"{name} is yes or no")


def _json(text: str | bytes) -> JsonValue:
    try:
        return decode_json(text)
    except DecodeError as error:
        shown = repr(text) if isinstance(text, str) else "the file"
        raise ArgumentTypeError(f"{shown} is no JSON: {error.found}") from None
