"""What a person may ask of each operation: the payload TypedDicts, decoded from JSON at submission."""

from typing import Annotated, NotRequired, TypeAlias, TypedDict

from msgspec import Meta

FileId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
"""The id under which the uploaded file lies in the object store."""

Delimiter: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1, pattern=r'[^"\r\n\x00]')]
"""The one character between two values. Left out: found among tab, semicolon, bar and comma."""

Encoding: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]
"""The name of a character encoding, such as `utf-8`, `cp1252` or `utf-16`. Left out: detected."""

ColumnNames: TypeAlias = Annotated[list[str], Meta(min_length=1, max_length=16_384)]
"""Names from the header; in a file without one, `column_1` is the first column."""

NullWords: TypeAlias = Annotated[list[str], Meta(max_length=100)]
"""The words that mean "no value here", as they are written; an empty value always means that."""


class CsvPayload(TypedDict):
    """What every operation on a CSV file takes."""

    file_id: FileId
    delimiter: NotRequired[Delimiter]
    encoding: NotRequired[Encoding]
    has_header: NotRequired[bool]
    """Whether the first row names the columns. Left out: true."""


class RowCountPayload(CsvPayload):
    """Payload of `csv.row_count`."""


class ColumnStatsPayload(CsvPayload):
    """Payload of `csv.column_stats`."""

    null_words: NotRequired[NullWords]
    """Left out: NA, N/A, null, None and NaN in their usual spellings."""


class DeduplicatePayload(CsvPayload):
    """Payload of `csv.deduplicate`."""

    columns: NotRequired[ColumnNames]
    """Two rows are the same if they agree in these columns. Left out: in all of them."""


class CanonicalizePayload(TypedDict):
    """Payload of `json.canonicalize`."""

    file_id: FileId
