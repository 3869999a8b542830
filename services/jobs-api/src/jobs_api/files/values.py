"""Typed readings of a column's values: numbers, booleans, dates, datetimes.

Each is fed batches of a column until one value does not fit; the figures of the rest are then worthless. A
whole batch is checked by one regular expression over all its different values: that is several times faster
than a check of each. The rules of the types are in `columns`.
"""

import math
import re
from collections.abc import Collection, Sequence
from datetime import date, datetime
from fractions import Fraction
from itertools import chain
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from typing_extensions import override

ColumnType: TypeAlias = Literal["integer", "float", "boolean", "date", "datetime", "text", "empty"]
Bound: TypeAlias = bool | int | float | str | None
Figures: TypeAlias = tuple[ColumnType, Bound, Bound, float | None]
"""Type, smallest value, largest value, mean."""

Ordered = TypeVar("Ordered", float, str, date, datetime)

_EXACT_IN_JSON: Final = 2**53 - 1


def _lines_of(pattern: str) -> re.Pattern[str]:
    # Possessive quantifiers: without them the engine keeps a way back for every value of the batch.
    return re.compile(rf"(?:[ \t]*+(?:{pattern})[ \t]*+\n)*+")


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INTEGERS = _lines_of(r"[+-]?(?:0|[1-9][0-9]{0,299}+)")
_FLOATS = _lines_of(r"[+-]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_BOOLEANS = _lines_of(r"[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]")
_DATES = _lines_of(_DAY)
_DATETIMES = _lines_of(
    _DAY + r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)


class Typed(Protocol):
    """The figures of a column under the assumption that it has one type."""

    def add(self, present: Collection[str], values: Sequence[str]) -> bool:
        """Take the next values of the column.

        Args:
            present: the different values among them that are no nulls; at least one.
            values: all of them, with nulls and repeats.

        Returns:
            False if one of them is not of this type.
        """

    def figures(self) -> Figures:
        """Return the figures of all values taken."""


class Numbers(Typed):
    """Integers and floats; the sum is exact, so that the mean is rounded only once."""

    def __init__(self) -> None:
        self._whole = True
        self._bounds: list[float] = []
        self._total = Fraction(0)
        self._count = 0

    @override
    def add(self, present: Collection[str], values: Sequence[str]) -> bool:
        """See `Typed.add`."""
        lines = joined(present)
        if _all_match(_INTEGERS, lines, present):
            integers = list(map(int, values))
            self._bounds = widened(self._bounds, integers)
            self._total += sum(integers)
            self._count += len(integers)
            return True
        if not _all_match(_FLOATS, lines, present):
            return False
        floats = list(map(float, values))
        self._whole = False
        self._bounds = widened(self._bounds, floats)
        if not all(map(math.isfinite, self._bounds)):
            return False
        self._total += _exact_sum(floats)
        self._count += len(floats)
        return True

    @override
    def figures(self) -> Figures:
        """See `Typed.figures`."""
        low, high = self._bounds
        mean = float(self._total / self._count)
        if self._whole:
            return "integer", _in_json(int(low)), _in_json(int(high)), mean
        return "float", float(low), float(high), mean


class Booleans(Typed):
    """True and false, in any case."""

    def __init__(self) -> None:
        self._seen: set[bool] = set()

    @override
    def add(self, present: Collection[str], values: Sequence[str]) -> bool:
        """See `Typed.add`."""
        if not _all_match(_BOOLEANS, joined(present), present):
            return False
        self._seen.update(value.strip().lower() == "true" for value in present)
        return True

    @override
    def figures(self) -> Figures:
        """See `Typed.figures`."""
        return "boolean", min(self._seen), max(self._seen), None


class Dates(Typed):
    """Days, as YYYY-MM-DD."""

    def __init__(self) -> None:
        self._bounds: list[date] = []

    @override
    def add(self, present: Collection[str], values: Sequence[str]) -> bool:
        """See `Typed.add`."""
        if not _all_match(_DATES, joined(present), present):
            return False
        try:
            days = [date.fromisoformat(value.strip()) for value in present]
        except ValueError:  # 30 February
            return False
        self._bounds = widened(self._bounds, days)
        return True

    @override
    def figures(self) -> Figures:
        """See `Typed.figures`."""
        low, high = self._bounds
        return "date", low.isoformat(), high.isoformat(), None


class Datetimes(Typed):
    """Moments, as RFC 3339 with or without an offset; one with and one without cannot be compared."""

    def __init__(self) -> None:
        self._bounds: list[datetime] = []

    @override
    def add(self, present: Collection[str], values: Sequence[str]) -> bool:
        """See `Typed.add`."""
        if not _all_match(_DATETIMES, joined(present), present):
            return False
        try:
            moments = [datetime.fromisoformat(value.strip()) for value in present]
            self._bounds = widened(self._bounds, moments)
        except (TypeError, ValueError):  # with and without offset; 30 February
            return False
        return True

    @override
    def figures(self) -> Figures:
        """See `Typed.figures`."""
        low, high = self._bounds
        return "datetime", low.isoformat(), high.isoformat(), None


def widened(bounds: list[Ordered], values: Collection[Ordered]) -> list[Ordered]:
    """Return the smallest and the largest of `bounds` and `values`, of which at least one is not empty."""
    return [min(chain(bounds, values)), max(chain(bounds, values))]


def joined(present: Collection[str]) -> str:
    """Put each value on a line of its own."""
    return "\n".join(present) + "\n"


def _all_match(pattern: re.Pattern[str], lines: str, present: Collection[str]) -> bool:
    # A value with a line end in it must not pass for two values.
    return lines.count("\n") == len(present) and pattern.fullmatch(lines) is not None


def _exact_sum(floats: Collection[float]) -> Fraction:
    """Add doubles with an error below 2**-105 of the sum; `math.fsum` alone rounds to 2**-53."""
    try:
        high = math.fsum(floats)
        low = math.fsum(chain(floats, (-high,)))
    except OverflowError:  # the sum of a few doubles near the largest one
        return sum(map(Fraction, floats), Fraction(0))
    return Fraction(high) + Fraction(low)


def _in_json(number: int) -> int | str:
    return number if abs(number) <= _EXACT_IN_JSON else str(number)
