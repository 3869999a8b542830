"""Tables in any width: rows stay rows, ids stay whole, and where that can't be there is a list."""

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from jobs_api.client.tables import Column, TableWriter, print_facts, print_table

COLUMNS: tuple[Column, ...] = (
    {"heading": "JOB"},
    {"heading": "COUNT", "right": True},
    {"heading": "AGE", "optional": True},
    {"heading": "WHAT", "shrinks": True, "optional": True},
)
ROWS = [
    [Text("files/1"), Text("1"), Text("2 min ago"), Text("a message of some length")],
    [Text("files/22"), Text("12,345"), Text("now"), Text("")],
]


def printed(width: int, rows: list[list[Text]]) -> list[str]:
    out = StringIO()
    print_table(Console(file=out, width=width), COLUMNS, rows)
    return out.getvalue().splitlines()


def test_with_room_everything_is_shown_and_no_line_ends_in_blanks() -> None:
    assert printed(100, ROWS) == [
        "JOB        COUNT  AGE        WHAT",
        "files/1        1  2 min ago  a message of some length",
        "files/22  12,345  now",
    ]


@pytest.mark.parametrize(
    ("width", "second"),
    [
        (52, "files/1        1  2 min ago  a message of some leng…"),
        (41, "files/1        1  2 min ago  a message o…"),
        (40, "files/1        1  2 min ago"),
        (27, "files/1        1  2 min ago"),
        (26, "files/1        1"),
        (16, "files/1        1"),
    ],
)
def test_what_is_less_needed_makes_room(width: int, second: str) -> None:
    lines = printed(width, ROWS)
    assert lines[1] == second
    assert all(len(line) <= width for line in lines)


def test_with_no_room_for_the_needed_there_is_a_list_with_whole_ids() -> None:
    assert printed(15, ROWS) == [
        "JOB    files/1",
        "COUNT  1",
        "AGE    2 min",
        "       ago",
        "WHAT   a",
        "       message",
        "       of some",
        "       length",
        "",
        "JOB    files/22",
        "COUNT  12,345",
        "AGE    now",
    ]


def test_wide_characters_count_as_wide() -> None:
    rows = [[Text("日本"), Text("1"), Text("x"), Text("")], [Text("abcd"), Text("1"), Text("x"), Text("")]]
    assert [line.index("1") for line in printed(40, rows)[1:]] == [8, 10]


def test_the_rows_of_a_later_page_stand_below_those_of_the_first() -> None:
    out = StringIO()
    table = TableWriter(Console(file=out, width=60), COLUMNS)
    table.write(ROWS[1:])
    table.write(ROWS[:1])
    table.write([])
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", "files/22", "files/1"]
    assert lines[2].index("1  2") == lines[1].index("5  ")


def test_a_list_of_two_pages_has_one_blank_line_between_any_two() -> None:
    out = StringIO()
    table = TableWriter(Console(file=out, width=10), COLUMNS)
    table.write(ROWS[1:])
    table.write(ROWS[1:])
    assert out.getvalue().split("\n").count("") == 2


def test_a_table_without_rows_is_its_headings() -> None:
    assert printed(80, []) == ["JOB  COUNT  AGE  WHAT"]


def test_facts_leave_out_what_is_empty_and_go_on_below_themselves() -> None:
    out = StringIO()
    print_facts(Console(file=out, width=24), {"a": "", "name": "one two three four five", "b": Text("x")})
    assert out.getvalue() == "name  one two three four\n      five\nb     x\n"
    print_facts(Console(file=out, width=24), {"a": ""})


def test_facts_are_told_in_a_terminal_that_is_narrower_than_their_names() -> None:
    out = StringIO()
    print_facts(Console(file=out, width=3), {"name": "one two three"})
    assert out.getvalue() == "name  one two\n      three\n"
