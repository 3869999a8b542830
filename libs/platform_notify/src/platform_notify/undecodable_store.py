"""The last messages that were passed over, kept for the operator: undecodable ones, and unknown ones.

Each kind has a list of its own, so that a newer publisher, whose events are unknown here and no fault, does
not push out what a broken one sends.
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
KEPT: Final = 100
KEPT_BYTES: Final = 2048
KEPT_REASON: Final = 500

_KEEP = load_script(SCRIPTS, "undecodable_keep")


class KeptMessage(TypedDict):
    """One message.

    Attributes:
        at: when it was heard, ISO 8601.
        channel: where: a live channel, or the key of a durable log.
        reason: what is wrong with it; of an unknown one its type.
        size: its length in bytes.
        data: its first 2048 bytes, those that are no UTF-8 written as escapes.
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
        kept: JsonObject = {
            "at": to_iso(self._clock.now()),
            "channel": message["channel"],
            "reason": reason[:KEPT_REASON],
            "size": len(data),
            "data": data[:KEPT_BYTES].decode("utf-8", "backslashreplace"),
        }
        self._redis.run_script(
            {
                "script": _KEEP,
                "keys": [key],
                "args": [encode_json(kept), str(KEPT), str(milliseconds(RETENTION))],
            }
        )

    def latest(self, key: str = UNDECODABLE_KEY) -> list[KeptMessage]:
        """Return what is kept under one of the two keys, newest first."""
        return [decode_as(text, KeptMessage) for text in self._redis.lrange(key, 0, -1)]

    def clear(self, key: str = UNDECODABLE_KEY) -> None:
        """Forget what is kept under one of the two keys."""
        self._redis.delete(key)
