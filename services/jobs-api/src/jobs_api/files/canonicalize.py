"""`json.canonicalize`: a JSON file in its one canonical form (RFC 8785): equal content has equal bytes.

Stricter than most readers, because a canonical form of something ambiguous is worth nothing: a name that
stands twice in an object is refused (I-JSON, RFC 7493), and so is a number that does not survive as a double,
which is all that RFC 8785 (section 3.2.2.3) knows: 9007199254740993 would become 9007199254740992.
"""

import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Final, TypedDict

import rfc8785
from platform_core.errors import JobUserError
from platform_core.json_values import JsonObject, JsonValue

from jobs_api.files.payloads import CanonicalizePayload
from jobs_api.files.progress import Progress, ProgressReport

MAX_BYTES: Final = 16 << 20
"""16 MiB: JSON has to be held in memory as a whole. Measured at the limit: 120 MB for usual records, 480 MB
for the worst, which is nothing but empty arrays."""

MAX_DEPTH: Final = 200
"""Arrays and objects inside each other. The writing is recursive and must stay below Python's limit."""

_TOO_DEEP: Final = f"The JSON has more than {MAX_DEPTH} arrays and objects inside each other."
# Every integer of fewer characters, sign included, is below 2**53 and so exact as a double.
_SAFE_LENGTH: Final = 16
_SHOWN = 40
# Of JSON (RFC 8259, section 2).
_WHITE_SPACE: Final = " \t\n\r"


class CanonicalizeSummary(TypedDict):
    """What the job says when it is done."""

    source_bytes: int
    result_bytes: int
    sha256: str
    """Of the result, as 64 hexadecimal digits: equal content has an equal one."""


def canonicalize(
    source: Path, result: Path, _payload: CanonicalizePayload, report: ProgressReport
) -> CanonicalizeSummary:
    """Write a JSON file in canonical form.

    Args:
        source: the file; UTF-8, or UTF-16 or UTF-32.
        result: where the canonical UTF-8 text is written, with no line end after it.
        _payload: holds nothing that matters here.
        report: told how far it is.

    Raises:
        JobUserError: the file is too large, no JSON, or has no canonical form.
    """
    progress = Progress(report)
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise JobUserError(f"The file has {size} bytes; at most {MAX_BYTES} (16 MiB) can be handled.")
    progress.tell(0, "reading the JSON")
    value = _parse(_text(source.read_bytes()))
    progress.tell(50, "writing the canonical form")
    try:
        canonical = rfc8785.dumps(value)
    except ValueError:
        raise JobUserError('The JSON has half a character in a text, such as "\\ud800".') from None
    result.write_bytes(canonical)
    progress.tell(100, "done")
    return CanonicalizeSummary(
        source_bytes=size, result_bytes=len(canonical), sha256=hashlib.sha256(canonical).hexdigest()
    )


def _text(data: bytes) -> str:
    if not data.strip():
        raise JobUserError("The file is empty.")
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JobUserError(
            f"Line {line} cannot be read as {encoding.removesuffix('-sig')} text: "
            f"byte 0x{data[error.start]:02X} at offset {error.start}."
        ) from None


def _parse(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise JobUserError(f"This is not valid JSON. {_fault(text, error)}") from None
    except RecursionError:
        raise JobUserError(_TOO_DEEP) from None
    _check_depth(value)
    return value


def _fault(text: str, error: json.JSONDecodeError) -> str:
    content = text.rstrip(_WHITE_SPACE)
    if error.pos >= len(content):
        # The parser names the place behind the last line end: a line that nobody sees.
        last_line = content.count("\n") + 1
        return f"The text ends too early, after line {last_line}."
    return f"Line {error.lineno}, column {error.colno}: {error.msg}."


def _check_depth(value: JsonValue) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[JsonValue] = []
        for item in level:
            if isinstance(item, list):
                deeper.extend(item)
            elif isinstance(item, dict):
                deeper.extend(item.values())
        if not deeper:
            return
        level = deeper
    raise JobUserError(_TOO_DEEP)


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JobUserError(f'An object has the name "{twice}" more than once.')
    return members


def _integer(digits: str) -> int | float:
    if len(digits) < _SAFE_LENGTH:
        return int(digits)
    # A double carries some larger integers to the last digit, and this module writes such ones itself (1e17).
    number = float(digits)
    if Decimal(repr(number)) != Decimal(digits):
        raise JobUserError(
            f"The integer {digits[:_SHOWN]} is too large to keep exactly. Write it as text, in quotes."
        )
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JobUserError(f"The number {digits[:_SHOWN]} is too large. Write it as text, in quotes.")
    return number


def _refuse_constant(word: str) -> JsonValue:
    raise JobUserError(f"{word} is not valid JSON. Write null, or a text in quotes.")
