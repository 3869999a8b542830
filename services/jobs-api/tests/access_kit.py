"""A running API that asks for keys, for tests of who may do what."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from platform_core.job_events import job_domain
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock
from service_kit import HONEST, Service, running_api

from jobs_api.access.key_ring import MAX_AGE_SECONDS, NEW_KEY_SECONDS
from jobs_api.access.key_store import KeyStore
from jobs_api.access.keys import Scope, make_key
from jobs_api.object_store import FileStore
from jobs_api.settings import AccessSettings


class Keys:
    """Makes and revokes keys, and lets the time pass until an API knows of it.

    Args:
        redis: where the API looks for them.
        clock: the API's own.
    """

    def __init__(self, redis: RedisClient, clock: FakeClock) -> None:
        self.store = KeyStore(redis)
        self.clock = clock

    def new(self, *scopes: Scope, domains: Sequence[str] = (), lasts: timedelta | None = None) -> str:
        """Make a key; return its text."""
        made = make_key(
            name="a test",
            scopes=scopes,
            domains=[job_domain(domain) for domain in domains],
            now=self.clock.now(),
            lasts=lasts,
        )
        self.store.save(made.key)
        # A little more: the clock's seconds are floats.
        self.clock.advance(2 * NEW_KEY_SECONDS)
        return made.text

    def bearer(self, *scopes: Scope, domains: Sequence[str] = ()) -> dict[str, str]:
        """Make a key; return the header that carries it."""
        return bearer(self.new(*scopes, domains=domains))

    def revoke(self, text: str) -> None:
        """Revoke a key."""
        self.store.revoke(key_id_of(text), self.clock.now())
        self.clock.advance(MAX_AGE_SECONDS + 1)


def key_id_of(text: str) -> str:
    """Return the id in a key's text."""
    return text.split("_")[1]


def bearer(text: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {text}"}


@contextmanager
def locked_api(
    redis: RedisClient,
    files: FileStore,
    clock: FakeClock,
    access: AccessSettings = HONEST,
    *,
    heartbeat: float = 60.0,
    trusted_proxies: Sequence[str] = (),
) -> Iterator[Service]:
    """Serve the API as one that more than this machine reaches."""
    with running_api(
        redis,
        files,
        access=access,
        local=False,
        clock=clock,
        heartbeat=heartbeat,
        trusted_proxies=trusted_proxies,
    ) as service:
        yield service
