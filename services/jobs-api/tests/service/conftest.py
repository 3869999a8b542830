"""Fixtures: one real Redis server and one running API for the session, empty for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from service_kit import Service, folder_store, running_api

from jobs_api.object_store import FileStore


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedRedis]:
    """One real server for the whole session."""
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def redis(server: EmbeddedRedis) -> Iterator[RedisClient]:
    """A client of the real server, empty at the start of each test."""
    client = server.client()
    client.connection.flushall()
    yield client
    client.close()


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    """A file store in a folder of the test's own."""
    return folder_store(tmp_path)


@pytest.fixture(scope="session")
def shared_service(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The API, running for the whole session."""
    client = server.client()
    with running_api(client, folder_store(tmp_path_factory.mktemp("shared"))) as running:
        yield running
    client.close()


@pytest.fixture
def service(shared_service: Service, redis: RedisClient) -> Service:
    """The running API, with nothing stored in Redis."""
    return shared_service
