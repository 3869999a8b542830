"""Tables that fit: what is less needed is cut short or left out, and a narrow terminal gets a list instead.

Nothing is ever broken in the middle of a row, for then no eye finds the columns; and what is copied from a
table (a job's id) is whole or not there.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NotRequired, TypedDict

from rich.console import Console
from rich.text import Text

GAP: Final = 2
SHORTEST: Final = 12
"""A text that is cut shorter than this says nothing."""

NARROWEST: Final = 8
"""A value that goes on below itself is this wide at least, however narrow the terminal."""


class Column(TypedDict):
    """One column.

    Attributes:
        heading: its name.
        right: whether its cells stand to the right, as numbers do.
        shrinks: whether its cells may be cut short.
        optional: whether it may be left out; the last such column goes first.
    """

    heading: str
    right: NotRequired[bool]
    shrinks: NotRequired[bool]
    optional: NotRequired[bool]


class TableWriter:
    """Prints rows as they come; the columns keep their places from the first rows on.

    Args:
        console: where to.
        columns: the columns; the first one names the row.
    """

    def __init__(self, console: Console, columns: Sequence[Column]) -> None:
        self._console = console
        self._columns = columns
        self._widths = [len(column["heading"]) for column in columns]
        self._shown: Sequence[int] | None = None

    def write(self, rows: Sequence[Sequence[Text]]) -> None:
        """Print rows, each with one cell a column."""
        self._widths = [
            max(width, *(row[index].cell_len for row in rows)) if rows else width
            for index, width in enumerate(self._widths)
        ]
        first = self._shown is None
        if self._shown is None:
            self._shown = self._choose()
        if not self._shown:
            for index, row in enumerate(rows):
                self._write_card(row, first=first and index == 0)
            return
        widths = self._fitted(self._shown)
        if first:
            headings = [Text(column["heading"], "bold") for column in self._columns]
            self._write_row(headings, self._shown, widths)
        for row in rows:
            self._write_row(row, self._shown, widths)

    def _choose(self) -> Sequence[int]:
        """Return the columns to show, by number; none when even the needed ones have no room."""
        shown = [index for index, _ in enumerate(self._columns)]
        while self._excess(shown, self._fitted(shown)) > 0:
            left_out = [index for index in shown if self._columns[index].get("optional", False)]
            if not left_out:
                return []
            shown.remove(left_out[-1])
        return shown

    def _fitted(self, shown: Sequence[int]) -> list[int]:
        widths = [*self._widths]
        for index in shown:
            if self._columns[index].get("shrinks", False):
                shortest = min(widths[index], SHORTEST)
                widths[index] = max(shortest, widths[index] - max(0, self._excess(shown, widths)))
        return widths

    def _excess(self, shown: Sequence[int], widths: Sequence[int]) -> int:
        needed = sum(widths[index] for index in shown) + GAP * (len(shown) - 1)
        return needed - self._console.width

    def _write_row(self, row: Sequence[Text], shown: Sequence[int], widths: Sequence[int]) -> None:
        line = Text()
        for index in shown:
            cell = row[index].copy()
            if self._columns[index].get("shrinks", False):
                cell.truncate(widths[index], overflow="ellipsis")
            room = max(0, widths[index] - cell.cell_len)
            if self._columns[index].get("right", False):
                cell.pad_left(room)
            elif index != shown[-1]:
                cell.pad_right(room)
            line.append_text(cell)
            if index != shown[-1]:
                line.append(" " * GAP)
        line.rstrip()
        self._console.print(line, soft_wrap=True)

    def _write_card(self, row: Sequence[Text], *, first: bool) -> None:
        if not first:
            self._console.print()
        named = zip(self._columns, row, strict=True)
        print_facts(self._console, {column["heading"]: cell for column, cell in named})


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
    """Print a whole table."""
    TableWriter(console, columns).write(rows)


def print_facts(console: Console, facts: Mapping[str, Text | str]) -> None:
    """Print names and values, a pair a line; a long value goes on below itself, an empty one is left out."""
    told = {name: text for name, value in facts.items() if (text := _as_text(value)).plain}
    indent = max((len(name) for name in told), default=0) + GAP
    room = max(NARROWEST, console.width - indent)
    for name, text in told.items():
        for number, part in enumerate(text.wrap(console, room, overflow="fold")):
            part.rstrip()
            start = "" if number else name
            console.print(Text(start.ljust(indent)).append_text(part), soft_wrap=True)


def _as_text(value: Text | str) -> Text:
    return Text(value) if isinstance(value, str) else value
