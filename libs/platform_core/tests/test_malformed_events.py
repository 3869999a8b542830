"""What is malformed, field by field, over every golden event: one rule holds for all of them."""

from pathlib import Path

import pytest

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import decode_event
from platform_core.json_values import (
    JsonObject,
    JsonValue,
    decode_json,
    encode_json,
    to_json_value,
)

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.json"))
FULL_FILES = [name for name in FILES if "plain" not in name]
FREE_FIELDS = {"payload"}


def message(file: str) -> JsonObject:
    value = decode_json((GOLDEN / file).read_bytes())
    assert isinstance(value, dict)
    return value


def optional_fields(file: str) -> set[str]:
    plain = GOLDEN / file.replace(".v1.json", ".v1.plain.json")
    return set(message(file)) - set(message(str(plain.relative_to(GOLDEN)))) if plain.exists() else set()


def fault(changed: JsonObject) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode_event(encode_json(changed))
    return caught.value


def unfit_values(value: JsonValue) -> list[tuple[JsonValue, str]]:
    """Values that must not stand where `value` stands, with the name of their type."""
    everywhere: list[tuple[JsonValue, str]] = [(None, "null"), ([], "array"), ({}, "object")]
    match value:
        case bool():
            return [*everywhere, (1, "int"), ("true", "str")]
        case int():
            return [*everywhere, (True, "bool"), (1.0, "float"), ("1", "str")]
        case float():
            return [*everywhere, (True, "bool"), ("1.5", "str")]
        case _:
            return [*everywhere, (True, "bool"), (1, "int")]


@pytest.mark.parametrize("file", FILES)
def test_a_wrong_type_is_malformed_and_the_error_names_path_and_type(file: str) -> None:
    for name in message(file).keys() - FREE_FIELDS:
        for unfit, word in unfit_values(message(file)[name]):
            error = fault({**message(file), name: unfit})
            assert (error.path, error.found) == (f"$.{name}", word)


@pytest.mark.parametrize("file", FULL_FILES)
def test_a_missing_field_is_malformed_unless_it_is_optional(file: str) -> None:
    whole = message(file)
    optional = optional_fields(file)
    for name in whole:
        rest: JsonObject = {key: value for key, value in whole.items() if key != name}
        if name in optional:
            assert to_json_value(decode_event(encode_json(rest))) == rest
        else:
            error = fault(rest)
            assert (error.path, error.found) == (f"$.{name}", "missing")
            assert error.expected in {type(whole[name]).__name__, "one of 'system', 'user'"}


@pytest.mark.parametrize("file", FILES)
def test_an_integer_beyond_64_bits_is_malformed(file: str) -> None:
    whole = message(file)
    for name in [name for name, value in whole.items() if type(value) is int]:
        for unfit in (2**63, -(2**63) - 1, 10**4000):
            error = fault({**whole, name: unfit})
            assert (error.path, error.found) == (f"$.{name}", "int")


@pytest.mark.parametrize("file", FILES)
def test_an_integer_may_stand_for_a_float(file: str) -> None:
    whole = message(file)
    for name in [name for name, value in whole.items() if isinstance(value, float)]:
        event = to_json_value(decode_event(encode_json({**whole, name: 3})))
        assert event == {**whole, name: 3.0}
        # A float that JSON can write and a Python float cannot hold.
        assert fault({**whole, name: 10**400}).path == f"$.{name}"


@pytest.mark.parametrize("file", FILES)
def test_fields_of_a_newer_publisher_are_ignored(file: str) -> None:
    whole = message(file)
    newer: JsonObject = {**whole, "trace": "abc", "more": {"nested": [1]}}
    assert to_json_value(decode_event(encode_json(newer))) == whole


@pytest.mark.parametrize("file", FILES)
def test_a_job_id_that_cannot_stand_in_a_key_is_malformed(file: str) -> None:
    for job_id in ("", "a" * 129, "a:b", "a b", "a\n", "\t", "a\x00", "\x7f", "a\x85", "a\u2028"):
        error = fault({**message(file), "job_id": job_id})
        assert error.path == "$.job_id"
        assert error.expected == "1 to 128 characters, without `:`, white space and control characters"


@pytest.mark.parametrize("file", FILES)
def test_a_later_version_is_unknown(file: str) -> None:
    whole = message(file)
    later = str(whole["type"]).replace(".v1", ".v2")
    with pytest.raises(UnknownEventError) as caught:
        decode_event(encode_json({**whole, "type": later}))
    assert caught.value.event_type == later
