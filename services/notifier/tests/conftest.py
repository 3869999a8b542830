"""Fixtures: a real embedded server, a fake, a clock and a logger."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from notifier_kit import OwnServer
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
def own_server() -> Iterator[OwnServer]:
    """A real server of its own, not started, for a test that begins without one."""
    server = OwnServer()
    yield server
    if server.running:
        server.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logger() -> FakeLogger:
    return FakeLogger()
