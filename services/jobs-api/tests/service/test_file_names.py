"""Names of files: shown and offered again, never a path, never a header of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs_api.file_names import MAX_NAME_LENGTH, attachment_header, clean_file_name, result_name

NAMES: st.SearchStrategy[str] = st.text(max_size=300)


@pytest.mark.parametrize(
    ("given_name", "clean"),
    [
        ("data.csv", "data.csv"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a/..", "file"),
        ("...", "file"),
        ("", "file"),
        (None, "file"),
        ("  spaced .csv ", "spaced .csv"),
        ("a\x00b\r\nc\u202etxt.exe", "abctxt.exe"),
        (".hidden", ".hidden"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("x" * 300, "x" * 200),
        ("y." + "x" * 300, ("y." + "x" * 300)[:200]),
    ],
)
def test_a_name_is_cleaned(given_name: str | None, clean: str) -> None:
    assert clean_file_name(given_name) == clean


@given(NAMES)
def test_a_clean_name_is_no_path_and_stays_clean(given_name: str) -> None:
    name = clean_file_name(given_name)
    assert name not in {"", ".", ".."}
    assert not set(name) & set("/\\\r\n\x00")
    assert len(name) <= MAX_NAME_LENGTH
    assert clean_file_name(name) == name


@given(NAMES)
def test_the_header_is_one_line_of_ascii(given_name: str) -> None:
    header = attachment_header(clean_file_name(given_name))
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


def test_a_name_beyond_ascii_is_given_twice() -> None:
    assert attachment_header("données 1.csv") == (
        "attachment; filename=\"donn_es 1.csv\"; filename*=UTF-8''donn%C3%A9es%201.csv"
    )


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("orders.csv", "orders.column_stats.json"),
        ("orders", "orders.column_stats.json"),
        ("my.orders.csv", "my.orders.column_stats.json"),
        (".csv", ".csv.column_stats.json"),
    ],
)
def test_a_result_is_named_after_its_source(source: str, name: str) -> None:
    assert result_name(source, label="column_stats", ending="json") == name
