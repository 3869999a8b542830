"""Equal JSON gets equal bytes (RFC 8785); what has no canonical form is refused with its place."""

import hashlib
import json

import pytest
from files_kit import Lab, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_core.json_values import JsonValue

from jobs_api.files import canonicalize


def test_the_example_of_the_rfc(lab: Lab) -> None:
    """RFC 8785 sections 3.2.2 and 3.2.3."""
    content = (
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        ' "string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",'
        ' "literals": [null, true, false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    summary, written = lab.canonical(content)
    assert written.decode() == expected
    assert summary == {
        "source_bytes": len(content.encode()),
        "result_bytes": len(written),
        "sha256": hashlib.sha256(written).hexdigest(),
    }


def test_names_are_sorted_by_utf16_units(lab: Lab) -> None:
    """RFC 8785 section 3.2.3: an emoji (a surrogate pair) comes before U+FB33."""
    assert lab.canonical('{"\ufb33":1,"\U0001f600":2,"\u00f6":3,"1":4}')[1].decode() == (
        '{"1":4,"\u00f6":3,"\U0001f600":2,"\ufb33":1}'
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_unicode_encodings_are_read(lab: Lab, encoding: str) -> None:
    assert lab.canonical('{"\u00e9": 1}'.encode(encoding))[1] == '{"\u00e9":1}'.encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b" \n ", "The file is empty."),
        (b'{"a": 1,\n "b" 2}', "This is not valid JSON. Line 2, column 6: Expecting ':' delimiter."),
        (b"{'a': 1}", "This is not valid JSON. Line 1, column 2: Expecting property name enclosed in double"),
        (b'{"a": 1}\n{"a": 2}', "This is not valid JSON. Line 2, column 1: Extra data."),
        (b'{"a": 1,\n', "This is not valid JSON. The text ends too early, after line 1."),
        (b'{"a":\n', "This is not valid JSON. The text ends too early, after line 1."),
        (b'{"a": 1', "This is not valid JSON. The text ends too early, after line 1."),
        (b"[1,\n2\n\n \n", "This is not valid JSON. The text ends too early, after line 2."),
        (b"[1\n]]\n", "This is not valid JSON. Line 2, column 2: Extra data."),
        (b'["a\nb"]', "This is not valid JSON. Line 1, column 4: Invalid control character at."),
        (b'{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', 'An object has the name "c" more than once.'),
        (b"[9007199254740993]", "The integer 9007199254740993 is too large to keep exactly."),
        (b"[-9007199254740993]", "The integer -9007199254740993 is too large to keep exactly."),
        (b"[12345678901234567890]", "The integer 12345678901234567890 is too large to keep exactly."),
        (b"1" * 5000, f"The integer {'1' * 40} is too large to keep exactly"),
        (b"[1e400]", "The number 1e400 is too large."),
        (b"[-1e400]", "The number -1e400 is too large."),
        (b"[NaN]", "NaN is not valid JSON."),
        (b"[-Infinity]", "-Infinity is not valid JSON."),
        (b'["\\ud800"]', 'The JSON has half a character in a text, such as "\\ud800".'),
        (b'{"\\ud800": 1}', 'The JSON has half a character in a text, such as "\\ud800".'),
        (b'["a",\n"\xff"]', "Line 2 cannot be read as utf-8 text: byte 0xFF at offset 7."),
        (b"[" * 100_000, "The JSON has more than 200 arrays and objects inside each other."),
        (b'[{"a":' * 101 + b"1" + b"}]" * 101, "The JSON has more than 200 arrays and objects"),
    ],
)
def test_sentence(lab: Lab, content: bytes, sentence: str) -> None:
    assert refusal(lambda: lab.canonical(content)).startswith(sentence)


def test_integers_that_a_double_keeps_stay(lab: Lab) -> None:
    content = b"[9007199254740991,-9007199254740991,9007199254740992,100000000000000000,1e+22]"
    assert lab.canonical(content)[1] == content
    assert lab.canonical(b"[1" + b"0" * 22 + b",-0]")[1] == b"[1e+22,0]"


def test_a_file_that_would_fill_the_memory_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonicalize, "MAX_BYTES", 10)
    assert lab.canonical(b"[12345678]")[0]["source_bytes"] == 10
    sentence = refusal(lambda: lab.canonical(b"[123456789]"))
    assert sentence.startswith("The file has 11 bytes; at most 10")


JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_canonical_is_the_same_value_and_canonical_again(
    lab: Lab, value: JsonValue, indent: int | None, ascii_only: bool
) -> None:
    _, written = lab.canonical(json.dumps(value, indent=indent, ensure_ascii=ascii_only))
    # Python tells 1 and 1.0 apart, and compares large integers with floats by their exact values.
    again: JsonValue = json.loads(written, parse_int=float)
    assert again == value
    assert lab.canonical(written)[1] == written
