"""Fixtures: one real Redis server and one running API for the session, empty for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from access_kit import Keys, locked_api
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import EmbeddedRedis, FakeClock
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
def vault(server: EmbeddedRedis, redis: RedisClient) -> Iterator[RedisClient]:
    """A database for tests that make keys: a key would close the shared API for a while."""
    client = connect(server.url.rpartition("/")[0] + "/1")
    yield client
    client.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands until it is moved."""
    return FakeClock()


@pytest.fixture
def keys(vault: RedisClient, clock: FakeClock) -> Keys:
    """What makes keys for the locked API."""
    return Keys(vault, clock)


@pytest.fixture
def locked(vault: RedisClient, files: FileStore, clock: FakeClock) -> Iterator[Service]:
    """An API that asks for keys."""
    with locked_api(vault, files, clock) as running:
        yield running


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
