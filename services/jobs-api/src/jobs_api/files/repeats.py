"""Which rows repeat an earlier one: exact, in order, in bounded memory.

A row is known by the 160-bit digest of its key. The first digests stay in memory; rows that do not fit and
are not repeats of those go to a temporary file with their numbers. In the end that file is read in order;
what is too large for the memory is split by digest, which keeps equal rows together and in order. The
outcome is one byte a row in a second temporary file, read in step with the rows when they are written.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import msgpack

from jobs_api.files.spill import Buckets, buckets

KEPT_DIGESTS = 200_000
"""So many digests are held in memory at once."""

_PARTS = 256
_NUMBERED = msgpack.Decoder(list[tuple[int, bytes]])
_REPEATED = b"\1"
_ENCODER = msgpack.Encoder()


class Repeats:
    """Takes the keys of all rows in order, then tells for each row whether its key came before."""

    def __init__(self, folder: Path, spilled: Buckets[tuple[int, bytes]], marks: BinaryIO) -> None:
        self._folder = folder
        self._seen: set[bytes] = set()
        self._full = False
        self._spilled = spilled
        self._marks = marks
        self._rows = 0

    def add(self, keys: Sequence[list[str]]) -> None:
        """Take the keys of the next rows: for each row the values that must all be the same."""
        seen = self._seen
        unknown: list[tuple[int, bytes]] = []
        marks = bytearray(len(keys))
        # msgpack writes each value with its length, so that ["a", "b"] and ["ab", ""] differ.
        for index, key in enumerate(keys):
            digest = hashlib.blake2b(_ENCODER.encode(key), digest_size=20).digest()
            if digest in seen:
                marks[index] = 1
            elif self._full:
                unknown.append((self._rows + index, digest))
            else:
                seen.add(digest)
                self._full = len(seen) >= KEPT_DIGESTS
        self._rows += len(keys)
        self._marks.write(marks)
        self._spilled.extend(0, unknown)

    def settle(self) -> None:
        """Decide the rows that did not fit in memory; call it once, after all rows."""
        self._seen.clear()
        self._marks.flush()
        self._settle(_reading(self._spilled, 0), 0)
        self._marks.seek(0)

    def next_marks(self, rows: int) -> bytes:
        """Return one byte for each of the next `rows` rows, not zero if the row repeats an earlier one."""
        return self._marks.read(rows)

    def _settle(self, read: Callable[[], Iterator[list[tuple[int, bytes]]]], level: int) -> None:
        seen: set[bytes] = set()
        for block in read():
            for number, digest in block:
                if digest in seen:
                    os.pwrite(self._marks.fileno(), _REPEATED, number)
                else:
                    seen.add(digest)
            if len(seen) > KEPT_DIGESTS:
                break
        else:
            return
        # What was marked so far stays right: it is marked again below.
        seen.clear()
        with buckets(self._folder, _PARTS, _NUMBERED) as parts:
            for block in read():
                parts.scatter(block, [digest[level] for _, digest in block])
            for part in range(_PARTS):
                self._settle(_reading(parts, part), level + 1)


@contextmanager
def repeats(folder: Path) -> Iterator[Repeats]:
    """Begin with no row; the temporary files are gone at the end.

    Args:
        folder: where temporary files lie.
    """
    with buckets(folder, 1, _NUMBERED) as spilled, tempfile.TemporaryFile(dir=folder) as marks:
        yield Repeats(folder, spilled, marks)


def _reading(
    parts: Buckets[tuple[int, bytes]], number: int
) -> Callable[[], Iterator[list[tuple[int, bytes]]]]:
    return lambda: parts.read(number)
