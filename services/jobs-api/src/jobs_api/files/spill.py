"""Lists that do not fit in memory: items sorted into numbered buckets in one temporary file."""

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Generic, TypeVar

from msgspec import msgpack

Item = TypeVar("Item")

BUFFERED_ITEMS = 1 << 16
"""So many items wait in memory before they are written."""

_ENCODER = msgpack.Encoder()


class Buckets(Generic[Item]):
    """A fixed number of append-only lists in one file, each read back in the order it was written."""

    def __init__(self, file: IO[bytes], count: int, decoder: msgpack.Decoder[list[Item]]) -> None:
        self._file = file
        self._decoder = decoder
        self._waiting: list[list[Item]] = [[] for _ in range(count)]
        self._waiting_items = 0
        # For each writing, where each bucket's block begins, and where the last one ends.
        self._writings: list[array[int]] = []
        self._end = 0

    def extend(self, bucket: int, items: Iterable[Item]) -> None:
        """Append items to one bucket."""
        waiting = self._waiting[bucket]
        before = len(waiting)
        waiting.extend(items)
        self._count(len(waiting) - before)

    def scatter(self, items: list[Item], numbers: list[int]) -> None:
        """Append each item to the bucket that stands at the same place in `numbers`."""
        for item, bucket in zip(items, numbers, strict=True):
            self._waiting[bucket].append(item)
        self._count(len(items))

    def read(self, bucket: int) -> Iterator[list[Item]]:
        """Yield the items of one bucket, block by block, in the order they were appended."""
        self._write()
        for starts in self._writings:
            start, end = starts[bucket], starts[bucket + 1]
            if start < end:
                self._file.seek(start)
                yield self._decoder.decode(self._file.read(end - start))

    def _count(self, added: int) -> None:
        self._waiting_items += added
        if self._waiting_items >= BUFFERED_ITEMS:
            self._write()

    def _write(self) -> None:
        if self._waiting_items == 0:
            return
        self._file.seek(self._end)
        starts = array("Q", [self._end])
        for waiting in self._waiting:
            if waiting:
                self._end += self._file.write(_ENCODER.encode(waiting))
                waiting.clear()
            starts.append(self._end)
        self._writings.append(starts)
        self._waiting_items = 0


@contextmanager
def buckets(folder: Path, count: int, decoder: msgpack.Decoder[list[Item]]) -> Iterator[Buckets[Item]]:
    """Open empty buckets; their file has no name, so that even a killed process leaves nothing behind.

    Args:
        folder: where the file lies.
        count: how many buckets.
        decoder: reads one block of items back.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Buckets(file, count, decoder)
