"""What a payload may say; the rest is refused at submission with its path."""

import pytest
from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue, PayloadCodec

from jobs_api.files.payloads import (
    CanonicalizePayload,
    ColumnStatsPayload,
    DeduplicatePayload,
    RowCountPayload,
)


@pytest.mark.parametrize(
    "payload",
    [
        {"file_id": "f"},
        {"file_id": "f", "delimiter": "\t", "encoding": "cp1252", "has_header": False},
        {"file_id": "f", "delimiter": "\u00a7"},
    ],
)
def test_accepted(payload: JsonValue) -> None:
    assert PayloadCodec(RowCountPayload).decode(payload) == payload


def test_the_other_operations_take_their_own_fields() -> None:
    null_words: JsonValue = {"file_id": "f", "null_words": []}
    assert PayloadCodec(ColumnStatsPayload).decode(null_words) == null_words
    columns: JsonValue = {"file_id": "f", "columns": ["a"]}
    assert PayloadCodec(DeduplicatePayload).decode(columns) == columns
    assert PayloadCodec(CanonicalizePayload).decode({"file_id": "f"}) == {"file_id": "f"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"file_id": ""}, "$.payload.file_id"),
        ({"file_id": 1}, "$.payload.file_id"),
        ({"delimiter": ""}, "$.payload.delimiter"),
        ({"delimiter": ",,"}, "$.payload.delimiter"),
        ({"delimiter": '"'}, "$.payload.delimiter"),
        ({"delimiter": "\n"}, "$.payload.delimiter"),
        ({"delimiter": "\0"}, "$.payload.delimiter"),
        ({"encoding": ""}, "$.payload.encoding"),
        ({"has_header": 1}, "$.payload.has_header"),
        ({"columns": []}, "$.payload.columns"),
        ({"columns": [1]}, "$.payload.columns[0]"),
    ],
)
def test_refused_with_its_path(fields: dict[str, JsonValue], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        PayloadCodec(DeduplicatePayload).decode({"file_id": "f", **fields})
    assert caught.value.path.startswith(path)
