"""JSON Schema (draft 2020-12) of the TypedDicts that travel as JSON, for the documents that others read."""

from typing import Final

import msgspec

from platform_core.json_values import JsonObject, encode_json

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(payload_type: type[object]) -> JsonObject:
    """Return the schema of one TypedDict, complete in itself.

    Args:
        payload_type: a TypedDict class that JSON can be decoded into.

    Raises:
        TypeError: it is no TypedDict.
    """
    types: list[type[object]] = [payload_type]
    found: tuple[tuple[JsonObject, ...], dict[str, JsonObject]] = msgspec.json.schema_components(types)
    (top,), parts = found
    reference = str(top.get("$ref"))
    name = reference.rpartition("/")[2]
    if name not in parts:
        raise TypeError(f"{payload_type.__name__} is no TypedDict")
    schema: JsonObject = {"$schema": DIALECT, **parts[name]}
    # A type that contains itself is referred to by name too.
    if not any(f'"{reference}"' in encode_json(part) for part in parts.values()):
        del parts[name]
    if parts:
        schema["$defs"] = {**parts}
    return schema


def field_names(schema: JsonObject) -> list[str]:
    """Return the names of an object's declared fields, sorted; none for a schema without any."""
    properties = schema.get("properties")
    return sorted(properties) if isinstance(properties, dict) else []
