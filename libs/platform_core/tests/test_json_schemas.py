"""JSON Schemas of TypedDicts: complete in themselves, and they say what the decoder does."""

from typing import Annotated, NotRequired, TypedDict

import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta

from platform_core.errors import DecodeError
from platform_core.json_schemas import field_names, schema_of
from platform_core.json_values import JsonValue, PayloadCodec

Width = Annotated[int, Meta(ge=1, le=9, description="In pixels.")]


class Size(TypedDict):
    """How large."""

    width: Width
    name: NotRequired[str]


class Framed(TypedDict):
    size: Size
    others: list[Size]


class Tree(TypedDict):
    branches: "list[Tree]"


class Nothing(TypedDict):
    pass


def test_a_schema_says_types_limits_and_what_is_required() -> None:
    assert schema_of(Size) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Size",
        "description": "How large.",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "width": {"type": "integer", "minimum": 1, "maximum": 9, "description": "In pixels."},
        },
        "required": ["width"],
    }


VALUES: list[JsonValue] = [
    {"width": 3}, {"width": 0}, {"width": "3"}, {"name": "x"}, {"width": 3, "name": "x"},
    {"width": 3, "more": 1}, [], None,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("nested", [False, True])
def test_schema_and_decoder_agree(value: JsonValue, nested: bool) -> None:
    payload_type: type[object] = Framed if nested else Size
    payload: JsonValue = {"size": value, "others": [value]} if nested else value
    try:
        PayloadCodec(payload_type).decode(payload)
        decodes = True
    except DecodeError:
        decodes = False
    assert Draft202012Validator(schema_of(payload_type)).is_valid(payload) == decodes


def test_a_type_that_contains_itself_keeps_its_own_definition() -> None:
    schema = schema_of(Tree)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"branches": [{"branches": []}]})
    assert not validator.is_valid({"branches": [{"branches": 3}]})


def test_only_a_typed_dict_has_a_schema() -> None:
    with pytest.raises(TypeError, match="int is no TypedDict"):
        schema_of(int)


def test_the_fields_of_a_schema_are_named() -> None:
    assert field_names(schema_of(Size)) == ["name", "width"]
    assert field_names(schema_of(Nothing)) == []
    assert field_names({"type": "object"}) == []
