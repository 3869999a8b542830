"""Fixtures: a real embedded server, a fake, a clock and a logger."""

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
def redis(server: EmbeddedRedis) -> Iterator[RedisClient]:
    """A client of the real server, empty at the start of each test."""
    with closing(server.client()) as client:
        client.connection.flushall()
        yield client


@pytest.fixture
def fake_redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def own_server() -> Iterator[EmbeddedRedis]:
    """A real server of its own, not started, for a test that stops it."""
    server = EmbeddedRedis()
    yield server
    if server.running:
        server.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logger() -> FakeLogger:
    return FakeLogger()
