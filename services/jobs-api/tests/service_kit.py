"""The running API for tests: a real server in a thread, a store in a folder, jobs moved by hand."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

import httpx
from fakeredis import FakeServer
from platform_core.clock import Clock, SystemClock
from platform_core.job_events import default_events_channel
from platform_core.json_values import JsonObject, JsonValue, decode_json
from platform_notify.providers.secret import Secret
from platform_workers.errors import RedisUnavailableError
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.redis import RedisClient

from jobs_api.object_store import FileStore, open_file_store
from jobs_api.registry import FILES
from jobs_api.server import ApiServer, make_server
from jobs_api.settings import AccessSettings
from jobs_api.wiring import assemble_api, new_file_id

CSV = b"a,b\n1,x\n2,y\n2,y\n"
SIGNING = Secret("s" * 32)
PATIENCE = 60.0
SYSTEM_CLOCK = SystemClock()
HONEST: AccessSettings = {
    "max_requests_per_second": 0,
    "max_event_streams": 1000,
    "max_event_streams_per_key": 1000,
    "cors_origins": (),
}


class Service(TypedDict):
    """A running API: its address, a client of it, and what stands behind it."""

    url: str
    http: httpx.Client
    redis: RedisClient
    files: FileStore
    server: ApiServer


def nothing() -> None:
    """Do nothing."""


def losing(memory: FakeServer) -> Callable[[], None]:
    """Return what takes a fake Redis away."""

    def lose() -> None:
        memory.connected = False

    return lose


@contextmanager
def running_api(
    redis: RedisClient,
    files: FileStore,
    *,
    max_upload_bytes: int = 10_000_000,
    heartbeat: float = 60.0,
    access: AccessSettings = HONEST,
    local: bool = True,
    clock: Clock = SYSTEM_CLOCK,
    trusted_proxies: Sequence[str] = (),
    prepare: Callable[[], None] = nothing,
    unsubscribe_secret: Secret | None = SIGNING,
) -> Iterator[Service]:
    """Serve the API on a free port while the block runs; open, as long as no key is made.

    `prepare` is called when the keys were read and before anything is served.
    """
    api = assemble_api(
        redis,
        files,
        max_upload_bytes=max_upload_bytes,
        heartbeat_seconds=heartbeat,
        access=access,
        local=local,
        clock=clock,
        unsubscribe_secret=unsubscribe_secret,
    )
    # As `jobs-api serve` does; so that the line about it is not in the output of a test.
    with suppress(RedisUnavailableError):
        api["ring"].read()
    prepare()
    server = make_server(api["app"], api["hub"], host="127.0.0.1", port=0, trusted_proxies=trusted_proxies)
    thread = threading.Thread(target=server.run, name="api")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port: int = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            yield {"url": url, "http": http, "redis": redis, "files": files, "server": server}
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def folder_store(folder: Path) -> FileStore:
    """Return a file store in a local folder."""
    return open_file_store((folder / "objects").as_uri(), new_id=new_file_id)


def damage_file(folder: Path, file_id: str) -> None:
    """Spoil what the store of this folder knows of a file."""
    (folder / "objects" / file_id[:2] / file_id / "about.json").write_bytes(b"{}")


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after the patience."""
    pause = threading.Event()
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        pause.wait(0.01)


def json_of(response: httpx.Response) -> JsonObject:
    """Return an answer's JSON object."""
    value = decode_json(response.content)
    assert isinstance(value, dict)
    return value


def upload(service: Service, content: bytes = CSV, name: str = "data.csv") -> str:
    """Upload a file; return its id."""
    answer = service["http"].post("/v1/files", params={"name": name}, content=content)
    assert answer.status_code == 201, answer.text
    file_id = json_of(answer)["file_id"]
    assert isinstance(file_id, str)
    return file_id


def submit(service: Service, body: Mapping[str, JsonValue] | None = None) -> str:
    """Submit a row count (or what `body` changes); return the job's id."""
    whole: JsonObject = {"job_type": "csv.row_count", "user_id": 7, **(body or {})}
    if "payload" not in whole:
        whole["payload"] = {"file_id": upload(service)}
    answer = service["http"].post("/v1/jobs", json=whole)
    assert answer.status_code == 201, answer.text
    job_id = json_of(answer)["job_id"]
    assert isinstance(job_id, str)
    return job_id


def context_of(service: Service, job_id: str) -> JobContext:
    """Return the context by which a worker would move the job."""
    return make_job_context(
        redis=service["redis"],
        domain=FILES,
        events_channel=default_events_channel(FILES),
        job_id=job_id,
        user_id=7,
        queue_name="files",
    )


def complete(
    service: Service,
    job_id: str,
    content: bytes = b"{}\n",
    name: str = "data.row_count.json",
    said: str | None = None,
) -> str:
    """Play the worker: start the job, store a result, complete it. Returns the result's file id."""
    answer = service["http"].post("/v1/files", params={"name": name}, content=content)
    result_id = str(json_of(answer)["file_id"])
    context = context_of(service, job_id)
    context.publish_started()
    if said is not None:
        context.publish_progress(99, said)
    context.publish_completed(result_id=result_id, result_bytes=len(content))
    return result_id
