"""The keys as this process knows them: all of them, read again every two seconds.

So a request costs no question to Redis, an invented id costs none either and takes no memory, and a key that
is revoked is refused within those two seconds. When Redis does not answer, nobody gets in by what was known
before.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final, TypedDict

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_workers.errors import WorkersError

from jobs_api.access.key_store import KeyStore, KeyTable
from jobs_api.access.keys import ApiKey

MAX_AGE_SECONDS: Final = 2.0
"""How long a revoked key may still be taken."""

NEW_KEY_SECONDS: Final = 0.2
"""How soon the keys are read again for an id that is not among them: it may be of a key just made."""

NOTE_SECONDS: Final = 60.0
"""How coarse the time of a key's last use is."""


class KnownKey(TypedDict):
    """What is known of an id.

    Attributes:
        required: whether keys are asked for at all.
        key: the key; None if there is none.
        revoked: whether it was revoked.
    """

    required: bool
    key: ApiKey | None
    revoked: bool


class KeyRing:
    """Knows the keys. Used on one event loop.

    Args:
        store: where they lie.
        local: whether only this machine reaches the API, so that it may be open while there is no key.
        clock: the time.
        logger: told when the API is open and when it no longer is.
    """

    def __init__(self, store: KeyStore, *, local: bool, clock: Clock, logger: Logger) -> None:
        self._store = store
        self._local = local
        self._clock = clock
        self._logger = logger
        self._table: KeyTable = {"keys": {}, "revoked": {}, "damaged": []}
        self._read_at: float | None = None
        self._required: bool | None = None
        self._reading: asyncio.Task[WorkersError | None] | None = None
        self._noted: dict[str, float] = {}

    async def look_up(self, key_id: str | None) -> KnownKey:
        """Return what is known of an id; of None, whether a key is needed.

        Raises:
            RedisUnavailableError: Redis does not answer, so it is not known who may come in.
        """
        await self._refresh(MAX_AGE_SECONDS)
        if key_id is not None and key_id not in self._table["keys"]:
            await self._refresh(NEW_KEY_SECONDS)
        return {
            "required": self._required is not False,
            "key": None if key_id is None else self._table["keys"].get(key_id),
            "revoked": key_id in self._table["revoked"],
        }

    async def note_use(self, key_id: str, now: datetime) -> None:
        """Remember that a key was used; at most once a minute, and never at the cost of the request."""
        moment = self._clock.monotonic()
        noted = self._noted.get(key_id)
        if noted is not None and moment - noted < NOTE_SECONDS:
            return
        self._noted[key_id] = moment
        with suppress(WorkersError):
            await asyncio.to_thread(self._store.note_use, key_id, now)

    def read(self) -> KeyTable:
        """Read the keys now; return them. Takes a question to Redis, so it is not for the event loop.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        asked_at = self._clock.monotonic()
        table = self._store.load()
        for key_id in sorted(set(table["damaged"]) - set(self._table["damaged"])):
            self._logger.error("access.damaged_key", key_id=key_id)
        self._table, self._read_at = table, asked_at
        self._tell(required=not self._local or bool(table["keys"] or table["damaged"]))
        return table

    async def _refresh(self, max_age: float) -> None:
        if self._is_fresh(max_age):
            return
        # One reading for all who wait, its fault too: if each tried for itself, the tenth request would wait
        # ten times as long as Redis may be silent. Shielded, for whoever began it may leave first.
        reading = self._reading or asyncio.create_task(self._read_for_all())
        self._reading = reading
        fault = await asyncio.shield(reading)
        if fault is not None:
            raise fault

    async def _read_for_all(self) -> WorkersError | None:
        try:
            await asyncio.to_thread(self.read)
        except WorkersError as error:
            return error
        finally:
            self._reading = None
        return None

    def _is_fresh(self, max_age: float) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < max_age

    def _tell(self, *, required: bool) -> None:
        if required == self._required:
            return
        if required:
            self._logger.info("access.keys_required")
        else:
            self._logger.warning(
                "access.open", why="there is no API key", so="whoever is on this machine may do everything"
            )
        self._required = required
