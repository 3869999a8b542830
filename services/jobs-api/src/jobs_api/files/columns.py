"""What one column holds: its type, found from all of its values, and the figures of that type.

The rules, chosen so that no figure is ever quietly wrong:

- No value: empty, only spaces, or a null word (NA, null, NaN, ...). It counts as a null and as nothing else.
- integer: digits with an optional sign, up to 300 of them, no leading zero ("007" is text: an article number
  or a postal code loses its zeros as a number).
- float: with a decimal point or an exponent ("1e5"), finite as a double. A column of integers and floats is
  float. Thousands separators, decimal commas and infinities are text.
- boolean: true and false in any case. 0 and 1 are integers; yes and no are text.
- date: YYYY-MM-DD. Other ways to write a date are ambiguous and so text.
- datetime: a date, "T" or a space, hours and minutes, optional seconds, fraction and offset (RFC 3339);
  either all values have an offset or none has.
- text: everything else, and every mixture. In order of code points; cut to 100 characters in min and max.

Spaces around a value do not matter for its type. Distinct values and the longest are of the text as written.
"""

from collections.abc import Collection, Sequence
from typing import Final, TypedDict

from jobs_api.files.values import Booleans, Bound, ColumnType, Dates, Datetimes, Numbers, Typed, widened

DEFAULT_NULL_WORDS: Final = ["NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None", "NaN", "nan", "NAN"]

SHOWN_CHARACTERS: Final = 100
"""Longer texts are cut to this in `min` and `max`."""


class ColumnStats(TypedDict):
    """The figures of one column, as they stand in the result."""

    name: str
    """From the header as written, or `column_1`, `column_2`, ... without one."""
    position: int
    """1-based."""
    type: ColumnType
    nulls: int
    """Rows with no value here."""
    distinct: int
    """Different values as written, nulls not counted; exact."""
    min: Bound
    max: Bound
    """In the order of the type. Dates are text in ISO format, and so are integers beyond 2**53 - 1, which
    readers of JSON would round."""
    mean: float | None
    """Of integers and floats: the exact mean, rounded once."""
    longest: int
    """Characters of the longest value as written."""


class Column:
    """Takes all values of one column, batch by batch."""

    def __init__(self, null_words: frozenset[str]) -> None:
        """Begin with no value.

        Args:
            null_words: what means "no value", without spaces around; includes the empty word.
        """
        self.longest = 0
        self._null_words = null_words
        self._nulls = 0
        self._typed: Typed | None = None
        self._is_text = False
        self._texts: list[str] = []

    def add(self, values: Sequence[str]) -> set[str]:
        """Take the next values; return the different ones that are no nulls."""
        different = set(values)
        together = "".join(different)
        if " " in together or "\t" in together:
            present = {value for value in different if value.strip(" \t") not in self._null_words}
        else:
            present = different - self._null_words
        if len(present) < len(different):
            filled = [value for value in values if value in present]
            self._nulls += len(values) - len(filled)
            values = filled
        if present:
            self.longest = max(self.longest, *map(len, present))
            self._bound_text(present)
            self._bound_type(present, values)
        return present

    def stats(self, name: str, position: int, distinct: int) -> ColumnStats:
        """Return the figures, with what only the caller knows."""
        kind: ColumnType = "empty"
        low: Bound = None
        high: Bound = None
        mean: float | None = None
        if self._is_text:
            kind, (low, high) = "text", self._texts
        elif self._typed is not None:
            kind, low, high, mean = self._typed.figures()
        return ColumnStats(
            name=name,
            position=position,
            type=kind,
            nulls=self._nulls,
            distinct=distinct,
            min=low,
            max=high,
            mean=mean,
            longest=self.longest,
        )

    def _bound_text(self, present: set[str]) -> None:
        # Kept for every column: one that looks like numbers for a million rows may still turn out to be text.
        # Cutting first gives the same result, because a shorter prefix never changes which text comes first.
        texts: Collection[str] = present
        if self.longest > SHOWN_CHARACTERS:
            texts = [value[:SHOWN_CHARACTERS] for value in present]
        self._texts = widened(self._texts, texts)

    def _bound_type(self, present: set[str], values: Sequence[str]) -> None:
        if self._is_text:
            return
        if self._typed is None:
            readings: tuple[Typed, ...] = (Numbers(), Booleans(), Dates(), Datetimes())
            self._typed = next((typed for typed in readings if typed.add(present, values)), None)
            self._is_text = self._typed is None
        else:
            self._is_text = not self._typed.add(present, values)
