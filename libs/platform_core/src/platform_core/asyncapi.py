"""The AsyncAPI 3.0 document of the event channels, made from the TypedDicts that the code itself uses.

`make asyncapi` writes it to `docs/asyncapi.json`; a test compares. Its schemas say what can be said of a
message on its own. Two rules of the contract cannot be written as a schema: the `domain` of a lifecycle event
is the one in its `type`, and both are those of the channel.
"""

from collections.abc import Iterator
from typing import Final, TypedDict

import msgspec

from platform_core.event_families import EVENT_FAMILIES
from platform_core.json_values import JsonObject, JsonValue, encode_json

ASYNCAPI_VERSION: Final = "3.0.0"
CONTRACT_VERSION: Final = "1.0.0"
"""The version of the contract: V1 never changes, so this does only when a family is added (1.1.0)."""

LOGGED: Final = ("job.started.v1", "job.completed.v1", "job.failed.v1")
"""What a domain's durable log keeps."""

LOG_ENTRY: Final = "LogEntry"


class Message(TypedDict):
    """One message of the channels.

    Attributes:
        key: its name in the document, that of its TypedDict.
        event: its type without the domain.
        domain: the one domain that it is of; None for every domain.
        schema: its JSON Schema.
    """

    key: str
    event: str
    domain: str | None
    schema: JsonObject


def asyncapi_text() -> str:
    """Return the document as text, indented, with a line feed at its end."""
    return msgspec.json.format(encode_json(asyncapi_document()), indent=2) + "\n"


def asyncapi_document() -> JsonObject:
    """Return the document."""
    messages = list(event_messages())
    live: JsonObject = {message["key"]: _ref("messages", message["key"]) for message in messages}
    components: JsonObject = {
        "messages": {
            **{message["key"]: _message(message) for message in messages},
            LOG_ENTRY: _log_entry_message(),
        },
        "schemas": {
            **{message["key"]: message["schema"] for message in messages},
            LOG_ENTRY: _log_entry_schema(),
        },
    }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Job events",
            "version": CONTRACT_VERSION,
            "description": "What the jobs of every domain publish while they run. Readers ignore fields "
            "and pass over types that they do not know: both may come from a newer publisher.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "redis": {
                "host": "127.0.0.1:6379",
                "protocol": "redis",
                "description": "The Redis server of the platform (`REDIS_URL`).",
            }
        },
        "channels": {"events": _events_channel(live), "eventsLog": _log_channel()},
        "operations": {
            "publishEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "A job tells how it goes.",
            },
            "hearEvents": {
                "action": "receive",
                "channel": {"$ref": "#/channels/events"},
                "summary": "Somebody listens, from now on; PSUBSCRIBE `*:events` for every domain.",
            },
            "readLog": {
                "action": "receive",
                "channel": {"$ref": "#/channels/eventsLog"},
                "summary": "Somebody reads what counts, from any position, without missing any of it.",
            },
        },
        "components": components,
    }


def event_messages() -> Iterator[Message]:
    """Yield the message of every event of every family."""
    for family in EVENT_FAMILIES:
        for event, shape in family.shapes().items():
            schema = _for_document(shape.schema())
            if family.domain is None:
                schema = _with_type_pattern(schema, event)
            yield {"key": str(schema["title"]), "event": event, "domain": family.domain, "schema": schema}


def _events_channel(messages: JsonObject) -> JsonObject:
    return {
        "address": "{domain}:events",
        "title": "Live events of a domain",
        "description": "A Redis pub/sub channel. A message is one compact JSON object in UTF-8. What is "
        "published while nobody listens is gone.",
        "parameters": {"domain": _domain_parameter()},
        "messages": messages,
    }


def _log_channel() -> JsonObject:
    return {
        "address": "{domain}:events:log",
        "title": "Durable log of a domain",
        "description": "A Redis stream with about the last 100,000 started, completed and failed events. "
        "Each is added in the same step in which it is published; progress and metrics are live only. A "
        "service that only publishes has no log.",
        "parameters": {"domain": _domain_parameter()},
        "messages": {LOG_ENTRY: _ref("messages", LOG_ENTRY)},
    }


def _domain_parameter() -> JsonObject:
    return {
        "description": "1 to 32 lower-case letters, digits and `_`, a letter first. Domains are open: a new "
        "team takes one of its own.",
        "examples": ["turkic", "trainer", "music_wrapped"],
    }


def _message(message: Message) -> JsonObject:
    domain = message["domain"]
    return {
        "name": f"{domain or '<domain>'}.{message['event']}",
        "title": message["key"],
        "summary": str(message["schema"]["description"]),
        "description": "In every domain." if domain is None else f"In the domain {domain} alone.",
        "contentType": "application/json",
        "payload": _ref("schemas", message["key"]),
    }


def _log_entry_message() -> JsonObject:
    return {
        "name": "log-entry",
        "title": LOG_ENTRY,
        "summary": "An event in the log, with the run of the job that it belongs to.",
        "payload": _ref("schemas", LOG_ENTRY),
    }


def _log_entry_schema() -> JsonObject:
    events: list[JsonValue] = [
        _ref("schemas", message["key"]) for message in event_messages() if message["event"] in LOGGED
    ]
    return {
        "title": LOG_ENTRY,
        "description": "The fields of the stream's entry.",
        "type": "object",
        "properties": {
            "event": {
                "description": "The event as published, as text.",
                "type": "string",
                "contentMediaType": "application/json",
                "x-content": {"oneOf": events},
            },
            "run": {
                "description": "Which run of the job, from 1.",
                "type": "string",
                "pattern": "^[1-9][0-9]{0,8}$",
            },
        },
        "required": ["event", "run"],
    }


def _ref(kind: str, name: str) -> JsonObject:
    return {"$ref": f"#/components/{kind}/{name}"}


def _for_document(schema: JsonObject) -> JsonObject:
    """Return a schema as a part of the document: in its dialect, with patterns for every language."""
    return {name: _portable(value) for name, value in schema.items() if name != "$schema"}


def _portable(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {name: _portable(item) for name, item in value.items()}
        case str():
            # The end of a text is `\Z` in Python, whose `$` lets a line feed pass, and `$` in JSON Schema.
            return value.replace("\\Z", "$")
        case _:
            return value


def _with_type_pattern(schema: JsonObject, event: str) -> JsonObject:
    """Say of a family that serves every domain how its `type` looks."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    ending = event.replace(".", "\\.")
    pattern: JsonObject = {"type": "string", "pattern": f"^[a-z][a-z0-9_]{{0,31}}\\.{ending}$"}
    return schema | {"properties": {**properties, "type": pattern}}
