"""A payload's JSON Schema in words, and an example made from it."""

import pytest
from platform_core.json_values import JsonObject, JsonValue

from jobs_api.client.schemas import example_payload, payload_fields


def holds(field: JsonValue, **defs: JsonValue) -> str:
    return payload_fields({"properties": {"x": field}, "$defs": {**defs}})[0]["holds"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 1, "maxLength": 1}, "text (one character)"),
        ({"type": "string", "minLength": 4, "maxLength": 4}, "text (4 characters)"),
        ({"type": "string", "maxLength": 9}, "text (0 to 9 characters)"),
        ({"type": "string", "minLength": 2}, "text (at least 2 characters)"),
        ({"type": "string", "format": "date"}, "text (date)"),
        ({"type": "string", "pattern": "a+"}, "text (matching a+)"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "whole number (from 0, up to 9)"),
        ({"type": "number", "exclusiveMinimum": 0.5}, "number (above 0.5)"),
        ({"type": "boolean"}, "true or false"),
        ({"type": "array"}, "list"),
        ({"type": "array", "items": {}, "minItems": 1, "maxItems": 1}, "list of any JSON (one entry)"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 3}, "list of text (0 to 3 entries)"),
        ({"type": "object"}, "object"),
        ({"enum": ["a", "b", None]}, 'one of "a", "b", null'),
        ({"const": 1}, "1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        ({"oneOf": [{"type": "string"}, "?", {"type": "null"}]}, "text or null"),
        ({}, "any JSON"),
        ({"type": ["string", "null"]}, "any JSON"),
        (True, "any JSON"),
    ],
)  # fmt: skip
def test_a_field_is_told_in_words(field: JsonValue, words: str) -> None:
    assert holds(field) == words


def test_a_reference_is_followed_and_one_to_nothing_is_any_json() -> None:
    assert holds({"$ref": "#/$defs/Name"}, Name={"type": "string"}) == "text"
    assert holds({"$ref": "#/$defs/Gone"}) == "any JSON"
    assert holds({"$ref": "#/$defs/Name/deeper"}, Name=1) == "any JSON"
    assert holds({"$ref": "https://elsewhere"}) == "any JSON"


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    """Without a limit a tree would be described for ever."""
    tree: JsonObject = {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
    assert holds({"$ref": "#/$defs/Tree"}, Tree=tree).endswith("list of any JSON")
    assert holds({"$ref": "#/$defs/Loop"}, Loop={"$ref": "#/$defs/Loop"}) == "any JSON"
    example = example_payload(
        {"required": ["x"], "properties": {"x": {"$ref": "#/$defs/Tree"}}, "$defs": {"Tree": tree}}
    )
    assert str(example).startswith("{'x': [[[[")


def test_required_fields_come_first_with_their_meaning() -> None:
    fields = payload_fields(
        {
            "$ref": "#/$defs/Greet",
            "$defs": {
                "Greet": {
                    "properties": {
                        "loud": {"type": "boolean"},
                        "name": {"type": "string", "description": "Whom to greet."},
                    },
                    "required": ["name", 1],
                }
            },
        }
    )
    assert [(field["name"], field["required"], field["description"]) for field in fields] == [
        ("name", True, "Whom to greet."),
        ("loud", False, ""),
    ]
    assert payload_fields({}) == []
    assert payload_fields({"properties": []}) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "string"}}, ["text"]),
        ({"type": "array"}, []),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({"type": "string", "examples": ["Ada"]}, "Ada"),
        ({"enum": ["x", "y"]}, "x"),
        ({"const": 3}, 3),
        ({"type": "integer", "default": 7}, 7),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({}, None),
    ],
)
def test_an_example_has_the_required_fields(field: JsonValue, value: JsonValue) -> None:
    schema: JsonObject = {"properties": {"x": field, "y": {"type": "string"}}, "required": ["x"]}
    assert example_payload(schema) == {"x": value}
    assert example_payload(schema, without=["x"]) == {}
