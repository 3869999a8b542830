"""The first of equal rows stays, in its place; nothing else changes."""

import csv
import io

import pytest
from files_kit import Lab, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_api.files import repeats, spill
from jobs_api.files.payloads import DeduplicatePayload


@pytest.mark.parametrize(
    ("content", "result", "removed"),
    [
        pytest.param("a,b\n1,2\n3,4\n1,2\n1,2\n", "a,b\n1,2\n3,4\n", 2, id="repeats"),
        pytest.param("a,b\n2,1\n1,2\n2,1\n", "a,b\n2,1\n1,2\n", 1, id="the order stays"),
        pytest.param('a,b\n"1",2\n1,2\n', "a,b\n1,2\n", 1, id="compared by value, not by quotes"),
        pytest.param("a,b\n12,\n1,2\n,12\n", "a,b\n12,\n1,2\n,12\n", 0, id="where a value ends matters"),
        pytest.param("a,b\n1,2\n1, 2\n", "a,b\n1,2\n1, 2\n", 0, id="spaces matter"),
        pytest.param("a;b\n1;2\n1;2\n", "a;b\n1;2\n", 1, id="the separator stays"),
        pytest.param("a,b\r\n1,2\r\n1,2\r\n", "a,b\r\n1,2\r\n", 1, id="CRLF stays"),
        pytest.param('a,b\n"1\r2",3\n', 'a,b\r\n"1\r2",3\r\n', 0, id="a carriage return in a value"),
        pytest.param('a,b\n"x\ny","say ""hi"""\n', 'a,b\n"x\ny","say ""hi"""\n', 0, id="quotes where needed"),
        pytest.param('x\n""\n1\n""\n', 'x\n""\n1\n', 1, id="one column with empty values"),
        pytest.param("a,b\n\n1,2\n\n\n1,2\n", "a,b\n1,2\n", 1, id="blank lines go"),
        pytest.param("a,b\n", "a,b\n", 0, id="header only"),
        pytest.param("a,b\n1,2", "a,b\n1,2\n", 0, id="no line end at the end"),
    ],
)
def test_content(lab: Lab, content: str, result: str, removed: int) -> None:
    summary, written = lab.deduplicated(content)
    assert written.decode() == result
    assert summary["removed"] == removed
    assert summary["rows"] == summary["kept"] + removed


def test_the_result_is_utf8_and_keeps_a_byte_order_mark_for_excel(lab: Lab) -> None:
    text = "a,b\né,1\né,1\n"
    expected = "a,b\né,1\n"
    western: DeduplicatePayload = {"file_id": "f", "encoding": "cp1252"}
    assert lab.deduplicated(text.encode("cp1252"), western)[1] == expected.encode()
    assert lab.deduplicated(text.encode("utf-8-sig"))[1] == expected.encode("utf-8-sig")
    assert lab.deduplicated(text.encode("utf-16"))[1] == expected.encode("utf-8-sig")


def test_only_the_named_columns_are_compared(lab: Lab) -> None:
    content = "id,name,city\n1,Ann,Rome\n2,Bob,Oslo\n3,Ann,Rome\n4,Ann,Oslo\n"
    _, by_name = lab.deduplicated(content, {"file_id": "f", "columns": ["name"]})
    assert by_name == b"id,name,city\n1,Ann,Rome\n2,Bob,Oslo\n"
    _, by_both = lab.deduplicated(content, {"file_id": "f", "columns": ["city", "name"]})
    assert by_both == b"id,name,city\n1,Ann,Rome\n2,Bob,Oslo\n4,Ann,Oslo\n"


def test_columns_without_a_header_have_numbers(lab: Lab) -> None:
    payload: DeduplicatePayload = {"file_id": "f", "has_header": False, "columns": ["column_2"]}
    assert lab.deduplicated("1,2\n3,2\n4,5\n", payload)[1] == b"1,2\n4,5\n"


@pytest.mark.parametrize(
    ("header", "column", "sentence"),
    [
        ("a,b", "c", 'There is no column "c". The columns are: a, b.'),
        (",".join(f"c{n}" for n in range(21)), "x", f"are: {', '.join(f'c{n}' for n in range(20))}, ...."),
        ("a,b,a", "a", 'The header has 2 columns named "a": give them different names.'),
    ],
)
def test_a_column_that_cannot_be_told_is_refused(lab: Lab, header: str, column: str, sentence: str) -> None:
    payload: DeduplicatePayload = {"file_id": "f", "columns": [column]}
    assert refusal(lambda: lab.deduplicated(header + "\n", payload)).endswith(sentence)


def test_far_more_rows_than_memory_holds(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KEPT_DIGESTS", 5)
    monkeypatch.setattr(spill, "BUFFERED_ITEMS", 7)
    rows = [f"{number * 7919 % 3000},x" for number in range(9000)]
    summary, written = lab.deduplicated("a,b\n" + "\n".join(rows))
    assert summary == {"rows": 9000, "kept": 3000, "removed": 6000, "delimiter": ","}
    assert written.decode().splitlines() == ["a,b", *dict.fromkeys(rows)]
    assert {path.name for path in lab.folder.iterdir()} == {"source", "result"}


CELLS = st.text(st.sampled_from('ab,;"\n \u00e9'), max_size=3)
TABLES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=40)
)


@settings(deadline=None)
@given(
    table=TABLES,
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    kept=st.integers(1, 6),
    buffered=st.integers(1, 6),
    key=st.none() | st.integers(0, 2),
)
def test_like_a_naive_model(
    lab: Lab,
    table: list[list[str]],
    delimiter: str,
    quoting: int,
    line_end: str,
    kept: int,
    buffered: int,
    key: int | None,
) -> None:
    width = len(table[0])
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=delimiter,
        quoting=csv.QUOTE_ALL if quoting == csv.QUOTE_ALL else csv.QUOTE_MINIMAL,
        lineterminator=line_end,
    )
    writer.writerows(table)
    payload = DeduplicatePayload(file_id="f", delimiter=delimiter, has_header=False)
    if key is not None:
        payload["columns"] = [f"column_{key % width + 1}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "KEPT_DIGESTS", kept)
        patch.setattr(spill, "BUFFERED_ITEMS", buffered)
        _, written = lab.deduplicated(text.getvalue(), payload)
    first: dict[tuple[str, ...], list[str]] = {}
    for row in table:
        first.setdefault(tuple(row if key is None else [row[key % width]]), row)
    again = list(csv.reader(io.StringIO(written.decode(), newline=""), delimiter=delimiter, strict=True))
    assert again == list(first.values())
