"""Reads a payload's JSON Schema: its fields in words, and an example.

What a schema says beyond this is passed over: the words help a person, and the API judges the payload.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypedDict

from platform_core.json_values import JsonObject, JsonValue, encode_json

_DEEPEST: Final = 8
"""A schema that contains itself is followed no further."""

_TYPE_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
    "null": "null",
}
_LIMITS: Final = {
    "minimum": "from {}",
    "maximum": "up to {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "format": "{}",
    "pattern": "matching {}",
}
_EXAMPLES: Final[dict[str, JsonValue]] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
}


class PayloadField(TypedDict):
    """A field of a payload: its name, what it holds, whether it must be there, and what it means."""

    name: str
    holds: str
    required: bool
    description: str


def payload_fields(schema: JsonObject) -> list[PayloadField]:
    """Return the fields of a payload, the required ones first."""
    whole = _resolved(schema, schema)
    required = _texts(whole.get("required"))
    fields: list[PayloadField] = [
        {
            "name": name,
            "holds": _words(node, schema, _DEEPEST),
            "required": name in required,
            "description": _text(_resolved(node, schema).get("description")),
        }
        for name, node in _properties(whole)
    ]
    return [field for wanted in (True, False) for field in fields if field["required"] == wanted]


def example_payload(schema: JsonObject, *, without: Sequence[str] = ()) -> JsonObject:
    """Return a payload with the required fields; `without` names those to leave out."""
    whole = _resolved(schema, schema)
    required = [name for name in _texts(whole.get("required")) if name not in without]
    return {name: _example(node, schema, _DEEPEST) for name, node in _properties(whole) if name in required}


def _words(node: JsonObject, root: JsonObject, depth: int) -> str:
    node = _resolved(node, root)
    if depth == 0:
        return "any JSON"
    if "const" in node:
        return encode_json(node["const"])
    if "enum" in node:
        return f"one of {', '.join(encode_json(word) for word in _list(node['enum']))}"
    choices = _choices(node)
    if choices:
        return " or ".join(_words(each, root, depth - 1) for each in choices)
    kind = _text(node.get("type"))
    words = _TYPE_WORDS.get(kind, "any JSON")
    items = node.get("items")
    if kind == "array" and isinstance(items, dict):
        words = f"list of {_words(items, root, depth - 1)}"
    limits = [*_limits(node)]
    return f"{words} ({', '.join(limits)})" if limits else words


def _limits(node: JsonObject) -> Iterator[str]:
    for least, most, unit in (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "entries")):
        low, high = node.get(least), node.get(most)
        if low is not None and low == high:
            yield f"{low} {unit}" if low != 1 else "one character" if unit == "characters" else "one entry"
        elif high is not None:
            yield f"{low or 0} to {high} {unit}"
        elif low is not None:
            yield f"at least {low} {unit}"
    for name, words in _LIMITS.items():
        if name in node:
            value = node[name]
            yield words.format(value if isinstance(value, str) else encode_json(value))


def _example(node: JsonObject, root: JsonObject, depth: int) -> JsonValue:
    node = _resolved(node, root)
    if depth == 0:
        return None
    given = [*_list(node.get("examples")), *_list(node.get("enum"))]
    given += [node[name] for name in ("const", "default") if name in node]
    if given:
        return given[0]
    choices = _choices(node)
    if choices:
        return _example(choices[0], root, depth - 1)
    match node.get("type"):
        case "array":
            items = node.get("items")
            return [_example(items, root, depth - 1)] if isinstance(items, dict) else []
        case "object":
            return {
                name: _example(inner, root, depth - 1)
                for name, inner in _properties(node)
                if name in _texts(node.get("required"))
            }
        case kind:
            return _EXAMPLES.get(_text(kind))


def _resolved(node: JsonObject, root: JsonObject) -> JsonObject:
    """Return what a `$ref` within the schema stands for; what is written beside it counts as well."""
    for _ in range(_DEEPEST):
        reference = _text(node.get("$ref"))
        if not reference.startswith("#/"):
            break
        found: JsonValue = root
        for part in reference.removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        beside = {name: value for name, value in node.items() if name != "$ref"}
        node = {**(found if isinstance(found, dict) else {}), **beside}
    return node


def _choices(node: JsonObject) -> list[JsonObject]:
    given = [*_list(node.get("anyOf")), *_list(node.get("oneOf"))]
    return [each for each in given if isinstance(each, dict)]


def _properties(node: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            yield name, inner if isinstance(inner, dict) else {}


def _texts(value: JsonValue) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
