"""A file at fault is refused with a sentence that says which row, which line and why."""

from collections.abc import Callable

import pytest
from files_kit import Lab, refusal

from jobs_api.files import table
from jobs_api.files.payloads import RowCountPayload

COMMA_HINT = "A value with a comma in it must stand in quotes."
CSV: RowCountPayload = {"file_id": "f"}
NO_HEADER: RowCountPayload = {"file_id": "f", "has_header": False}
GOOD = "a,b\n" + "1,2\n" * 40_000


@pytest.mark.parametrize(
    ("content", "payload", "sentence"),
    [
        pytest.param("a,b\n1,2\n3\n", CSV, "Row 2 (line 3) has 1 value but the header has 2.", id="few"),
        pytest.param(
            "a,b\n1,2,3\n4\n",
            CSV,
            f"Row 1 (line 2) has 3 values but the header has 2. {COMMA_HINT}",
            id="too many",
        ),
        pytest.param(
            "a;b\n1;2;3\n",
            CSV,
            "Row 1 (line 2) has 3 values but the header has 2. "
            "A value with a semicolon in it must stand in quotes.",
            id="too many between semicolons",
        ),
        pytest.param(
            "a~b\n1~2~3\n",
            {"file_id": "f", "delimiter": "~"},
            'Row 1 (line 2) has 3 values but the header has 2. A value with "~" in it must stand in quotes.',
            id="too many between tildes",
        ),
        pytest.param(
            '\na,b\n\n"1\n1",2\n\n3,4,5\n',
            {"file_id": "f", "delimiter": ","},
            f"Row 2 (line 7) has 3 values but the header has 2. {COMMA_HINT}",
            id="after blank lines and a value of two lines",
        ),
        pytest.param(
            GOOD + "5\n",
            CSV,
            "Row 40001 (line 40002) has 1 value but the header has 2.",
            id="far into the file",
        ),
        pytest.param(
            "1,2\n3,4\n5\n",
            NO_HEADER,
            "Row 3 (line 3) has 1 value but the first row has 2.",
            id="without a header",
        ),
        pytest.param(
            'a,b\n1,2\n3,"4\n5,6\n',
            CSV,
            "Row 2 (line 3) opens a quote that is never closed: the file ends inside it.",
            id="unclosed quote",
        ),
        pytest.param(
            'a,"b\n1,2\n',
            {"file_id": "f", "delimiter": ","},
            "The header (line 1) opens a quote that is never closed: the file ends inside it.",
            id="unclosed quote in the header",
        ),
        pytest.param(
            '"1,2\n3,4\n',
            NO_HEADER,
            "Row 1 (line 1) opens a quote that is never closed: the file ends inside it.",
            id="unclosed quote in the first row",
        ),
        pytest.param(
            'a,b\n"1"x,2\n',
            CSV,
            "Row 1 (line 2) has text after a closing quote. "
            "Close every quote, and write a quote inside a quoted value twice.",
            id="text after a quote",
        ),
        pytest.param(
            'a,b\n1,"2\n3,"4"\n',
            CSV,
            "Row 1 (line 2) has text after a closing quote, which goes on to line 3. "
            "Close every quote, and write a quote inside a quoted value twice.",
            id="unclosed quote closed by the next one",
        ),
        pytest.param(
            'a,b\n1,2,3\n"4"x,5\n', CSV, "Row 1 (line 2) has 3 values", id="the first of two faults"
        ),
        pytest.param("", CSV, "The file is empty.", id="empty"),
        pytest.param("\ufeff", CSV, "The file is empty.", id="byte order mark alone"),
        pytest.param("\n\r\n\n", CSV, "The file is empty.", id="blank lines alone"),
        pytest.param(
            "a,b\n1,\0\n", CSV, "This does not look like a CSV file: it holds zero bytes", id="zero byte"
        ),
    ],
)
def test_sentence(lab: Lab, content: str, payload: RowCountPayload, sentence: str) -> None:
    assert refusal(lambda: lab.count(content, payload)).startswith(sentence)


def test_all_operations_refuse_alike(lab: Lab) -> None:
    content = "a,b\n1,2\n3\n"
    operations: list[Callable[[], object]] = [
        lambda: lab.count(content),
        lambda: lab.stats(content),
        lambda: lab.deduplicated(content),
    ]
    sentences = {refusal(operation) for operation in operations}
    assert sentences == {"Row 2 (line 3) has 1 value but the header has 2."}


@pytest.mark.parametrize(
    ("start", "row"),
    [
        pytest.param('a,b\n1,2\n3,"', "Row 2 (line 3)", id="a quote that is never closed"),
        pytest.param("a,b\n1,2\n3,", "Row 2 (line 3)", id="a line without end"),
        pytest.param('"', "The header (line 1)", id="in the header"),
    ],
)
def test_a_row_without_end_stops_early(lab: Lab, start: str, row: str) -> None:
    """Or one quote would bring a whole large file into memory."""
    filling = "x," * table.RECORD_BYTES if '"' not in start else "x\n" * table.RECORD_BYTES
    sentence = refusal(lambda: lab.count(start + filling, {"file_id": "f", "delimiter": ","}))
    assert sentence == f"{row} is longer than 4 MB. Most likely a quote is opened there and never closed."


def test_a_long_row_within_the_limit_is_read(lab: Lab) -> None:
    half = "x" * (table.RECORD_BYTES // 2 - 100_000)
    assert lab.count(f'a,b\n1,2\n{half},"{half}"\n3,4\n')["rows"] == 3


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PK\x03\x04\x14\x00[Content_Types].xml", "This looks like an Excel workbook, not a CSV file."),
        (b"PK\x03\x04\x14\x00[Content_Types].xml word/", "This looks like a Word document"),
        (
            b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
            "This looks like a LibreOffice spreadsheet",
        ),
        (b"PK\x03\x04\x14\x00penguins.csv", "This looks like a compressed archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "This looks like an Excel workbook"),
        (b"%PDF-1.7\n", "This looks like a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "This looks like a picture"),
        (b"\xff\xd8\xff\xe0", "This looks like a picture"),
        (b"GIF89a", "This looks like a picture"),
        (b"\x1f\x8b\x08", "This looks like a compressed archive"),
        (b"PAR1\x15\x00", "This looks like a Parquet file"),
        (b"SQLite format 3\x00", "This looks like a SQLite database"),
        (b"\n <!DOCTYPE html><html>", "This looks like a web page"),
        (b"\xef\xbb\xbf<html>", "This looks like a web page"),
        (b'<?xml version="1.0"?>', "This looks like XML"),
        (b'{\n  "a": 1}', "This looks like JSON, not a CSV file."),
        (b'[\n {"a": 1}]', "This looks like JSON, not a CSV file."),
        (b"\x7fELF\x02\x01\x00\x00", "This does not look like a CSV file: it holds zero bytes"),
    ],
)
def test_what_is_no_csv_is_called_by_its_name(lab: Lab, head: bytes, sentence: str) -> None:
    assert refusal(lambda: lab.count(head)).startswith(sentence)


def test_names_that_only_begin_like_another_format_are_columns(lab: Lab) -> None:
    assert lab.count("PAR1,PAR2\n1,2\n")["columns"] == 2
    assert lab.count("BZh,PK\n1,2\n")["columns"] == 2
