"""What a message of a domain's channel or log is: an event, something nobody here knows, or no event at all.

Every message comes out as one of the three; none raises.
"""

from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import KnownEventV1, decode_event
from platform_core.job_events import JobDomain

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""A longer message is not decoded at all: no event comes near, and decoding it would hold up the others."""


class Heard(TypedDict):
    """An event, and the domain on whose channel or log it came."""

    kind: Literal["event"]
    channel: str
    domain: JobDomain
    event: KnownEventV1


class Unknown(TypedDict):
    """A well-formed message of a family or a version nobody here knows. Not an error.

    Attributes:
        event_type: its `type`; at most 128 printable ASCII characters.
        data: the message as it came.
    """

    kind: Literal["unknown"]
    channel: str
    event_type: str
    data: bytes


class Undecodable(TypedDict):
    """A message that is no event.

    Attributes:
        reason: what is wrong with it; never a value out of it.
        data: the message as it came.
    """

    kind: Literal["undecodable"]
    channel: str
    reason: str
    data: bytes


Message: TypeAlias = Heard | Unknown | Undecodable


def read_message(channel: str, domain: JobDomain, data: bytes) -> Message:
    """Decode one message.

    Args:
        channel: where it came from, for the record.
        domain: the domain whose channel that is; an event of another domain is undecodable.
        data: the message as published.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        return undecodable(channel, f"longer than {MAX_MESSAGE_BYTES} bytes", data)
    try:
        event = decode_event(data)
    except UnknownEventError as error:
        return {"kind": "unknown", "channel": channel, "event_type": error.event_type, "data": data}
    except DecodeError as error:
        return undecodable(channel, str(error), data)
    if event["type"].partition(".")[0] != domain:
        return undecodable(channel, f"$.type: expected an event of the domain {domain}, found another", data)
    return {"kind": "event", "channel": channel, "domain": domain, "event": event}


def undecodable(channel: str, reason: str, data: bytes) -> Undecodable:
    """Make the outcome of a message that is no event."""
    return {"kind": "undecodable", "channel": channel, "reason": reason, "data": data}
