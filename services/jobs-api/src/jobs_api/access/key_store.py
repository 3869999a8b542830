"""Where keys and sessions lie in Redis.

| Redis key | |
|---|---|
| `jobs-api:keys` | hash: key id to the key as JSON |
| `jobs-api:keys:revoked` | hash: key id to the time it was revoked |
| `jobs-api:keys:used` | hash: key id to about the last time it was used |
| `jobs-api:session:<digest>` | the id of the key that a browser signed in with; expires |

No domain can be called `jobs-api`, so these meet no job's keys. Each step writes one field, so nothing can be
done by half: a command killed before its write has made no key, one killed after it has made a key whose
secret nobody was told, which is in the list and can be revoked. A revoked key stays in the list, and so
keys stay required when the last one is gone.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypedDict

from platform_core.clock import to_iso
from platform_core.errors import DecodeError, PlatformError
from platform_core.json_values import decode_as, encode_json, to_json_value
from platform_workers.redis import RedisClient

from jobs_api.access.keys import ApiKey, digest_of, has_expired, random_text

KEYS: Final = "jobs-api:keys"
REVOKED: Final = "jobs-api:keys:revoked"
USED: Final = "jobs-api:keys:used"

SESSION_SECONDS: Final = 12 * 3600


class KeyUnknownError(PlatformError):
    """There is no key of this id."""


class KeyTable(TypedDict):
    """Every key there is.

    Attributes:
        keys: by id.
        revoked: when a key was revoked, by id.
        damaged: ids of keys that can't be read; nobody gets in with one.
    """

    keys: Mapping[str, ApiKey]
    revoked: Mapping[str, str]
    damaged: Sequence[str]


class KeyStore:
    """Keeps keys. Every method raises `RedisUnavailableError` when Redis does not answer.

    Args:
        redis: the connection.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def save(self, key: ApiKey) -> None:
        """Store a new key."""
        self._redis.hset(KEYS, {key["key_id"]: encode_json(to_json_value(key))})

    def load(self) -> KeyTable:
        """Return every key."""
        # Keys first: one that is revoked in between is seen as revoked.
        texts = self._redis.hgetall(KEYS)
        revoked = self._redis.hgetall(REVOKED)
        keys, damaged = dict[str, ApiKey](), list[str]()
        for key_id, text in texts.items():
            try:
                keys[key_id] = decode_as(text, ApiKey)
            except DecodeError:
                damaged.append(key_id)
        return {"keys": keys, "revoked": revoked, "damaged": damaged}

    def revoke(self, key_id: str, now: datetime) -> None:
        """Make a key useless. Of one that is revoked already, the first time is kept.

        Raises:
            KeyUnknownError: there is none of this id.
        """
        if not self._redis.hmget(KEYS, [key_id]):
            raise KeyUnknownError(f"there is no key {key_id!r}")
        if not self._redis.hmget(REVOKED, [key_id]):
            self._redis.hset(REVOKED, {key_id: to_iso(now)})

    def note_use(self, key_id: str, now: datetime) -> None:
        """Remember that a key was used."""
        self._redis.hset(USED, {key_id: to_iso(now)})

    def last_uses(self) -> Mapping[str, str]:
        """Return about when keys were last used, ISO 8601 by id."""
        return self._redis.hgetall(USED)


class SessionStore:
    """Keeps who is signed in with a browser. Of a session's secret only a digest is kept, as of a key's.

    Args:
        redis: the connection.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def open(self, key_id: str) -> str:
        """Begin a session for whoever showed this key; return its secret."""
        secret = random_text(secrets.token_bytes)
        self._redis.set(_session_key(secret), key_id, expire_seconds=SESSION_SECONDS)
        return secret

    def key_id_of(self, secret: str) -> str | None:
        """Return the id of the key that a session was begun with; None when there is no such session."""
        return self._redis.get(_session_key(secret))

    def close(self, secret: str) -> None:
        """End a session."""
        self._redis.delete(_session_key(secret))


def usable_keys(table: KeyTable, now: datetime) -> list[ApiKey]:
    """Return the keys that let somebody in: neither revoked nor expired."""
    return [
        key
        for key_id, key in table["keys"].items()
        if key_id not in table["revoked"] and not has_expired(key, now)
    ]


def _session_key(secret: str) -> str:
    return f"jobs-api:session:{digest_of(secret)}"
