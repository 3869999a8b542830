"""A CSV file as checked rows: layout first, then batches of rows of equal width, in flat memory.

The parser is Python's own `csv`, in strict mode. What it cannot do stands around it: a guard that stops a
record without end before it fills the memory (one quote that is never closed makes the rest of the file one
value), and a second, slow reading after a fault, which finds the row and the line to name.

What counts as a row: RFC 4180, and other separators. A line with nothing on it is no row, wherever it is.
A header may repeat a name or leave one empty: columns are told apart by position, and only an operation
that is asked for a column by such a name refuses.
"""

import csv
import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, TypedDict

from platform_core.errors import JobUserError
from typing_extensions import override

from jobs_api.files.delimiters import find_delimiter, separator_name
from jobs_api.files.encodings import inspect_text
from jobs_api.files.payloads import CsvPayload
from jobs_api.files.progress import Stage

RECORD_BYTES: Final = 4 << 20
"""A row of more than this (4 MiB) is refused: nearly always a quote that was opened and never closed."""

MAX_COLUMNS: Final = 100_000
"""A wider file is refused: nearly always a wrong separator, or one line where there should be many."""

_BATCH_BYTES = 1 << 16
_BATCH_BYTES_PER_COLUMN = 1 << 7
_MAX_BATCH_BYTES = 1 << 20

# The guard limits the row; csv's own limit of a value (131,072 characters) would refuse honest long texts.
_NO_FIELD_LIMIT = 2**31 - 1


class Layout(TypedDict):
    """How to read one CSV file, and how to write another like it."""

    size: int
    """Bytes."""
    encoding: str
    """A Python codec name."""
    byte_order_mark: bool
    line_end: Literal["\n", "\r\n"]
    delimiter: str
    has_header: bool
    names: list[str]
    """One for each column: from the header as written, or `column_1`, `column_2`, ... without one."""


class _Records(Protocol):
    """The part of `csv.reader` that is used here."""

    @property
    def line_num(self) -> int:
        """The lines read so far."""

    def __iter__(self) -> "_Records":
        """Itself."""

    def __next__(self) -> list[str]:
        """The next record; empty for a blank line."""


class _RecordTooLongError(Exception):
    """One record goes on past `RECORD_BYTES`."""


class _GuardedBytes(io.BufferedIOBase):
    """The file's bytes, counted; reading fails once one record has taken more than `RECORD_BYTES`."""

    def __init__(self, raw: BinaryIO) -> None:
        self.name = "source"  # io.TextIOWrapper wants one
        self.position = 0
        self._raw = raw
        self._allowed = RECORD_BYTES

    def record_ended(self) -> int:
        """Let the next record have its full length; return the position, in bytes."""
        self._allowed = self.position + RECORD_BYTES
        return self.position

    @override
    def readable(self) -> bool:
        return True

    @override
    def read1(self, size: int = -1, /) -> bytes:
        if self.position > self._allowed:
            raise _RecordTooLongError
        chunk = self._raw.read(size)
        self.position += len(chunk)
        return chunk


def survey(source: Path, payload: CsvPayload, stage: Stage) -> Layout:
    """Find out how a file is to be read, and check that all of it is text.

    Args:
        source: the file.
        payload: what the person said about it; said wins over found.
        stage: told the bytes checked.

    Raises:
        JobUserError: the file is empty, no CSV, not in its encoding, or its header cannot be read.
    """
    facts = inspect_text(source, payload.get("encoding"), stage)
    delimiter = payload.get("delimiter") or find_delimiter(source, facts["encoding"])
    layout = Layout(
        size=facts["size"],
        encoding=facts["encoding"],
        byte_order_mark=facts["byte_order_mark"],
        line_end="\r\n" if facts["carriage_returns"] else "\n",
        delimiter=delimiter,
        has_header=payload.get("has_header", True),
        names=[],
    )
    first = _first_record(source, layout)
    if len(first) > MAX_COLUMNS:
        raise JobUserError(f"The file has {len(first)} columns; at most {MAX_COLUMNS} can be handled.")
    if layout["has_header"]:
        layout["names"] = first
    else:
        layout["names"] = [f"column_{number}" for number in range(1, len(first) + 1)]
    return layout


def row_batches(source: Path, layout: Layout, stage: Stage) -> Iterator[list[list[str]]]:
    """Yield the data rows in order, some hundred or thousand at a time, each as wide as the layout says.

    Args:
        source: the file.
        layout: from `survey`.
        stage: told the bytes read.

    Raises:
        JobUserError: naming the first row that is at fault, and its line.
    """
    width = len(layout["names"])
    size = _batch_bytes(width)
    with _opened(source, layout) as (guard, records):
        try:
            if layout["has_header"]:
                _next_record(records)
            while rows := _batch(guard, records, size):
                widths = set(map(len, rows))
                if 0 in widths:
                    rows = [row for row in rows if row]
                if not widths <= {0, width}:
                    rows.clear()  # one of them may be large, and is now read a second time
                    raise _first_fault(source, layout)
                if rows:
                    yield rows
                stage.at(guard.position)
        except (csv.Error, _RecordTooLongError):
            raise _first_fault(source, layout) from None


def _batch_bytes(width: int) -> int:
    """Return how much of the file one batch covers.

    Measured: a small batch stays in the processor's cache, which makes everything done with it up to twice as
    fast; a wide file needs a larger one, for there is a fixed cost for each column of each batch.
    """
    return min(_BATCH_BYTES + _BATCH_BYTES_PER_COLUMN * width, _MAX_BATCH_BYTES)


def _batch(guard: _GuardedBytes, records: _Records, size: int) -> list[list[str]]:
    """Return the next records, blank lines among them, from about `size` bytes; empty at the end."""
    rows: list[list[str]] = []
    edge = guard.record_ended() + size
    with _paused_collector():
        for row in records:
            rows.append(row)
            if guard.position >= edge:
                break
    return rows


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Keep the cyclic garbage collector from looking through new rows again and again: half of the time."""
    was_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _opened(source: Path, layout: Layout) -> Iterator[tuple[_GuardedBytes, _Records]]:
    csv.field_size_limit(_NO_FIELD_LIMIT)
    with source.open("rb", buffering=0) as raw:
        guard = _GuardedBytes(raw)
        # newline="" keeps line ends inside quotes as they are, and still ends a line at \n, \r\n and \r.
        text = io.TextIOWrapper(guard, encoding=layout["encoding"], newline="")
        yield guard, csv.reader(text, delimiter=layout["delimiter"], strict=True)


def _next_record(records: _Records) -> list[str]:
    """Return the next record that is no blank line; empty at the end."""
    for record in records:
        if record:
            return record
    return []


def _first_record(source: Path, layout: Layout) -> list[str]:
    with _opened(source, layout) as (_, records):
        try:
            first = _next_record(records)
        except (csv.Error, _RecordTooLongError):
            raise _first_fault(source, layout) from None
    if not first:
        raise JobUserError("The file is empty.")
    return first


def _first_fault(source: Path, layout: Layout) -> JobUserError:
    """Read again from the start, record by record, up to the one at fault, and describe it."""
    width = len(layout["names"])
    number = 0 if layout["has_header"] else 1
    line = 1
    with _opened(source, layout) as (guard, records):
        while True:
            guard.record_ended()
            place = f"Row {number} (line {line})" if number else f"The header (line {line})"
            try:
                record = next(records)
            except csv.Error as error:
                return JobUserError(_quote_fault(place, line, records.line_num, str(error)))
            except _RecordTooLongError:
                return JobUserError(
                    f"{place} is longer than {RECORD_BYTES >> 20} MB. "
                    "Most likely a quote is opened there and never closed."
                )
            if number > 0 and len(record) not in {0, width}:
                return JobUserError(_ragged(place, len(record), layout))
            number += bool(record)
            line = records.line_num + 1


def _quote_fault(place: str, first_line: int, last_line: int, reason: str) -> str:
    if "unexpected end of data" in reason:
        return f"{place} opens a quote that is never closed: the file ends inside it."
    reach = f", which goes on to line {last_line}" if last_line > first_line else ""
    return (
        f"{place} has text after a closing quote{reach}. "
        "Close every quote, and write a quote inside a quoted value twice."
    )


def _ragged(place: str, count: int, layout: Layout) -> str:
    width = len(layout["names"])
    whole = "the header" if layout["has_header"] else "the first row"
    hint = ""
    if count > width:
        hint = f" A value with {separator_name(layout['delimiter'])} in it must stand in quotes."
    return f"{place} has {count} {'value' if count == 1 else 'values'} but {whole} has {width}.{hint}"
