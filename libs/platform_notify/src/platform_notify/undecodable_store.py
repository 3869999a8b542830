"""The last messages that nobody could decode, kept for the operator."""

from typing import Final, TypedDict

from platform_core.clock import Clock, to_iso
from platform_core.json_values import JsonObject, decode_as, encode_json
from platform_workers.event_subscriber import Undecodable
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from platform_notify.circuit import SCRIPTS, milliseconds
from platform_notify.delivery_store import RETENTION

UNDECODABLE_KEY: Final = "notify:undecodable"
KEPT: Final = 100
KEPT_BYTES: Final = 2048

_KEEP = load_script(SCRIPTS, "undecodable_keep")


class KeptMessage(TypedDict):
    """One message.

    Attributes:
        at: when it was heard, ISO 8601.
        channel: where.
        reason: what is wrong with it.
        size: its length in bytes.
        data: its first 2048 bytes, those that are no UTF-8 written as escapes.
    """

    at: str
    channel: str
    reason: str
    size: int
    data: str


class UndecodableStore:
    """Keeps the last 100. Raises `RedisUnavailableError` if Redis does not answer."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    def keep(self, message: Undecodable) -> None:
        """Keep a message and let go of the oldest."""
        kept: JsonObject = {
            "at": to_iso(self._clock.now()),
            "channel": message["channel"],
            "reason": message["reason"],
            "size": len(message["data"]),
            "data": message["data"][:KEPT_BYTES].decode("utf-8", "backslashreplace"),
        }
        self._redis.run_script(
            {
                "script": _KEEP,
                "keys": [UNDECODABLE_KEY],
                "args": [encode_json(kept), str(KEPT), str(milliseconds(RETENTION))],
            }
        )

    def latest(self) -> list[KeptMessage]:
        """Return what is kept, newest first."""
        return [decode_as(text, KeptMessage) for text in self._redis.lrange(UNDECODABLE_KEY, 0, -1)]
