"""A file is read as it was meant: separators, quotes, line ends, headers."""

import csv
import io
from typing import Literal, TypeAlias

import pytest
from files_kit import Lab
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_api.files.payloads import RowCountPayload

Quoting: TypeAlias = Literal[0, 1, 2, 3]

HUGE = "x" * 1_000_000


@pytest.mark.parametrize(
    ("content", "rows", "columns", "delimiter"),
    [
        pytest.param("a,b\n1,2\n3,4\n", 2, 2, ",", id="plain"),
        pytest.param("a,b\n1,2\n3,4", 2, 2, ",", id="no line end at the end"),
        pytest.param("a,b\r\n1,2\r\n", 1, 2, ",", id="CRLF"),
        pytest.param("a,b\r1,2\r3,4\r", 2, 2, ",", id="CR alone"),
        pytest.param("a;b\n1,5;2\n3,5;4\n", 2, 2, ";", id="semicolons and decimal commas"),
        pytest.param("a\tb\n1,0\t2\n", 1, 2, "\t", id="tabs"),
        pytest.param("a|b|c\n1|2|3\n", 1, 3, "|", id="bars"),
        pytest.param('a,b\n"one\ntwo\r\nthree",2\n', 1, 2, ",", id="line ends in quotes"),
        pytest.param('a,b\n"say ""hi"", you",2\n', 1, 2, ",", id="quotes and commas in quotes"),
        pytest.param('"a;1","b;2"\n"x;y","z;w"\n', 1, 2, ",", id="another separator in every value"),
        pytest.param("name;amount, EUR\nx;1\n", 1, 2, ";", id="a comma in the header"),
        pytest.param("x\n1\n2\n", 2, 1, ",", id="one column"),
        pytest.param('x\n""\n1\n""\n', 3, 1, ",", id="one column with empty values"),
        pytest.param("a,b\n", 0, 2, ",", id="header only"),
        pytest.param("a,b", 0, 2, ",", id="header only, no line end"),
        pytest.param("\n\na,b\n1,2\n\n3,4\n\n\n", 2, 2, ",", id="blank lines anywhere"),
        pytest.param("a,b\n1,2" + "\n" * 200_000, 1, 2, ",", id="more blank lines than a batch"),
        pytest.param("a,b\n,\n,\n", 2, 2, ",", id="rows of empty values"),
        pytest.param("a,a,\n1,2,3\n", 1, 3, ",", id="repeated and empty names in the header"),
        pytest.param(f"a,b\n{HUGE},2\n", 1, 2, ",", id="a value beyond the csv module's own limit"),
        pytest.param("a;b\n" + "3;4\n" * 50_000, 50_000, 2, ";", id="longer than the sample"),
    ],
)
def test_rows_columns_and_separator(lab: Lab, content: str, rows: int, columns: int, delimiter: str) -> None:
    summary = lab.count(content)
    assert summary == {"rows": rows, "columns": columns, "delimiter": delimiter, "encoding": "utf-8"}


def test_a_separator_in_the_payload_wins(lab: Lab) -> None:
    content = "a,b:c\n1,2:3\n"
    assert lab.count(content)["delimiter"] == ","
    assert lab.count(content, {"file_id": "f", "delimiter": ":"})["delimiter"] == ":"


def test_without_a_header_the_first_row_counts_and_columns_have_numbers(lab: Lab) -> None:
    content = "1,2\n3,4\n"
    assert lab.count(content, {"file_id": "f", "has_header": False})["rows"] == 2
    columns = lab.stats(content, {"file_id": "f", "has_header": False})["columns"]
    assert [column["name"] for column in columns] == ["column_1", "column_2"]
    assert [column["min"] for column in columns] == [1, 2]


def test_a_cut_sample_does_not_mislead_the_search_for_the_separator(lab: Lab) -> None:
    """The sample ends inside the long value, before its semicolon, so that only the comma fits there."""
    content = "x,y;z\n" + f"1,{'2' * 40_000};3\n" * 3
    assert lab.count(content)["delimiter"] == ";"


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
# What no CSV can carry, or what a reader takes for something else at the start of a file.
TEXTS = st.text(st.characters(exclude_characters="\x00\ufeff", exclude_categories=["Cs"]), max_size=8)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1, max_size=12)
)


@settings(deadline=None)
@given(
    table=TABLES,
    delimiter=st.sampled_from(",;\t|:^"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(ENCODINGS),
    has_header=st.booleans(),
)
def test_what_csv_writer_wrote_is_counted(
    lab: Lab,
    table: list[list[str]],
    delimiter: str,
    quoting: Quoting,
    encoding: str,
    has_header: bool,
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerows(table)
    payload = RowCountPayload(file_id="f", delimiter=delimiter, encoding=encoding, has_header=has_header)
    summary = lab.count(text.getvalue().encode(encoding), payload)
    assert summary["rows"] == len(table) - has_header
    assert summary["columns"] == len(table[0])
