"""A submission whose answer is lost on its way from Redis: what is told is true, and helps."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fakeredis import FakeServer
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeRedis
from service_kit import PATIENCE, json_of, running_api

from jobs_api.object_store import FileStore

BODY = b'{"job_type":"csv.row_count","user_id":1,"payload":{"file_id":"x"}}'
KEPT = 64


def test_a_job_that_was_taken_is_found_where_the_answer_says(
    server: EmbeddedRedis, redis: RedisClient, files: FileStore
) -> None:
    with losing_answers(server.url) as url, running_api(connect(url), files) as service:
        answer = service["http"].post("/v1/jobs", content=BODY)
        problem = json_of(answer)
        assert answer.status_code == 503
        assert problem["type"] == "urn:jobs-api:submission-unknown"
        assert "not known whether the job was taken" in str(problem["detail"])
        job_id = redis.keys("rq:job:*")[0].removeprefix("rq:job:files-").removesuffix("-1-1")
        assert f"Look at /v1/jobs/files/{job_id} before you submit" in str(problem["detail"])
        assert service["http"].get(f"/v1/jobs/files/{job_id}").status_code == 200


def test_nothing_is_claimed_when_redis_was_never_reached(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    # The time stands still, so it is still known that no key is needed.
    with running_api(FakeRedis(memory), files, clock=FakeClock()) as service:
        memory.connected = False
        answer = service["http"].post("/v1/jobs", content=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Nothing was changed" not in answer.text


@contextmanager
def losing_answers(url: str) -> Iterator[str]:
    """Stand before a Redis and break the connection once a transaction was carried out; give the address."""
    host, _, port = url.removeprefix("redis://").partition("/")[0].rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                inner, _ = listener.accept()
                threading.Thread(target=pass_on, args=(inner, (host, int(port))), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        own_port: int = listener.getsockname()[1]
        yield f"redis://127.0.0.1:{own_port}/0"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)


def pass_on(inner: socket.socket, address: tuple[str, int]) -> None:
    """Pass on both ways, but for the answer to EXEC."""
    last = bytearray()

    def back() -> None:
        with suppress(OSError):
            while answer := outer.recv(65_536):
                # The script's reply comes in an array; what came before was OK and QUEUED.
                if b"EXEC" in last and b"\r\n*" in b"\r\n" + answer:
                    break
                inner.sendall(answer)
            inner.shutdown(socket.SHUT_RDWR)

    with inner, socket.create_connection(address, timeout=PATIENCE) as outer:
        thread = threading.Thread(target=back)
        thread.start()
        with suppress(OSError):
            while asked := inner.recv(65_536):
                last[:] = (bytes(last) + asked)[-KEPT:]
                outer.sendall(asked)
            outer.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
