"""How many different values each column has: the exact number, in bounded memory.

The first values stay in memory, up to a limit that all columns share. What does not fit, and is not among
them, goes to a temporary file, one bucket a column. In the end each bucket is counted by itself; one that is
too large for the memory is split by hash until its parts are not. DuckDB was measured for this and runs out
of memory when it is held to 200 MB; a sketch (HyperLogLog) would be smaller and wrong by a percent.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import msgpack

from jobs_api.files.progress import Stage
from jobs_api.files.spill import Buckets, buckets

KEPT_VALUES = 200_000
"""So many values are held in memory at once, over all columns."""

WHOLE_CHARACTERS = 40
"""A longer value is represented by its 160-bit digest, so that memory is bounded by the number of values."""

_PARTS_BITS = 6
_PARTS = 1 << _PARTS_BITS
_TEXTS = msgpack.Decoder(list[str])


class DistinctCounts:
    """Counts the different values of every column of one file."""

    def __init__(self, folder: Path, columns: int, spilled: Buckets[str]) -> None:
        self._folder = folder
        self._kept: list[set[str]] = [set() for _ in range(columns)]
        self._room = KEPT_VALUES
        self._spilled = spilled

    def add(self, column: int, values: set[str], longest: int) -> None:
        """Count some values of a column.

        Args:
            column: its index.
            values: some of its values.
            longest: the length of the longest of them, in characters.
        """
        if longest > WHOLE_CHARACTERS:
            values = {_digest(value) if len(value) > WHOLE_CHARACTERS else value for value in values}
        kept = self._kept[column]
        new = values - kept
        if len(new) <= self._room:
            kept |= new
            self._room -= len(new)
        else:
            # From now on nothing is kept, in any column: then what is spilled is never among what is kept.
            self._room = 0
            self._spilled.extend(column, new)

    def totals(self, stage: Stage) -> list[int]:
        """Return the number of different values of each column; call it once, at the end.

        Args:
            stage: told the columns counted.
        """
        kept = [len(values) for values in self._kept]
        self._kept.clear()
        totals: list[int] = []
        for column, count in enumerate(kept):
            totals.append(count + self._count(_reading(self._spilled, column), 0))
            stage.at(column + 1)
        return totals

    def _count(self, read: Callable[[], Iterator[list[str]]], level: int) -> int:
        seen: set[str] = set()
        for block in read():
            seen.update(block)
            if len(seen) > KEPT_VALUES:
                break
        else:
            return len(seen)
        seen.clear()
        shift = level * _PARTS_BITS
        with buckets(self._folder, _PARTS, _TEXTS) as parts:
            for block in read():
                parts.scatter(block, [hash(value) >> shift & _PARTS - 1 for value in block])
            return sum(self._count(_reading(parts, number), level + 1) for number in range(_PARTS))


@contextmanager
def distinct_counts(folder: Path, columns: int) -> Iterator[DistinctCounts]:
    """Begin to count; the temporary file is gone at the end.

    Args:
        folder: where temporary files lie.
        columns: how many columns the file has.
    """
    with buckets(folder, columns, _TEXTS) as spilled:
        yield DistinctCounts(folder, columns, spilled)


def _reading(parts: Buckets[str], number: int) -> Callable[[], Iterator[list[str]]]:
    return lambda: parts.read(number)


def _digest(value: str) -> str:
    """Return 41 characters: longer than any value that is kept whole, so the two are never confused."""
    return "#" + hashlib.blake2b(value.encode(), digest_size=20).hexdigest()
