"""Reads msgspec's validation messages, so that an error says path, expected and found, and never the value.

msgspec gives its faults as one English sentence, and some quote the value (`Invalid enum value 'x'`).
So only what is recognised here is passed on; the rest is looked up in the declared type.
"""

import re

import msgspec.inspect as shapes

_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_EXPECTED = re.compile(r"Expected (?P<expected>`(?P<base>[^`]*)`.*?)(?:, got `(?P<found>[^`]*)`)?", re.DOTALL)
_PATTERN = " matching regex "
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[[^\]]*\]")

_JSON_WORDS = {"list": "array", "dict": "object", "typeddict": "object", "none": "null"}


def fault_of(sentence: str, target: type[object]) -> tuple[str, str, str]:
    """Take a validation message apart.

    Args:
        sentence: the text of a `msgspec.ValidationError`.
        target: the type that was asked for.

    Returns:
        The path from `$`, what was expected there, and the type that was found (`missing` if nothing was).
    """
    what, path = sentence, "$"
    if sentence.endswith("`"):
        # From the right: a quoted value may itself contain ` - at `.
        head, separator, tail = sentence.rpartition(" - at `")
        if separator:
            what, path = head, tail.removesuffix("`")
    missing = _MISSING.fullmatch(what)
    if missing is not None:
        path = f"{path}.{missing['name']}"
        return path, _describe(_shape_at(target, path)), "missing"
    expected = _EXPECTED.fullmatch(what)
    if expected is not None:
        wanted: str = expected["expected"]
        base: str = expected["base"]
        found: str | None = expected["found"]
        if found is None:
            # The type is right and the content is not. A bound is told as it is; of a pattern the declared
            # type may say in plain words what it means.
            words = _description(_shape_at(target, path)) if _PATTERN in wanted else None
            return path, words or wanted.replace("`", ""), base
        return path, wanted.replace("`", ""), found
    shape = _shape_at(target, path)
    return path, _describe(shape), _wire_type(shape)


def _shape_at(target: type[object], path: str) -> shapes.Type | None:
    """Follow a path such as `$.a[0].b` through the declared type; None where it leads nowhere."""
    shape: shapes.Type | None = shapes.type_info(target)
    for step in _STEP.finditer(path):
        shape = _step_into(shape, step["name"])
    return shape


def _step_into(shape: shapes.Type | None, name: str | None) -> shapes.Type | None:
    match _unwrapped(shape):
        case shapes.UnionType(types=members):
            found = (_step_into(member, name) for member in members)
            return next((inner for inner in found if inner is not None), None)
        case shapes.TypedDictType(fields=fields):
            return next((field.type for field in fields if field.encode_name == name), None)
        case shapes.ListType(item_type=item):
            return item
        case shapes.DictType(value_type=value):
            return value
        case _:
            return None


def _description(shape: shapes.Type | None) -> str | None:
    """Return the `description` of an annotated type, if it has one."""
    schema: object = getattr(shape, "extra_json_schema", None)
    match schema:
        case {"description": str(text)}:
            return text
        case _:
            return None


def _unwrapped(shape: shapes.Type | None) -> shapes.Type | None:
    """Take off msgspec's `Metadata`, the one shape with an inner `type` (the class itself is untyped)."""
    inner: shapes.Type | None = getattr(shape, "type", None)
    return shape if inner is None else inner


def _describe(shape: shapes.Type | None) -> str:
    match _unwrapped(shape):
        case None:
            return "value"
        case shapes.UnionType(types=members):
            return " | ".join(_describe(member) for member in members)
        case shapes.LiteralType(values=values):
            return "one of " + ", ".join(repr(value) for value in values)
        case _:
            name = type(_unwrapped(shape)).__name__.removesuffix("Type").lower()
            return _JSON_WORDS.get(name, name)


def _wire_type(shape: shapes.Type | None) -> str:
    """Name the JSON type of a value of the right type and the wrong content."""
    match _unwrapped(shape):
        case shapes.LiteralType(values=values):
            return type(values[0]).__name__
        case shapes.UnionType(types=members):
            return _wire_type(members[0])
        case shapes.IntType() | shapes.FloatType():
            return "number"
        case _:
            return "str"
