"""JSON at the boundary: text to values, values to text, values to a declared TypedDict.

The only module that knows msgspec's errors. Every fault becomes a `DecodeError` with its path, so that no
input, however broken, raises anything else.
"""

import math
import re
import threading
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from platform_core.errors import DecodeError
from platform_core.json_faults import fault_of

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
JsonObject: TypeAlias = dict[str, JsonValue]

T = TypeVar("T")

# A fixed limit, well below Python's recursion limit, so that what was decoded can always be encoded again
# however deep the stack is at that moment.
MAX_DEPTH = 100

_SURROGATE = re.compile("[\ud800-\udfff]")

_LEARNED: Final[set[object]] = set()
_LEARNING: Final = threading.Lock()


def _learn(target: type[object]) -> None:
    """Have msgspec look at a type, for the first time and by one thread alone.

    It keeps what it finds with the type while it is still looking. A second thread that met the half of it
    brought the whole process down (segmentation fault, msgspec 0.22 on CPython 3.11).

    Raises:
        TypeError: the type has a field that JSON cannot be decoded into.
    """
    with _LEARNING:
        msgspec.json.Decoder(target)
        _LEARNED.add(target)


class PayloadCodec(Generic[T]):
    """Turns a JSON value into one payload TypedDict; the handler registry keeps one for each job type."""

    def __init__(self, payload_type: type[T]) -> None:
        """Take the payload type.

        Args:
            payload_type: a TypedDict class.

        Raises:
            TypeError: the type has a field that JSON cannot be decoded into; found here, at registration,
                and not at the first job.
        """
        _learn(payload_type)
        self.payload_type = payload_type

    def decode(self, value: JsonValue, root: str = "$.payload") -> T:
        """Check `value` and return it as the payload type.

        Args:
            value: a decoded JSON value.
            root: the name of `value` in error paths.

        Raises:
            DecodeError: the value does not have the declared shape.
        """
        return convert_as(value, self.payload_type, root)


def decode_json(text: str | bytes) -> JsonValue:
    """Read one JSON text (UTF-8 if bytes).

    Raises:
        DecodeError: no JSON, invalid UTF-8, a lone surrogate, NaN or Infinity, a number out of range,
            or more than `MAX_DEPTH` nested arrays and objects.
    """
    try:
        value: JsonValue = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError("$", "JSON text", _text_fault(error)) from None
    # Only a text with many brackets can be deep, so the usual small message is not walked.
    if len(text) > MAX_DEPTH:
        _check_depth(value)
    return value


def encode_json(value: JsonValue) -> str:
    """Write a JSON value compactly: no white space, non-ASCII characters as they are.

    Raises:
        DecodeError: something in it cannot be carried by JSON (see `to_json_value`).
    """
    return _encode(to_json_value(value))


def decode_as(text: str | bytes, target: type[T]) -> T:
    """Read one JSON text into a TypedDict; unknown extra fields are left out.

    Args:
        text: the JSON text.
        target: the TypedDict class.

    Raises:
        DecodeError: no JSON, or not the declared shape. Nothing is coerced, except an integer where a float
            is declared: JSON writes 1.0 and 1 alike.
    """
    return convert_as(decode_json(text), target)


def convert_as(value: JsonValue, target: type[T], root: str = "$") -> T:
    """Check a decoded JSON value against a TypedDict and return it as one.

    Args:
        value: a decoded JSON value.
        target: the TypedDict class.
        root: the name of `value` in error paths, such as `$.context`.

    Raises:
        DecodeError: the value does not have the declared shape.
    """
    if target not in _LEARNED:
        _learn(target)
    try:
        return msgspec.convert(value, target, strict=True)
    except msgspec.ValidationError as error:
        path, expected, found = fault_of(str(error), target)
        raise DecodeError(root + path.removeprefix("$"), expected, found) from None
    except RecursionError:
        # A type that contains itself follows a value of any depth.
        raise DecodeError(root, f"at most {MAX_DEPTH} levels", type_name(value)) from None


def to_json_value(value: object, path: str = "$") -> JsonValue:
    """Copy a Python value as a JSON value, refusing what JSON cannot carry.

    Args:
        value: anything.
        path: the name of `value` in error paths.

    Raises:
        DecodeError: NaN, an infinity, a lone surrogate, a key that is no text, a type that JSON does not
            have (a tuple, bytes, a date), or more than `MAX_DEPTH` levels.
    """
    return _to_json_value(value, path, MAX_DEPTH)


def type_name(value: object) -> str:
    """Name a value's type in JSON's words, for the `found` of an error."""
    match value:
        case None:
            return "null"
        case dict():
            return "object"
        case list():
            return "array"
        case _:
            return type(value).__name__


def _to_json_value(value: object, path: str, levels: int) -> JsonValue:
    match value:
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise DecodeError(path, "finite number", "float")
            return value
        case str():
            return _checked_text(value, path)
        case list() | dict() if levels == 0:
            raise DecodeError(path, f"at most {MAX_DEPTH} levels", type_name(value))
        case list():
            items: list[object] = value
            return [_to_json_value(item, f"{path}[{index}]", levels - 1) for index, item in enumerate(items)]
        case dict():
            return _to_json_object(value, path, levels - 1)
        case _:
            raise DecodeError(path, "JSON value", type_name(value))


def _to_json_object(mapping: dict[object, object], path: str, levels: int) -> JsonObject:
    copy: JsonObject = {}
    for key, item in mapping.items():
        if not isinstance(key, str):
            raise DecodeError(path, "text as key", type_name(key))
        copy[_checked_text(key, path)] = _to_json_value(item, f"{path}.{key}", levels)
    return copy


def _checked_text(text: str, path: str) -> str:
    if _SURROGATE.search(text) is not None:
        raise DecodeError(path, "text without lone surrogates", "str")
    return text


def _check_depth(value: JsonValue) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return
    raise DecodeError("$", f"at most {MAX_DEPTH} levels", type_name(value))


def _members(value: JsonValue) -> list[JsonValue]:
    """Return what is inside an array or object; an empty one holds a marker, so that it counts as a level."""
    match value:
        case list():
            return value or [None]
        case dict():
            return list(value.values()) or [None]
        case _:
            return []


def _encode(value: JsonValue) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except ValueError:
        # Python refuses to write an integer of more than some thousand digits.
        raise DecodeError("$", "integers of a usual size", "int") from None


def _text_fault(error: Exception) -> str:
    match error:
        case RecursionError():
            return "too many levels"
        case UnicodeError():
            return "text that is not valid Unicode"
        case _:
            return "text that is not JSON"
