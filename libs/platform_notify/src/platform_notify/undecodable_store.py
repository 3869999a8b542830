"""The last messages that were passed over, kept for the operator: undecodable, unknown and unhandled ones.

Each kind has a list of its own, so that a newer publisher, whose events are unknown here and no fault, does
not push out what a broken one sends. Unhandled is an event that is well and met a fault of the notifier: it
is kept whole and can be published again.
"""

from typing import Final, TypedDict

from platform_core.clock import Clock, to_iso
from platform_core.json_values import JsonObject, decode_as, encode_json
from platform_workers.event_messages import Undecodable, Unknown
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from platform_notify.circuit import SCRIPTS, milliseconds
from platform_notify.delivery_store import RETENTION

UNDECODABLE_KEY: Final = "notify:undecodable"
UNKNOWN_KEY: Final = "notify:unknown"
UNHANDLED_KEY: Final = "notify:unhandled"
KEPT: Final = 100
KEPT_BYTES: Final = 2048
KEPT_REASON: Final = 500

_KEEP = load_script(SCRIPTS, "undecodable_keep")
_FORGET = load_script(SCRIPTS, "undecodable_forget")


class KeptMessage(TypedDict):
    """One message.

    Attributes:
        at: when it was heard, ISO 8601.
        channel: where: a live channel, or the key of a durable log.
        reason: what is wrong with it; of an unknown one its type.
        size: its length in bytes.
        data: its first 2048 bytes, those that are no UTF-8 written as escapes; an unhandled one whole.
    """

    at: str
    channel: str
    reason: str
    size: int
    data: str


class UndecodableStore:
    """Keeps the last 100 of each kind. Raises `RedisUnavailableError` if Redis does not answer."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    def keep(self, message: Undecodable | Unknown) -> None:
        """Keep a message and let go of the oldest of its kind."""
        if message["kind"] == "unknown":
            key, reason = UNKNOWN_KEY, f"nobody here knows the type {message['event_type']}"
        else:
            key, reason = UNDECODABLE_KEY, message["reason"]
        data = message["data"]
        text = data[:KEPT_BYTES].decode("utf-8", "backslashreplace")
        self._keep(key, message["channel"], reason, len(data), text)

    def keep_unhandled(self, channel: str, reason: str, text: str) -> None:
        """Keep an event that could not be handled, as it can be published again."""
        self._keep(UNHANDLED_KEY, channel, reason, len(text.encode()), text)

    def latest(self, key: str = UNDECODABLE_KEY) -> list[KeptMessage]:
        """Return what is kept under one of the three keys, newest first."""
        return [decode_as(text, KeptMessage) for text in self._redis.lrange(key, 0, -1)]

    def clear(self, key: str = UNDECODABLE_KEY) -> None:
        """Forget what is kept under one of the three keys."""
        self._redis.delete(key)

    def publish_again(self) -> list[KeptMessage]:
        """Publish the unhandled events again, oldest first, and forget each that somebody has heard.

        Returns:
            Those that were heard.
        """
        heard: list[KeptMessage] = []
        for text in reversed(self._redis.lrange(UNHANDLED_KEY, 0, -1)):
            message = decode_as(text, KeptMessage)
            # Heard on a channel or read in the durable log of the same name.
            if self._redis.publish(message["channel"].removesuffix(":log"), message["data"]):
                self._redis.run_script({"script": _FORGET, "keys": [UNHANDLED_KEY], "args": [text]})
                heard.append(message)
        return heard

    def _keep(self, key: str, channel: str, reason: str, size: int, text: str) -> None:
        kept: JsonObject = {
            "at": to_iso(self._clock.now()),
            "channel": channel,
            "reason": reason[:KEPT_REASON],
            "size": size,
            "data": text,
        }
        self._redis.run_script(
            {
                "script": _KEEP,
                "keys": [key],
                "args": [encode_json(kept), str(KEPT), str(milliseconds(RETENTION))],
            }
        )
