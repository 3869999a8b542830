"""How fast events reach many clients: `make bench-events`, or `python tools/bench_events.py`.

Figures: `docs/performance.md`. Everything is real: a Redis server, the `jobs-api serve` process, and a socket
for each client, all on this machine. The clients run in this process, which publishes as well, so that both
instants come from one clock; what the clients cost is not the API's, but they share the cores with it.

Two cases: `users`, each client hears one user's events (the usual one), and `all`, each client hears
everything (the worst one). In both jobs run one after the other: started, three times progress, completed.
"""

import argparse
import asyncio
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

import uvloop
from local_platform import Process, answers, wait_until
from platform_core.job_events import default_events_channel, job_domain
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.embedded_redis import free_port
from typing_extensions import override

BIN: Final = Path(sys.executable).parent
BENCH: Final = job_domain("bench")
PATIENCE: Final = 120.0
EVENTS_A_JOB: Final = 5
PROGRESS: Final = (10, 20, 30)


class _Options(argparse.Namespace):
    clients: int
    users: int
    jobs: int
    rate: float
    case: str
    profile: Path | None


class Case(TypedDict):
    """What is measured: how many clients, of how many users (0: everybody hears everything), how much."""

    name: str
    clients: int
    users: int
    jobs: int
    rate: float
    profile: Path | None


class Measured(TypedDict):
    """What was measured.

    Attributes:
        connected_in: seconds until all clients were connected.
        published_in: seconds in which the events were published.
        cpu: seconds of CPU that the API used meanwhile.
        memory: bytes of the API's memory, without clients and with all of them in the end.
    """

    connected_in: float
    published_in: float
    cpu: float
    memory: tuple[int, int]


class Client(asyncio.Protocol):
    """One client: keeps the number of each event it gets, and when; as cheaply as Python can."""

    def __init__(self, user_id: int | None, connected: asyncio.Semaphore) -> None:
        self.user_id = user_id
        self.heard: list[tuple[int, float]] = []
        self._connected = connected
        self._is_open = False
        self._rest = b""

    @override
    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                self.heard.append((number_of(line), now))
            elif not self._is_open and line.startswith(b"id: "):
                self._is_open = True
                self._connected.release()


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if a client missed an event or got one twice."""
    parser = argparse.ArgumentParser(description="Measure how fast events reach many clients of one API.")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--users", type=int, default=200, help="users of the case `users`")
    parser.add_argument("--jobs", type=int, default=60, help=f"jobs, of {EVENTS_A_JOB} events each")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second (50 for users, 5 for all)")
    parser.add_argument("--case", choices=["users", "all", "both"], default="both")
    parser.add_argument("--profile", type=Path, help="write a profile of the API into this file")
    options = parser.parse_args(arguments, _Options())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < options.clients + 200:
        parser.error(f"--clients {options.clients}: this system allows {most} open files a process")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    cases: list[Case] = [
        {
            "name": name,
            "clients": options.clients,
            "users": options.users if name == "users" else 0,
            "jobs": options.jobs,
            "rate": options.rate or (50.0 if name == "users" else 5.0),
            "profile": options.profile,
        }
        for name in ("users", "all")
        if options.case in {name, "both"}
    ]
    return max(run(case) for case in cases)


def run(case: Case) -> int:
    """Measure one case and print it; return 1 if a client missed an event or got one twice."""
    published: list[float] = []
    connected = asyncio.Semaphore(0)
    clients = [
        Client(number % case["users"] if case["users"] else None, connected)
        for number in range(case["clients"])
    ]
    with (
        tempfile.TemporaryDirectory() as name,
        EmbeddedRedis() as server,
        api(server.url, Path(name), case["profile"]) as (port, pid),
    ):
        measured = uvloop.run(measure(case, server, port, pid, clients, connected, published))
    return report(case, clients, published, measured)


async def measure(
    case: Case,
    server: EmbeddedRedis,
    port: int,
    pid: int,
    clients: list[Client],
    connected: asyncio.Semaphore,
    published: list[float],
) -> Measured:
    """Connect all clients, publish, and wait until all have what they should, or a while longer."""
    loop = asyncio.get_running_loop()
    empty, begun = memory_of(pid), time.perf_counter()
    transports: list[asyncio.Transport] = []
    for client in clients:
        transport, _ = await loop.create_connection(partial(same, client), "127.0.0.1", port)
        query = "" if client.user_id is None else f"?user_id={client.user_id}"
        transport.write(f"GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        transports.append(transport)
    async with asyncio.timeout(PATIENCE):
        for _ in clients:
            await connected.acquire()
    connected_in = time.perf_counter() - begun
    cpu, begun = cpu_of(pid), time.perf_counter()
    redis = server.client()
    publisher = threading.Thread(target=publish, args=(redis, case, published))
    publisher.start()
    await asyncio.to_thread(publisher.join)
    published_in = time.perf_counter() - begun
    for _ in range(200):
        if all(len(client.heard) >= len(expected(case, client)) for client in clients):
            break
        await asyncio.sleep(0.1)
    measured: Measured = {
        "connected_in": connected_in,
        "published_in": published_in,
        "cpu": cpu_of(pid) - cpu,
        "memory": (empty, memory_of(pid)),
    }
    for transport in transports:
        transport.close()
    redis.close()
    return measured


def same(client: Client) -> Client:
    """Return the protocol of a connection: the client itself."""
    return client


def publish(redis: RedisClient, case: Case, published: list[float]) -> None:
    """Run the jobs one after the other, events evenly spread; note when each was published."""
    pause = threading.Event()
    begun = time.perf_counter()
    for job in range(case["jobs"]):
        for step in steps_of(new_job(redis, job, user_of(case, job))):
            pause.wait(max(0.0, begun + len(published) / case["rate"] - time.perf_counter()))
            published.append(time.perf_counter())
            step()


def new_job(redis: RedisClient, job: int, user_id: int) -> JobContext:
    """Store a job with the least there can be of it; return what moves it."""
    redis.hset(f"{BENCH}:job:job-{job}", {"status": "queued", "user_id": str(user_id)})
    return make_job_context(
        redis=redis,
        domain=BENCH,
        events_channel=default_events_channel(BENCH),
        job_id=f"job-{job}",
        user_id=user_id,
        queue_name="bench",
    )


def steps_of(context: JobContext) -> Iterator[Callable[[], object]]:
    """Yield what publishes each event of a job."""
    yield context.publish_started
    for percent in PROGRESS:
        yield partial(context.publish_progress, percent)
    yield partial(context.publish_completed, result_id="result", result_bytes=1)


def user_of(case: Case, job: int) -> int:
    """Return whose job it is."""
    return job % case["users"] if case["users"] else 7


def number_of(line: bytes) -> int:
    """Return an event's number, in the order in which they are published; cheaper than to decode it."""
    job = int(line.partition(b'"job_id":"job-')[2].partition(b'"')[0])
    percent = line.partition(b'"progress":')[2][:2]
    place = int(percent) // 10 if percent else 0 if b".started." in line else EVENTS_A_JOB - 1
    return EVENTS_A_JOB * job + place


def expected(case: Case, client: Client) -> list[int]:
    """Return the numbers of the events that a client should get."""
    return [
        EVENTS_A_JOB * job + place
        for job in range(case["jobs"])
        if client.user_id is None or user_of(case, job) == client.user_id
        for place in range(EVENTS_A_JOB)
    ]


def report(case: Case, clients: list[Client], published: list[float], measured: Measured) -> int:
    """Print what was measured; return 1 if a client missed an event or got one twice."""
    waits = sorted(at - published[number] for client in clients for number, at in client.heard)
    wrong = sum([number for number, _ in client.heard] != expected(case, client) for client in clients)
    empty, full = measured["memory"]
    each = 1e6 * measured["cpu"] / max(1, len(waits))
    p50, p99, last = (at_share(waits, share) for share in (0.5, 0.99, 1.0))
    print(
        f"{case['name']}: {len(clients)} clients, connected in {measured['connected_in']:.1f} s;"
        f" {len(published)} events in {measured['published_in']:.1f} s, {len(waits)} deliveries\n"
        f"  from publication to client: p50 {p50:.1f} ms, p99 {p99:.1f} ms, last {last:.1f} ms\n"
        f"  API: {measured['cpu']:.2f} s of CPU ({each:.0f} us a delivery),"
        f" memory {empty / 1e6:.0f} MB without clients, {full / 1e6:.0f} MB with them\n"
        f"  clients that did not get every event once, in order: {wrong}"
    )
    return 1 if wrong else 0


def at_share(waits: list[float], share: float) -> float:
    """Return the milliseconds within which this share of the deliveries came."""
    return 1000 * waits[min(len(waits) - 1, int(len(waits) * share))] if waits else float("nan")


@contextmanager
def api(redis_url: str, folder: Path, profile: Path | None) -> Iterator[tuple[int, int]]:
    """Run the real API; give its port and the id of its process."""
    port = free_port()
    environ = {
        **os.environ,
        "REDIS_URL": redis_url,
        "OBJECT_STORE_URL": (folder / "objects").as_uri(),
        "JOBS_API_PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    command = [str(BIN / "jobs-api"), "serve"]
    if profile is not None:
        command = [sys.executable, "-m", "cProfile", "-o", str(profile.absolute()), *command]
    process = Process("jobs-api", command, environ, folder / "api.log")
    try:
        if not wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), PATIENCE):
            raise TimeoutError((folder / "api.log").read_text("utf-8"))
        yield port, process.pid
    finally:
        process.stop()


def memory_of(pid: int) -> int:
    """Return how much memory a process has now, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("the system does not tell")


def cpu_of(pid: int) -> float:
    """Return how many seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
