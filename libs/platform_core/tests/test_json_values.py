"""JSON in, JSON out, and the words of every refusal."""

import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

import pytest
from msgspec import Meta

from platform_core.errors import DecodeError
from platform_core.json_values import (
    MAX_DEPTH,
    JsonValue,
    PayloadCodec,
    convert_as,
    decode_as,
    decode_json,
    encode_json,
    to_json_value,
)


class Column(TypedDict):
    name: str
    width: NotRequired[Annotated[int, Meta(ge=1)]]


class Table(TypedDict):
    columns: list[Column]
    by_name: NotRequired[dict[str, Column]]
    mode: NotRequired[Literal["fast", "exact"] | None]
    level: NotRequired[Literal[1, 2]]
    made_at: NotRequired[datetime]
    ratio: NotRequired[float | None]
    limit: NotRequired[Annotated[int, Meta(le=9, description="How many rows.")]]
    word: NotRequired[Annotated[str, Meta(pattern="^[a-z]+$")]]
    code: NotRequired[Annotated[str, Meta(pattern="^[a-z]$", description="one small letter")]]
    first: NotRequired[Column | None]


class Tree(TypedDict):
    inner: NotRequired["Tree"]


class Report(TypedDict):
    table: Table
    sizes: dict[str, int]
    rows: Annotated[int, Meta(ge=0, description="a count of rows")]
    note: str | None
    when: datetime


Dotted = TypedDict("Dotted", {"max.rows": int})


def nested(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "text that is not JSON"),
        ("{", "text that is not JSON"),
        ("NaN", "text that is not JSON"),
        ("[Infinity]", "text that is not JSON"),
        ("1e999", "text that is not JSON"),
        ("1" * 5000, "text that is not JSON"),
        ('"\\ud800"', "text that is not JSON"),
        ("{'a': 1}", "text that is not JSON"),
        (b"\xef\xbb\xbf1", "text that is not JSON"),
        (b'"\xff"', "text that is not valid Unicode"),
        ('"\ud800"', "text that is not valid Unicode"),
        (nested(100_000), "too many levels"),
        (b"[" * 100_000, "too many levels"),
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes, found: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_json(text)
    assert (caught.value.path, caught.value.expected, caught.value.found) == ("$", "JSON text", found)


@pytest.mark.parametrize("inner", ["", "1", '{"a":{}}', '{"a":1}'])
def test_what_is_decoded_can_be_encoded_at_the_very_limit_and_not_beyond(inner: str) -> None:
    levels = MAX_DEPTH - inner.count("{")
    text = nested(levels, inner)
    assert encode_json(decode_json(text)) == text
    for deeper in (nested(levels + 1, inner), nested(400, inner)):
        with pytest.raises(DecodeError, match=r"^\$: expected at most 100 levels, found array$"):
            decode_json(deeper)


def test_a_value_too_deep_to_write_is_refused() -> None:
    value: JsonValue = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(DecodeError, match="at most 100 levels, found array"):
        encode_json(value)


def test_a_value_too_deep_for_a_type_that_contains_itself_is_refused() -> None:
    value: JsonValue = {}
    for _ in range(5000):
        value = {"inner": value}
    with pytest.raises(DecodeError, match=r"^\$\.tree: expected at most 100 levels, found object$"):
        convert_as(value, Tree, "$.tree")


def test_json_is_compact_and_keeps_its_characters() -> None:
    assert encode_json({"a": [1, 1.5, None, True], "ə": "→\n"}) == '{"a":[1,1.5,null,true],"ə":"→\\n"}'


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float("nan"), "$: expected finite number, found float"),
        ({"a": [float("inf")]}, "$.a[0]: expected finite number, found float"),
        ({"a": {"b": "\ud800"}}, "$.a.b: expected text without lone surrogates, found str"),
        ({"\udfff": 1}, "$: expected text without lone surrogates, found str"),
        ([0, (1, 2)], "$[1]: expected JSON value, found tuple"),
        ({1: 2}, "$: expected text as key, found int"),
        (date(2026, 1, 1), "$: expected JSON value, found date"),
    ],
)
def test_what_json_cannot_carry_is_refused_with_its_place(value: object, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        to_json_value(value)
    assert str(caught.value) == fault


def test_an_integer_that_python_refuses_to_write_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"^\$: expected integers of a usual size, found int$"):
        encode_json([10**5000])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "$: expected object, found array"),
        ("{}", "$.columns: expected array, found missing"),
        ('{"columns":[{"name":"a"},{}]}', "$.columns[1].name: expected str, found missing"),
        ('{"columns":[{"name":5}]}', "$.columns[0].name: expected str, found int"),
        ('{"columns":[{"name":"a","width":0}]}', "$.columns[0].width: expected int >= 1, found int"),
        ('{"columns":[],"by_name":{"a":{}}}', "$.by_name[...].name: expected str, found missing"),
        ('{"columns":[],"first":{}}', "$.first.name: expected str, found missing"),
        ('{"columns":[],"mode":"slow"}', "$.mode: expected one of 'exact', 'fast' | null, found str"),
        ('{"columns":[],"mode":1}', "$.mode: expected str | null, found int"),
        ('{"columns":[],"level":3}', "$.level: expected one of 1, 2, found int"),
        ('{"columns":[],"made_at":"now"}', "$.made_at: expected datetime, found str"),
        (
            '{"columns":[],"ratio":' + "9" * 400 + "}",
            "$.ratio: expected float | null, found number",
        ),
        # What it is for does not say what is wrong with it.
        ('{"columns":[],"limit":10}', "$.limit: expected int <= 9, found int"),
        ('{"columns":[],"word":"A"}', "$.word: expected str matching regex '^[a-z]+$', found str"),
        ('{"columns":[],"code":"A"}', "$.code: expected one small letter, found str"),
        ('{"columns":[],"limit":"x"}', "$.limit: expected int, found str"),
    ],
)
def test_a_wrong_shape_is_refused_with_path_expected_and_found(text: str, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_as(text, Table)
    assert str(caught.value) == fault


def test_a_missing_field_is_told_with_the_type_it_should_have() -> None:
    rest: dict[str, JsonValue] = {
        "table": {"columns": []},
        "sizes": {},
        "rows": 1,
        "note": None,
        "when": "2026-01-01T00:00:00Z",
    }
    words = {"table": "object", "sizes": "object", "rows": "int", "note": "str | null", "when": "datetime"}
    for name, word in words.items():
        with pytest.raises(DecodeError) as caught:
            convert_as({key: value for key, value in rest.items() if key != name}, Report)
        assert str(caught.value) == f"$.{name}: expected {word}, found missing"


def test_a_field_whose_name_looks_like_a_path_is_still_named() -> None:
    with pytest.raises(DecodeError, match=r"^\$\.max\.rows: expected value, found missing$"):
        decode_as("{}", Dotted)


def test_the_root_of_a_path_is_named_by_the_caller() -> None:
    with pytest.raises(DecodeError, match=r"^\$\.payload\.columns: expected array, found missing$"):
        PayloadCodec(Table).decode({})


def test_a_payload_codec_gives_the_declared_fields() -> None:
    value: JsonValue = {"columns": [{"name": "a", "more": 1}], "limit": 9, "other": None}
    assert PayloadCodec(Table).decode(value) == {"columns": [{"name": "a"}], "limit": 9}


def test_a_payload_type_that_cannot_be_decoded_is_refused_at_registration() -> None:
    class Either(TypedDict):
        one: Column | Table

    with pytest.raises(TypeError):
        PayloadCodec(Either)


def test_threads_that_meet_a_type_for_the_first_time_at_once_do_no_harm() -> None:
    """It was a segmentation fault: two senders of a notifier that had just started."""
    program = Path(__file__).parent / "first_meeting.py"
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
