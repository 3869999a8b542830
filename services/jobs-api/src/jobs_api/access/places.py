"""How many streams of events may be open at once: in all, and for one key or address."""

from collections import Counter
from typing import Literal, TypeAlias

Refusal: TypeAlias = Literal["full", "too-many"]


class StreamPlaces:
    """Counts open streams. Used on one event loop.

    Args:
        in_all: how many in this process.
        for_one: how many for one key or address.
    """

    def __init__(self, *, in_all: int, for_one: int) -> None:
        self._in_all = in_all
        self._for_one = for_one
        self._open: Counter[str] = Counter()

    def take(self, who: str) -> Refusal | None:
        """Take a place; or say that all are taken (`full`), or that this one has too many (`too-many`)."""
        if self._open[who] >= self._for_one:
            return "too-many"
        if self._open.total() >= self._in_all:
            return "full"
        self._open[who] += 1
        return None

    def give_back(self, who: str) -> None:
        """Give a place back."""
        self._open[who] -= 1
        if self._open[who] == 0:
            del self._open[who]

    def taken(self) -> int:
        """Return how many streams are open."""
        return self._open.total()
