"""What a person may ask of each operation: the payload TypedDicts, decoded from JSON at submission."""

from typing import Annotated, NotRequired, TypeAlias, TypedDict

from msgspec import Meta

# What stands in `description` is published with the job types (`GET /v1/job-types`).
FileId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=256, description="Id of the uploaded file, from POST /v1/files.")
]

Delimiter: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1,
        pattern=r'[^"\r\n\x00]',
        description="The character between two values, no quote and no line end. Left out: found among tab, "
        "semicolon, bar and comma.",
    ),
]

Encoding: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="Name of a character encoding, such as utf-8, cp1252 or utf-16. Left out: detected.",
    ),
]

HasHeader: TypeAlias = Annotated[
    bool, Meta(description="Whether the first row names the columns. Left out: true.")
]

ColumnNames: TypeAlias = Annotated[
    list[str],
    Meta(
        min_length=1,
        max_length=16_384,
        description="Two rows are the same if they agree in these columns; names from the header, or "
        "column_1 and so on in a file without one. Left out: all columns.",
    ),
]

NullWords: TypeAlias = Annotated[
    list[str],
    Meta(
        max_length=100,
        description='The words that mean "no value here", as they are written; an empty value always means '
        "that. Left out: NA, N/A, null, None and NaN in their usual spellings.",
    ),
]


class CsvPayload(TypedDict):
    """What every operation on a CSV file takes."""

    file_id: FileId
    delimiter: NotRequired[Delimiter]
    encoding: NotRequired[Encoding]
    has_header: NotRequired[HasHeader]


class RowCountPayload(CsvPayload):
    """Payload of `csv.row_count`."""


class ColumnStatsPayload(CsvPayload):
    """Payload of `csv.column_stats`."""

    null_words: NotRequired[NullWords]


class DeduplicatePayload(CsvPayload):
    """Payload of `csv.deduplicate`."""

    columns: NotRequired[ColumnNames]


class CanonicalizePayload(TypedDict):
    """Payload of `json.canonicalize`."""

    file_id: FileId
