"""Fixtures: `redis` is the fake first and a real embedded server second; nothing may be left behind in it."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger, FakeRedis


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedRedis]:
    """One real server for the whole session."""
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def real_redis(server: EmbeddedRedis) -> Iterator[RedisClient]:
    """A client of the real server, empty at the start of each test."""
    with closing(server.client()) as client:
        client.connection.flushall()
        yield client


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
def logger() -> FakeLogger:
    return FakeLogger()
