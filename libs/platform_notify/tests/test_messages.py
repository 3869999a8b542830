"""Whatever a job says, no line break, control character or trick character of it reaches a header."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy, characters, integers, text

from platform_notify.messages import clean_line, clean_text

ANY_TEXT: SearchStrategy[str] = text(characters(), max_size=60)
ANY_LIMIT: SearchStrategy[int] = integers(min_value=1, max_value=40)


@pytest.mark.parametrize(
    ("given_text", "line"),
    [
        ("plain", "plain"),
        ("Subject\r\nBcc: all@example.com", "Subject Bcc: all@example.com"),
        ("a\x00b\x7fc\x85d", "a b c d"),
        ("a\u2028b\u2029c", "a b c"),
        ("  many   spaces  ", "many spaces"),
        ("pay\u202etxt.exe", "paytxt.exe"),
        ("half \ud83d pair", "half pair"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("çığ 🚀 日本", "çığ 🚀 日本"),
        ("", ""),
    ],
)
def test_a_line_holds_only_what_a_person_sees(given_text: str, line: str) -> None:
    assert clean_line(given_text, 100) == line


def test_a_long_line_is_cut_and_says_so() -> None:
    assert clean_line("a" * 50, 10) == "a" * 9 + "…"
    assert clean_line("a" * 10, 10) == "a" * 10
    assert clean_line("word other", 6) == "word…"


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("one\r\ntwo\rthree\nfour", "one\ntwo\nthree\nfour"),
        ("tab\there", "tab\there"),
        ("be\x07ll\x1b[2J", "bell"),
        ("\n\n  indented  \n\n", "  indented"),
        ("a\u2028b\x85c", "a\nb\nc"),
    ],
)
def test_a_text_keeps_its_lines(given_text: str, shown: str) -> None:
    assert clean_text(given_text, 100) == shown


@given(ANY_TEXT, ANY_LIMIT)
def test_no_text_gets_a_control_character_into_a_line(anything: str, limit: int) -> None:
    line = clean_line(anything, limit)
    assert len(line) <= limit
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Zl", "Zp"}
    assert line == line.strip()


@given(ANY_TEXT, ANY_LIMIT)
def test_no_text_gets_more_than_tabs_and_line_breaks_into_a_text(anything: str, limit: int) -> None:
    shown = clean_text(anything, limit)
    assert len(shown) <= limit
    rest = shown.replace("\n", "").replace("\t", "")
    assert not {unicodedata.category(character) for character in rest} & {"Cc", "Cs", "Zl", "Zp"}


@given(ANY_TEXT, ANY_LIMIT)
def test_cleaning_a_clean_line_changes_nothing(anything: str, limit: int) -> None:
    line = clean_line(anything, limit)
    assert clean_line(line, limit) == line
