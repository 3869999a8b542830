"""Fixtures: one contract, two servers. `redis` is the fake first and a real embedded server second."""

from collections.abc import Iterator

import pytest
from plant import Plant
from platform_core.job_events import JobDomain, job_domain

from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeRedis

DOMAIN = job_domain("shop")


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedRedis]:
    """One real server for the whole session."""
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def real_redis(server: EmbeddedRedis) -> Iterator[RedisClient]:
    """A client of the real server, empty at the start of each test."""
    client = server.client()
    client.connection.flushall()
    yield client
    client.close()


@pytest.fixture(params=["fake", "real"])
def redis(request: pytest.FixtureRequest) -> RedisClient:
    """The same client type on the fake and on the real server."""
    kind: str = request.param
    if kind == "fake":
        return FakeRedis()
    client: RedisClient = request.getfixturevalue("real_redis")
    return client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain() -> JobDomain:
    return DOMAIN


@pytest.fixture
def store(redis: RedisClient, domain: JobDomain, clock: FakeClock) -> JobRecordStore:
    return JobRecordStore(redis=redis, domain=domain, clock=clock)


@pytest.fixture
def free_server() -> Iterator[EmbeddedRedis]:
    """A real server of its own, for a test that stops or kills it."""
    server = EmbeddedRedis()
    server.start()
    yield server
    if server.running:
        server.stop()


@pytest.fixture
def plant(server: EmbeddedRedis, real_redis: RedisClient, domain: JobDomain) -> Plant:
    return Plant(server, domain)
