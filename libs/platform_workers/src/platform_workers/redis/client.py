"""The connection and its commands, strings in and out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from redis import Redis
from redis.client import PubSub
from redis.exceptions import (
    NoScriptError as _NoScriptError,
)
from redis.typing import EncodableT, FieldT
from redis.utils import from_url

from platform_workers.errors import RedisCommandError
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis.faults import translated_errors
from platform_workers.redis.replies import (
    GroupReader,
    GroupState,
    StreamEntry,
    entries_of,
    exact_text_of,
    facts_of,
    items_of,
    mapping_of,
    text_of,
    texts_of,
)
from platform_workers.redis.subscription import Subscription

ANSWER_SECONDS: Final = 30.0
"""How long an answer may take before the connection counts as dead; longer than any blocking read."""

# Bound once with a plain type: the vendor's exception classes take untyped arguments.
_NO_SCRIPT: type[Exception] = _NoScriptError


class RedisClient:
    """Redis as the platform uses it. Thread-safe; holds a connection pool.

    Every method raises `RedisUnavailableError` when Redis does not answer and `RedisCommandError` when it
    refuses the command.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection

    @property
    def connection(self) -> Redis:
        """The vendor's client, for RQ alone."""
        return self._connection

    def now(self) -> datetime:
        """Return the server's time (UTC)."""
        with translated_errors():
            seconds, micros = self._connection.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)

    def ping(self) -> None:
        """Return when Redis answers."""
        with translated_errors():
            self._connection.ping()

    def close(self) -> None:
        """Close the pool's connections."""
        self._connection.close()

    # -- strings and keys ---------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """Return the string at `key`, or None."""
        with translated_errors():
            value = self._connection.get(key)
        return None if value is None else text_of(value)

    def set(self, key: str, value: str, *, expire_seconds: int | None = None) -> None:
        """Store a string, with a time to live in seconds where one is given."""
        with translated_errors():
            self._connection.set(key, value, ex=expire_seconds)

    def delete(self, *keys: str) -> int:
        """Delete keys; return how many there were."""
        with translated_errors():
            return self._connection.delete(*keys)

    def ttl(self, key: str) -> int:
        """Seconds a key still lives; -1 without a limit, -2 when there is no such key."""
        with translated_errors():
            return self._connection.ttl(key)

    def keys(self, pattern: str) -> list[str]:
        """Every key that matches, by SCAN. For tests and tools: its cost grows with the whole store."""
        cursor, found = 0, list[str]()
        while True:
            with translated_errors():
                reply: object = self._connection.scan(cursor, pattern, 1000)
            position, names = items_of(reply)
            found.extend(texts_of(names))
            cursor = int(text_of(position))
            if cursor == 0:
                return sorted(set(found))

    # -- hashes -------------------------------------------------------------------------------------

    def hgetall(self, key: str) -> dict[str, str]:
        """Return the whole hash; empty when there is none."""
        with translated_errors():
            value = self._connection.hgetall(key)
        return mapping_of(value)

    def hmget(self, key: str, fields: Sequence[str]) -> dict[str, str]:
        """Return those of the named fields that a hash has."""
        with translated_errors():
            values: object = self._connection.hmget(key, list(fields))
        return {
            field: text_of(value)
            for field, value in zip(fields, items_of(values), strict=True)
            if value is not None
        }

    def hset(self, key: str, fields: Mapping[str, str]) -> None:
        """Set fields of a hash, keeping the others."""
        mapping: dict[FieldT, EncodableT] = dict(fields.items())
        with translated_errors():
            self._connection.hset(key, mapping=mapping)

    # -- lists --------------------------------------------------------------------------------------

    def lrange(self, key: str, start: int, stop: int) -> list[str]:
        """Return a list's entries between two positions, both included; -1 is the last."""
        with translated_errors():
            value: object = self._connection.lrange(key, start, stop)
        return texts_of(value)

    # -- sets and sorted sets -----------------------------------------------------------------------

    def sadd(self, key: str, *members: str) -> None:
        """Add members to a set."""
        with translated_errors():
            self._connection.sadd(key, *members)

    def smembers(self, key: str) -> list[str]:
        """Return a set's members, sorted."""
        with translated_errors():
            value: object = self._connection.smembers(key)
        return sorted(texts_of(value))

    def scard(self, key: str) -> int:
        """Return how many members a set has."""
        with translated_errors():
            return self._connection.scard(key)

    def zadd(self, key: str, scores: Mapping[str, float]) -> None:
        """Add members to a sorted set, or move them to a new score."""
        mapping: dict[str, EncodableT] = {**scores}
        with translated_errors():
            self._connection.zadd(key, mapping)

    def zcard(self, key: str) -> int:
        """Return how many members a sorted set has."""
        with translated_errors():
            return self._connection.zcard(key)

    def zcount(self, key: str, low: float, high: float) -> int:
        """Return how many members of a sorted set have a score within `low` and `high`."""
        with translated_errors():
            return self._connection.zcount(key, low, high)

    def zscore(self, key: str, member: str) -> float | None:
        """Return a member's score, or None."""
        with translated_errors():
            value: float | None = self._connection.zscore(key, member)
        return value

    def zrange(self, key: str, start: int, stop: int, *, newest_first: bool = False) -> list[str]:
        """Return members by rank, lowest score first unless `newest_first`."""
        with translated_errors():
            value: object = self._connection.zrange(key, start, stop, desc=newest_first)
        return texts_of(value)

    def zrange_by_score(self, key: str, low: float, high: float, *, limit: int) -> list[str]:
        """Return at most `limit` members with a score within `low` and `high`, lowest first."""
        with translated_errors():
            value: object = self._connection.zrangebyscore(key, low, high, start=0, num=limit)
        return texts_of(value)

    def zrange_with_scores(
        self, key: str, low: float, high: float, *, offset: int, limit: int
    ) -> list[tuple[str, float]]:
        """Return members with a score within `low` and `high`, and their scores, lowest first.

        Args:
            key: The sorted set.
            low: The lowest score.
            high: The highest score.
            offset: How many of them to pass over.
            limit: At most how many to return.
        """
        with translated_errors():
            value: object = self._connection.zrangebyscore(
                key, low, high, start=offset, num=limit, withscores=True
            )
        pairs = [items_of(item) for item in items_of(value)]
        return [(text_of(member), float(text_of(score))) for member, score in pairs]

    # -- channels and streams -----------------------------------------------------------------------

    def publish(self, channel: str, data: str | bytes) -> int:
        """Publish to a channel; return how many clients heard it."""
        with translated_errors():
            return self._connection.publish(channel, data)

    def subscription(self) -> Subscription:
        """Return a new subscription to no channel yet."""
        return Subscription(PubSub(self._connection.connection_pool))

    def xadd(self, key: str, fields: Mapping[str, str], *, max_length: int) -> str:
        """Append to a stream kept at about `max_length` entries; return the entry's id."""
        mapping: dict[FieldT, EncodableT] = dict(fields.items())
        with translated_errors():
            return text_of(self._connection.xadd(key, mapping, maxlen=max_length, approximate=True))

    def xrange(self, key: str, start: str = "-", stop: str = "+", *, limit: int = 1000) -> list[StreamEntry]:
        """Return entries between two ids, oldest first."""
        with translated_errors():
            value: object = self._connection.xrange(key, start, stop, count=limit)
        return entries_of(value)

    def xgroup_create(self, key: str, group: str, *, start: str) -> bool:
        """Create a consumer group (and the stream); False when the group is there already.

        Args:
            key: The stream.
            group: The group's name.
            start: Id after which the group reads; "0" is the beginning.
        """
        try:
            with translated_errors():
                return self._connection.xgroup_create(key, group, id=start, mkstream=True)
        except RedisCommandError as error:
            if "BUSYGROUP" in str(error):
                return False
            raise

    def xread_group(
        self, *, group: str, consumer: str, streams: Sequence[str], limit: int, block_ms: int | None
    ) -> dict[str, list[StreamEntry]]:
        """Read entries that no consumer of the group has got yet.

        Args:
            group: The group's name.
            consumer: Who reads; the entries are pending under this name until acknowledged.
            streams: Keys to read from.
            limit: At most this many entries a stream.
            block_ms: How long to wait when there is none; None returns at once.
        """
        positions: dict[bytes | str | memoryview, int | bytes | str | memoryview] = dict.fromkeys(
            streams, ">"
        )
        with translated_errors():
            value: object = self._connection.xreadgroup(
                group, consumer, positions, count=limit, block=block_ms
            )
        read: dict[str, list[StreamEntry]] = {}
        for item in items_of(value):
            name, entries = items_of(item)
            read[text_of(name)] = entries_of(entries, exact_text_of)
        return read

    def xack(self, key: str, group: str, *entry_ids: str) -> None:
        """Acknowledge entries: the group is done with them."""
        with translated_errors():
            self._connection.xack(key, group, *entry_ids)

    def xautoclaim(
        self, *, key: str, group: str, consumer: str, min_idle_ms: int, start: str, limit: int
    ) -> tuple[str, list[StreamEntry]]:
        """Take over entries another consumer left pending for `min_idle_ms`.

        Returns:
            The id to go on from ("0-0" when all were looked at) and the entries taken.
        """
        with translated_errors():
            value: object = self._connection.xautoclaim(
                key, group, consumer, min_idle_ms, start_id=start, count=limit
            )
        reply = items_of(value)
        return text_of(reply[0]), entries_of(reply[1], exact_text_of)

    def xgroup_state(self, key: str, group: str) -> GroupState | None:
        """Return how far a group is, or None when there is no such stream or group."""
        try:
            with translated_errors():
                value: object = self._connection.xinfo_groups(key)
        except RedisCommandError:
            return None
        for item in items_of(value):
            facts = facts_of(item)
            if text_of(facts["name"]) == group:
                state: GroupState = {
                    "pending": int(text_of(facts["pending"])),
                    "last_delivered_id": text_of(facts["last-delivered-id"]),
                }
                lag = facts.get("lag")
                if lag is not None:
                    state["lag"] = int(text_of(lag))
                return state
        return None

    def xgroup_readers(self, key: str, group: str) -> list[GroupReader]:
        """Return the consumers of a group; none when there is no such stream or group."""
        try:
            with translated_errors():
                value: object = self._connection.xinfo_consumers(key, group)
        except RedisCommandError:
            return []
        readers: list[GroupReader] = []
        for item in items_of(value):
            facts = mapping_of(item)
            readers.append(
                {"name": facts["name"], "pending": int(facts["pending"]), "idle_ms": int(facts["idle"])}
            )
        return readers

    # -- scripts ------------------------------------------------------------------------------------

    def run_script(self, call: ScriptCall) -> list[str]:
        """Run a script in one round trip; every script of the project returns a flat list of texts."""
        script, arguments = call["script"], [*call["keys"], *call["args"]]
        with translated_errors():
            try:
                reply: object = self._connection.evalsha(script.sha, len(call["keys"]), *arguments)
            except _NO_SCRIPT:
                # First use on this server, or the server restarted: send the text once.
                reply = self._connection.eval(script.text, len(call["keys"]), *arguments)
        return texts_of(reply)


def connect(url: str, *, answer_seconds: float = ANSWER_SECONDS) -> RedisClient:
    """Return a client for `url` (redis://, rediss:// or unix://). Nothing is sent before the first command.

    A command whose connection breaks is not sent again by itself: it may have been carried out, and only the
    caller knows whether a repeat does harm. Bytes stay bytes on the connection, as RQ requires.

    Args:
        url: where the server is.
        answer_seconds: how long an answer may take before the connection counts as dead. Longer than any
            blocking read; a program that has none, and somebody who waits, takes less.
    """
    options: dict[str, float] = {
        "socket_connect_timeout": 5.0,
        "socket_timeout": answer_seconds,
        "health_check_interval": 30,
        "protocol": 2,
    }
    if not url.startswith("unix:"):
        # A socket of this machine has no such thing, and the vendor's class for it refuses the word.
        options["socket_keepalive"] = True
    with translated_errors():
        return RedisClient(from_url(url, **options))
