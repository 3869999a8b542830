"""How many requests the API takes: `make bench-api`. Figures: `docs/performance.md`.

The real `jobs-api serve` and a real Redis server; the clients are a few held connections in this process. All
three share this machine, so the figures are those of the whole, not of the server alone.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobs_api.access.key_store import KeyStore
from jobs_api.access.keys import SCOPES, make_key
from local_platform import BIN, Process, answers, wait_until
from platform_core.clock import SystemClock
from platform_core.json_values import JsonObject, decode_json, encode_json
from platform_workers.redis import connect
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.embedded_redis import free_port

START_SECONDS: Final = 30.0
BODY: Final[JsonObject] = {
    "job_type": "csv.column_stats",
    "user_id": 7,
    "payload": {"file_id": "5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52", "delimiter": ","},
    "context": {"user_id": "user-7", "email": "you@example.com"},
    "notifications": {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}},
}


class Load:
    """Requests over held connections, one after the other on each, for a while.

    Args:
        port: the API's.
        request: makes the bytes of the next request.
        expected: how a good answer begins.

    Attributes:
        seconds: how long each answer took.
        bodies: the body of each answer.
    """

    def __init__(self, port: int, request: Callable[[], bytes], expected: bytes) -> None:
        self._port = port
        self._request = request
        self._expected = expected
        self.seconds: list[float] = []
        self.bodies: list[bytes] = []

    async def run(self, *, connections: int, seconds: float) -> float:
        """Send; return the rate of good answers in a second.

        Raises:
            SystemExit: an answer was not good.
        """
        began = time.perf_counter()
        until = began + seconds
        async with asyncio.TaskGroup() as clients:
            for _ in range(connections):
                clients.create_task(self._client(until))
        return len(self.seconds) / (time.perf_counter() - began)

    async def _client(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while (now := time.perf_counter()) < until:
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(self._expected):
                raise SystemExit(f"an answer was not good: {head.decode()}")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            self.seconds.append(time.perf_counter() - now)
        writer.close()


class Requests:
    """Makes requests as bytes.

    Args:
        api_key: who asks; None while the API is open.
    """

    def __init__(self, api_key: str | None) -> None:
        self._who = "" if api_key is None else f"Authorization: Bearer {api_key}\r\n"

    def post(self, key: str | None = None) -> bytes:
        """Return a submission; under an idempotency key if there is one."""
        body = encode_json(BODY)
        idempotency = "" if key is None else f"Idempotency-Key: {key}\r\n"
        return (
            f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{self._who}"
            f"{idempotency}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def get(self, path: str) -> bytes:
        """Return a question."""
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{self._who}\r\n".encode()


def make_api_key(redis_url: str) -> str:
    """Make an API key that may do everything; from then on the API needs one."""
    made = make_key(name="bench", scopes=SCOPES, domains=(), now=SystemClock().now())
    KeyStore(connect(redis_url)).save(made.key)
    return made.text


def measure(
    name: str, port: int, request: Callable[[], bytes], expected: bytes, *, connections: int, seconds: float
) -> list[bytes]:
    """Run one load, print its figures, and return the answers."""
    load = Load(port, request, expected)
    rate = asyncio.run(load.run(connections=connections, seconds=seconds))
    cuts = statistics.quantiles(load.seconds, n=100)
    print(f"{name:<34} {rate:>8,.0f} /s   p50 {cuts[49] * 1e3:6.1f} ms   p99 {cuts[98] * 1e3:6.1f} ms")
    return load.bodies


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how many requests the API takes.")
    parser.add_argument("--seconds", type=float, default=10, help="how long each load lasts")
    parser.add_argument("--connections", type=int, default=16, help="how many connections send at once")
    parser.add_argument("--key", action="store_true", help="ask with an API key, made for this")
    options = parser.parse_args(arguments)
    seconds: float = options.seconds
    connections: int = options.connections
    with_key: bool = options.key
    with tempfile.TemporaryDirectory() as name, EmbeddedRedis() as server:
        folder, port = Path(name), free_port()
        requests = Requests(make_api_key(server.url) if with_key else None)
        environ = {
            **os.environ,
            "REDIS_URL": server.url,
            "JOBS_API_PORT": str(port),
            # All load comes from one address; the limit is not what is measured.
            "JOBS_MAX_REQUESTS_PER_SECOND": "0",
            "OBJECT_STORE_URL": (folder / "objects").as_uri(),
            "LOG_LEVEL": "WARNING",
        }
        api = Process("jobs-api", [str(BIN / "jobs-api"), "serve"], environ, folder / "api.log")
        try:
            if not wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), START_SECONDS):
                raise SystemExit(f"the API did not start: {(folder / 'api.log').read_text('utf-8')}")
            jobs = measure(
                "submit a job", port, requests.post, b"HTTP/1.1 201", connections=connections, seconds=seconds
            )
            numbers = iter(range(10**9))
            measure(
                "submit under an idempotency key",
                port,
                lambda: requests.post(f"key-{next(numbers)}"),
                b"HTTP/1.1 201",
                connections=connections,
                seconds=seconds,
            )
            job = decode_json(jobs[0])
            assert isinstance(job, dict)
            path = f"/v1/jobs/files/{job['job_id']}"
            measure(
                "read one job",
                port,
                lambda: requests.get(path),
                b"HTTP/1.1 200",
                connections=connections,
                seconds=seconds,
            )
            measure(
                "alive",
                port,
                lambda: requests.get("/healthz"),
                b"HTTP/1.1 200",
                connections=connections,
                seconds=seconds,
            )
        finally:
            api.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
