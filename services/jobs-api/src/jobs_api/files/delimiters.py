"""Which character separates the values of a file, found by reading its start with each candidate.

Not `csv.Sniffer`, which also takes letters and colons for separators: a candidate must split the header,
and the one that gives the most rows the header's width wins.
"""

import codecs
import csv
import io
from pathlib import Path

_SAMPLE_BYTES = 1 << 16

# In this order if two fit equally well: the rarer a character is in plain text, the likelier it was meant.
_CANDIDATES = ("\t", ";", "|", ",")
_DEFAULT = ","
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar (|)"}


def separator_name(delimiter: str) -> str:
    """Say a separator in words, with its article."""
    return _NAMES.get(delimiter, f'"{delimiter}"')


def find_delimiter(source: Path, encoding: str) -> str:
    """Return the separator that fits the start of the file best; a comma if none splits the header.

    Args:
        source: a file that was checked to be text in `encoding`.
        encoding: a Python codec name.
    """
    with source.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        cut = bool(file.read(1))
    sample = codecs.getincrementaldecoder(encoding)().decode(head)
    best, best_score = _DEFAULT, (0.0, 0)
    for candidate in _CANDIDATES:
        score = _fit(sample, candidate, cut)
        if score > best_score:
            best, best_score = candidate, score
    return best


def _fit(sample: str, delimiter: str, cut: bool) -> tuple[float, int]:
    """Return the share of rows as wide as the header, and that width; nothing if the header is not split."""
    widths: list[int] = []
    # Strict: with a wrong separator the quotes rarely make sense. A fault ends the sample and counts as one
    # row that does not fit; the real reading names it. A cut sample ends with such a row in any case.
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True)
    try:
        widths.extend(len(record) for record in reader if record)
    except csv.Error:
        widths.append(0)
    if cut and len(widths) > 1:
        widths.pop()
    if not widths or widths[0] <= 1:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]
