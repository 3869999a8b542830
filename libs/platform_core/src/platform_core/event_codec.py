"""The one mechanism that reads and writes events, for every family.

A family is a set of TypedDicts and one `EventFamily` that registers them under the names in their `type`:

    <domain>.<group>.<name>.v<version>        trainer.metrics.config.v1        turkic.job.started.v1

A family with a fixed domain owns the types of that domain only. A family without one serves every domain, and
its messages carry a `domain` field that must agree with their `type`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Meta

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.json_schemas import schema_of
from platform_core.json_values import (
    JsonObject,
    convert_as,
    decode_json,
    encode_json,
    to_json_value,
    type_name,
)

# A job id is part of a Redis key, so it holds neither the separator nor anything invisible.
JobId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[^:\s\x00-\x1f\x7f-\x9f]{1,128}\Z",
        description="1 to 128 characters, without `:`, white space and control characters",
    ),
]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

_EVENT_TYPE = re.compile(r"[!-~]{1,128}")

EventT_co = TypeVar("EventT_co", covariant=True)
EventT = TypeVar("EventT")


class EventShape(Protocol[EventT_co]):
    """How one event looks: its fields in wire order, and the check of a message against them."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the declared fields, in the order in which they are written."""

    def decode(self, message: JsonObject) -> EventT_co:
        """Return the event with its declared fields only, or raise DecodeError."""

    def schema(self) -> JsonObject:
        """Return the event's JSON Schema."""


class TypedShape(Generic[EventT_co]):
    """The shape of an event that is one TypedDict."""

    def __init__(self, event_type: type[EventT_co]) -> None:
        self._event_type = event_type
        self._fields = declared_fields(event_type)

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the declared fields, in the order in which they are written."""
        return self._fields

    def decode(self, message: JsonObject) -> EventT_co:
        """Return the event with its declared fields only, or raise DecodeError."""
        return convert_as(message, self._event_type)

    def schema(self) -> JsonObject:
        """Return the event's JSON Schema."""
        return schema_of(self._event_type)


class EventFamily(Generic[EventT_co]):
    """A set of events with a common group, version and (perhaps) domain."""

    def __init__(
        self,
        *,
        group: str,
        version: int,
        shapes: Mapping[str, EventShape[EventT_co]],
        domain: str | None = None,
    ) -> None:
        """Register the events.

        Args:
            group: the second part of the types, such as `job` or `metrics`.
            version: the number after `v`.
            shapes: the shape of each event under its name, the third part of its type.
            domain: the first part of the types; None if the family serves every domain.
        """
        self._group = group
        self._version = f"v{version}"
        self._shapes = dict(shapes)
        self._domain = domain

    @property
    def domain(self) -> str | None:
        """The one domain that it is of; None if it serves every domain."""
        return self._domain

    def shapes(self) -> Mapping[str, EventShape[EventT_co]]:
        """Return the shape of each event under its type without the domain, such as `job.started.v1`."""
        return {f"{self._group}.{name}.{self._version}": shape for name, shape in self._shapes.items()}

    def decode(self, text: str | bytes) -> EventT_co:
        """Read a message of this family.

        Raises:
            DecodeError: malformed.
            UnknownEventError: well-formed, of another family.
        """
        return decode_event_of((self,), text)

    def encode(self, event: Mapping[str, object]) -> str:
        """Write an event of this family as compact JSON, its fields in the declared order.

        Raises:
            DecodeError: the event has an undeclared field or lacks one, or a value that does not fit.
            UnknownEventError: the event is of another family.
        """
        message = to_json_object(dict(event))
        event_type = type_of(message)
        shape = self.shape_of(event_type)
        if shape is None:
            raise UnknownEventError(event_type)
        for name in message:
            if name not in shape.fields:
                raise DecodeError(f"$.{name}", "no such field", type_name(message[name]))
        self.read(shape, message)
        return encode_json({name: message[name] for name in shape.fields if name in message})

    def shape_of(self, event_type: str) -> EventShape[EventT_co] | None:
        """Return the shape registered for a type, or None if the type belongs to another family."""
        head, *rest = event_type.rsplit(".", 3)
        match rest:
            case [self._group, name, self._version] if self._domain is None or head == self._domain:
                return self._shapes.get(name)
            case _:
                return None

    def read(self, shape: EventShape[EventT_co], message: JsonObject) -> EventT_co:
        """Check a message against one of this family's shapes.

        Raises:
            DecodeError: malformed, or its `domain` is not the one in its `type`.
        """
        event = shape.decode(message)
        domain = message.get("domain")
        if self._domain is None and domain != type_of(message).rsplit(".", 3)[0]:
            raise DecodeError("$.domain", "the domain that $.type names", type_name(domain))
        return event


def decode_event_of(families: Iterable[EventFamily[EventT]], text: str | bytes) -> EventT:
    """Read a message of one of several families; the first that knows the type decodes it.

    Args:
        families: the families, in the order in which they are asked.
        text: one JSON object.

    Raises:
        DecodeError: malformed.
        UnknownEventError: well-formed, but none of the families knows its type.
    """
    message = to_json_object(decode_json(text))
    event_type = type_of(message)
    for family in families:
        shape = family.shape_of(event_type)
        if shape is not None:
            return family.read(shape, message)
    raise UnknownEventError(event_type)


def declared_fields(event_type: type[object]) -> tuple[str, ...]:
    """Return a TypedDict's field names in declared order, inherited ones first."""
    annotations: Mapping[str, object] = event_type.__annotations__
    return tuple(annotations)


def type_of(message: JsonObject) -> str:
    """Return a message's `type`.

    Raises:
        DecodeError: it has none, or one that is not 1 to 128 printable ASCII characters.
    """
    if "type" not in message:
        raise DecodeError("$.type", "str", "missing")
    event_type = message["type"]
    if not isinstance(event_type, str) or _EVENT_TYPE.fullmatch(event_type) is None:
        raise DecodeError("$.type", "str of 1 to 128 printable characters", type_name(event_type))
    return event_type


def to_json_object(value: object) -> JsonObject:
    """Return a value as a JSON object.

    Raises:
        DecodeError: it is something else, or holds something that JSON cannot carry.
    """
    message = to_json_value(value)
    if not isinstance(message, dict):
        raise DecodeError("$", "object", type_name(message))
    return message
