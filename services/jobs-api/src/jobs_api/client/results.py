"""Shows or saves what a job made."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict
from uuid import uuid4

import msgspec
from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue, decode_as, decode_json, encode_json
from rich.console import Console
from rich.text import Text

from jobs_api.client.connection import Download
from jobs_api.client.tables import Column, print_table
from jobs_api.client.words import visible

SMALL_BYTES: Final = 64 * 1024
"""A result up to this size is printed; a larger one is better saved."""

COLUMNS: Final[tuple[Column, ...]] = (
    {"heading": "COLUMN"},
    {"heading": "TYPE"},
    {"heading": "NULLS", "right": True},
    {"heading": "DISTINCT", "right": True},
    {"heading": "MIN", "right": True, "shrinks": True},
    {"heading": "MAX", "right": True, "shrinks": True},
    {"heading": "MEAN", "right": True},
)


class _Column(TypedDict):
    name: str
    type: str
    nulls: int
    distinct: int
    min: str | int | float | bool | None
    max: str | int | float | bool | None
    mean: float | None


class _Statistics(TypedDict):
    rows: int
    columns: list[_Column]


def check_target(target: Path) -> None:
    """Find out early that a result can't be saved: before a file is uploaded and a job is waited for.

    Raises:
        OSError: its folder is not there, or it is a folder itself.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder for it does not exist", str(target))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "that is a folder; a file name is needed", str(target))


def save(download: Download, target: Path) -> int:
    """Write a result to a local file; return its size in bytes.

    It is written beside the target first, so that a broken download never looks like a result.

    Raises:
        OSError: the file can't be written.
    """
    beside = target.with_name(f"{target.name}.{uuid4().hex[:8]}.part")
    try:
        return _write_beside(download, beside, target)
    except OSError as error:
        # The name beside it means nothing to whoever gave the target.
        raise OSError(error.errno, error.strerror, str(target)) from error


def _write_beside(download: Download, beside: Path, target: Path) -> int:
    size = 0
    try:
        with beside.open("wb") as local:
            for chunk in download.chunks():
                size += local.write(chunk)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return size


def is_small(download: Download) -> bool:
    """Tell whether a result is small enough to be printed."""
    return download.size is not None and download.size <= SMALL_BYTES


def print_result(console: Console, content: bytes) -> None:
    """Print a small result: column statistics as a table, other JSON indented, other text as it is."""
    try:
        statistics = decode_as(content, _Statistics)
    except DecodeError:
        _print_text(console, content)
    else:
        console.print(Text(f"{statistics['rows']:,} rows"))
        rows = [[Text(cell) for cell in _cells(column)] for column in statistics["columns"]]
        print_table(console, COLUMNS, rows)


def print_exact(console: Console, content: bytes) -> None:
    """Print a small result byte for byte; only a person's terminal gets it made safe, and a line end."""
    text = content.decode("utf-8", "replace")
    if console.is_terminal:
        console.print(Text(visible(text)), soft_wrap=True)
    else:
        console.file.write(text)
        console.file.flush()


def _print_text(console: Console, content: bytes) -> None:
    try:
        text = msgspec.json.format(encode_json(decode_json(content)), indent=2)
    except DecodeError:
        text = content.decode("utf-8", "replace")
    for line in text.splitlines():
        console.print(Text(visible(line)), soft_wrap=True)


def _cells(column: _Column) -> Iterator[str]:
    yield visible(column["name"])
    yield column["type"]
    yield f"{column['nulls']:,}"
    yield f"{column['distinct']:,}"
    yield _shown(column["min"])
    yield _shown(column["max"])
    yield _shown(column["mean"])


def _shown(value: JsonValue) -> str:
    match value:
        case None:
            return ""
        case str():
            return visible(value)
        case float():
            return f"{value:.6g}"
        case _:
            return encode_json(value)
