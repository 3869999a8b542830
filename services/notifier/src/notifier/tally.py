"""Counts what the two feeds hear, and keeps for the operator what nobody could decode, knew or handle."""

from typing import Final

from platform_core.json_values import JsonValue, encode_json, to_json_value
from platform_notify.intake import MAX_KEPT, Taken
from platform_notify.undecodable_store import UndecodableStore
from platform_workers.event_messages import Heard, Message

from notifier.metrics import Feed, Metrics

MAX_LOGGED: Final = 500
"""How many characters of a message go into a log line."""


class Tally:
    """What both feeds share; thread-safe."""

    def __init__(self, *, metrics: Metrics, undecodable: UndecodableStore) -> None:
        self._metrics = metrics
        self._undecodable = undecodable

    def count(self, feed: Feed, message: Message) -> Heard | None:
        """Count a message; give it back if it is an event."""
        if message["kind"] == "event":
            self._metrics.event_heard(feed, message["event"])
            return message
        # Kept first: one that meets an outage of Redis comes again, and is to be counted once.
        self._undecodable.keep(message)
        if message["kind"] == "unknown":
            self._metrics.unknown_heard(feed)
        else:
            self._metrics.undecodable_heard(feed)
        return None

    def taken(self, feed: Feed, taken: Taken) -> None:
        """Count what came of an event."""
        self._metrics.taken(feed, taken)

    def failed(self, feed: Feed) -> None:
        """Count a message that could not be handled, each time it could not."""
        self._metrics.handling_failed(feed)

    def put_aside(self, message: Message, error: Exception) -> None:
        """Keep a message that could not be handled, so that a person can see it and bring it back.

        Raises:
            PlatformError: it could not be kept.
        """
        self._undecodable.keep_unhandled(message["channel"], fault_of(error), text_of(message))


def text_of(message: Message) -> str:
    """Return a message as text; an event as one that can be published anew, its long texts cut."""
    if message["kind"] != "event":
        return message["data"].decode("utf-8", "backslashreplace")[:MAX_KEPT]
    event: dict[str, JsonValue] = {
        # As much as a delivery keeps of them.
        name: value[:MAX_KEPT] if isinstance(value, str) else to_json_value(value)
        for name, value in message["event"].items()
    }
    return encode_json(event)


def fault_of(error: Exception) -> str:
    """Say what was raised."""
    return f"{type(error).__name__}: {error}"
