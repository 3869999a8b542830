"""How long a page of jobs takes, in a small store and in a large one: `make bench-listing`.

Figures: `docs/performance.md`. The jobs are made by the scripts that make real ones (submitted, started,
completed or failed), only that many go to the server at once. The server and the API's process are real.
"""

import argparse
import hashlib
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from math import ceil
from pathlib import Path
from typing import Final, TypedDict

import httpx
from bench_kit import cpu_of_children, machine
from local_platform import BIN, START_SECONDS, PlatformError, Process, answers, wait_until, what_ended
from platform_core.clock import to_millis
from platform_core.job_events import JobDomain, default_events_channel, job_domain
from platform_core.job_types import JobRecord
from platform_workers.job_listing import JobFilter, encode_cursor, list_jobs
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_statistics import StatisticsWindow, read_statistics
from platform_workers.job_transitions import TransitionBuilder, guard_lease
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock
from platform_workers.testing.embedded_redis import free_port

FILES: Final = job_domain("files")
PAGE: Final = 50
AT_ONCE: Final = 500
"""How many jobs go to the server in one piece."""

SPAN: Final = timedelta(days=29)
"""The jobs were created over so long a time, so that none of them is due to expire."""

COMPLETED, FAILED, QUEUED = 90, 7, 2
"""What became of 100 jobs; the last one runs."""

TYPES: Final = 10
USERS: Final = 1_000
RETENTION: Final = timedelta(days=30)
GOAL_MS: Final = 20.0
COMPOSITE: Final = re.compile(r".*:jobs:(status:[a-z]+:|type:[a-z0-9_.]+:user).*")


class _Options(argparse.Namespace):
    jobs: int
    small: int
    reads: int
    rounds: int


class Planned(TypedDict):
    """A job of the store: everything about it follows from its number."""

    job_id: str
    created_at: datetime
    job_type: str
    user_id: int


class Store(TypedDict):
    """A filled store; `begin` is when its first job was created, `pause` the time from job to job."""

    redis: RedisClient
    url: str
    jobs: int
    begin: datetime
    pause: timedelta


class Latency(TypedDict):
    """How long a read took, in milliseconds: half of them, and 99 %, were at most so long."""

    p50: float
    p99: float


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if a page took longer than the goal."""
    parser = argparse.ArgumentParser(description="Measure listing in a small store and in a large one.")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs of the large store")
    parser.add_argument("--small", type=int, default=1_000, help="jobs of the small store")
    parser.add_argument("--reads", type=int, default=300, help="reads of each kind in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; of each figure the best one counts")
    options = parser.parse_args(arguments, _Options())
    print(machine())
    worst = [measure(count, options.reads, options.rounds) for count in (options.small, options.jobs)]
    print(f"worst p99 over HTTP: {worst[0]:.1f} ms and {worst[1]:.1f} ms; the goal is {GOAL_MS:g} ms")
    return 1 if worst[1] > GOAL_MS else 0


def measure(jobs: int, reads: int, rounds: int) -> float:
    """Fill a server, read in every way; return the worst p99 over HTTP, in milliseconds."""
    print(f"\n{jobs:,} jobs")
    with EmbeddedRedis() as server:
        redis = server.client()
        empty = used_memory(redis)
        begun = time.perf_counter()
        now = datetime.now(UTC)
        store: Store = {
            "redis": redis, "url": server.url, "jobs": jobs, "begin": now - SPAN, "pause": SPAN / jobs
        }  # fmt: skip
        fill(store)
        print(f"filled in {time.perf_counter() - begun:.0f} s")
        print_memory(redis, jobs, used_memory(redis) - empty)
        worst = read_all(store, reads, rounds)
        redis.close()
    return worst


def read_all(store: Store, reads: int, rounds: int) -> float:
    """Read a filled server in every way; return the worst p99 over HTTP, in milliseconds."""
    # The server notes the duration of every command from now on.
    store["redis"].connection.config_set("slowlog-max-len", 10_000)
    store["redis"].connection.config_set("slowlog-log-slower-than", 0)
    api, server = cpu_of_children(), cpu_of_server(store["redis"])
    with running_api(store["url"]) as http:
        worst = read_pages(store, http, reads, rounds)
    pages = reads * rounds * 16
    api, server = cpu_of_children() - api, cpu_of_server(store["redis"]) - server
    # What others do on the machine blurs this less than the times.
    print(f"CPU a page: {api / pages * 1000:.1f} ms in the API, {server / pages / 2 * 1000:.2f} ms in Redis")
    read_windows(store["redis"], datetime.now(UTC), max(reads // 10, 1))
    return worst


def planned(store: Store, number: int) -> Planned:
    """Return a job of the store by its number."""
    return {
        "job_id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "created_at": store["begin"] + store["pause"] * number,
        "job_type": f"bench.type_{number % TYPES}",
        "user_id": number // TYPES % USERS,
    }


def fill(store: Store) -> None:
    """Make the jobs with the store's own scripts: 90 % completed, 7 % failed, 2 % queued, 1 % running."""
    connection = store["redis"].connection
    known: set[str] = set()
    for start in range(0, store["jobs"], AT_ONCE):
        pipeline = connection.pipeline(transaction=False)
        for number in range(start, min(start + AT_ONCE, store["jobs"])):
            for call in calls_of(store, number):
                script, arguments = call["script"], [*call["keys"], *call["args"]]
                if script.sha not in known:
                    connection.script_load(script.text)
                    known.add(script.sha)
                pipeline.evalsha(script.sha, len(call["keys"]), *arguments)
        refused = [reply for reply in pipeline.execute() if reply[0] != b"ok"]
        if refused:
            raise RuntimeError(f"the store refused {refused[0]}")


def calls_of(store: Store, number: int) -> Iterator[ScriptCall]:
    """Yield the steps of one job, each at its own time."""
    job = planned(store, number)
    clock = FakeClock(job["created_at"])
    records = JobRecordStore(redis=store["redis"], domain=FILES, clock=clock, retention=RETENTION)
    yield records.create_call(record_of(job))
    builder = TransitionBuilder(
        {
            "domain": FILES,
            "job_id": job["job_id"],
            "user_id": job["user_id"],
            "queue_name": "files",
            "events_channel": default_events_channel(FILES),
        },
        clock=clock,
        retention=RETENTION,
    )
    fate = number % 100
    if COMPLETED + FAILED <= fate < COMPLETED + FAILED + QUEUED:
        return
    clock.advance(0.2 + number % 7)
    yield builder.started(guard=guard_lease(""), transition_id="started", lease=None)
    clock.advance(1.0 + number % 50)
    if fate < COMPLETED:
        yield builder.completed(
            result_id=job["job_id"], result_bytes=655, guard=guard_lease(""), transition_id="ended"
        )
    elif fate < COMPLETED + FAILED:
        yield builder.failed(
            "user",
            "row 3 has 4 columns, the header has 5",
            guard=guard_lease(""),
            transition_id="ended",
        )


def record_of(job: Planned) -> JobRecord:
    """Return a record as the API stores one."""
    return {
        "job_id": job["job_id"],
        "user_id": job["user_id"],
        "status": "queued",
        "progress": 0,
        "message": None,
        "error": None,
        "created_at": job["created_at"],
        "updated_at": job["created_at"],
        "job_type": job["job_type"],
        "payload": {"file_id": job["job_id"]},
        "priority": "normal",
        "queue": "files",
        "attempt_count": 0,
        "max_attempts": 3,
        "run": 1,
        "context": {"user_id": f"user-{job['user_id']}", "email": f"user{job['user_id']}@example.com"},
        "notifications": {"email": {"enabled": True, "on": ["FAILURE"]}},
    }


def used_memory(redis: RedisClient) -> int:
    """Return the bytes that the server uses for data."""
    facts = redis.connection.info("memory")
    return int(facts["used_memory"])


def print_memory(redis: RedisClient, jobs: int, total: int) -> None:
    """Print what a job costs in memory, by kind of key."""
    counted = (f"{FILES}:jobs:minute:", f"{FILES}:jobs:hour:")
    names = [key for key in redis.keys(f"{FILES}:jobs:*") if not key.startswith(counted)]
    sizes = dict(zip(names, memory_of(redis, names), strict=True))
    composite = sum(size for key, size in sizes.items() if COMPOSITE.fullmatch(key))
    newest = redis.zrange(f"{FILES}:jobs:status:completed", 0, 0, newest_first=True)[0]
    record, log = memory_of(redis, [f"{FILES}:job:{newest}", f"{FILES}:job:{newest}:log"])
    print(
        f"memory: {total / jobs:,.0f} bytes a job in all; a record has {record:,}, its log {log:,}, its index"
        f" entries {sum(sizes.values()) / jobs:,.0f}, of them {composite / jobs:,.0f} in the sets of two and"
        f" three filters ({len(names):,} sets)"
    )


def memory_of(redis: RedisClient, keys: Sequence[str]) -> list[int]:
    """Return the bytes of each key; large ones are estimated from a sample."""
    pipeline = redis.connection.pipeline(transaction=False)
    for key in keys:
        pipeline.memory_usage(key, samples=100)
    return [int(size) for size in pipeline.execute()]


@contextmanager
def running_api(redis_url: str) -> Iterator[httpx.Client]:
    """Run one real `jobs-api serve`; give a client of it."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        environ = {
            **os.environ,
            "REDIS_URL": redis_url,
            "OBJECT_STORE_URL": (folder / "objects").as_uri(),
            "JOBS_API_HOST": "127.0.0.1",
            "JOBS_API_PORT": str(port),
        }
        url = f"http://127.0.0.1:{port}"
        process = Process("api", [str(BIN / "jobs-api"), "serve"], environ, folder / "api.log")
        try:
            wait_until(lambda: process.ended or answers(f"{url}/healthz"), START_SECONDS)
            if process.ended:
                raise PlatformError(what_ended([process], "api"))
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
                yield http
        finally:
            process.stop()


def cpu_of_server(redis: RedisClient) -> float:
    """Return the seconds of CPU that the server has used."""
    facts = redis.connection.info("cpu")
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


def read_pages(store: Store, http: httpx.Client, reads: int, rounds: int) -> float:
    """Read pages by every combination of filters, at the front and deep inside; return the worst HTTP p99.

    Of each figure the best of all rounds counts: what others do on the machine only adds to it.
    """
    chance, worst = random.Random(1), 0.0
    print(
        f"{'filters':28} {'page':5} {'Redis p50':>10} {'p99':>6} {'library p50':>12} {'p99':>6}"
        f" {'HTTP p50':>9} {'p99':>6}  (ms)"
    )
    for (by_status, by_type, by_user), deep in product(product((False, True), repeat=3), (False, True)):
        wanted: list[tuple[JobFilter, str | None]] = []
        for _ in range(reads):
            number = chance.randrange(store["jobs"])
            job, filters = planned(store, number), JobFilter()
            if by_status:
                filters["status"] = "completed" if number % 100 < COMPLETED else "failed"
            if by_type:
                filters["job_type"] = job["job_type"]
            if by_user:
                filters["user_id"] = job["user_id"]
            cursor = encode_cursor(
                {"created_ms": to_millis(job["created_at"]), "domain": FILES, "job_id": job["job_id"]}
            )
            wanted.append((filters, cursor if deep else None))
        found: list[tuple[Latency, Latency, Latency]] = []
        for _ in range(rounds):
            store["redis"].connection.slowlog_reset()
            library = timed(wanted, partial(read_in_library, store["redis"]))
            found.append((in_redis(store["redis"]), library, timed(wanted, partial(read_over_http, http))))
        scripts, library, over_http = (best_of(figures) for figures in zip(*found, strict=True))
        worst = max(worst, over_http["p99"])
        names = [name for name, on in (("status", by_status), ("type", by_type), ("user", by_user)) if on]
        print(
            f"{', '.join(names) or 'none':28} {'deep' if deep else 'first':5} {scripts['p50']:10.2f}"
            f" {scripts['p99']:6.2f} {library['p50']:12.1f} {library['p99']:6.1f} {over_http['p50']:9.1f}"
            f" {over_http['p99']:6.1f}"
        )
    return worst


def timed(
    wanted: Sequence[tuple[JobFilter, str | None]], read: Callable[[JobFilter, str | None], int]
) -> Latency:
    """Read each page; return how long it took. The first one pays for connections and is not counted."""
    read(*wanted[0])
    took: list[float] = []
    for filters, cursor in wanted:
        begun = time.perf_counter()
        read(filters, cursor)
        took.append((time.perf_counter() - begun) * 1000)
    return latency_of(took)


def latency_of(took: Sequence[float]) -> Latency:
    """Return the percentiles of some durations in milliseconds."""
    ordered = sorted(took)
    return {"p50": ordered[len(took) // 2], "p99": ordered[ceil(len(took) * 0.99) - 1]}


def best_of(figures: Sequence[Latency]) -> Latency:
    """Return the best of each figure."""
    return {"p50": min(one["p50"] for one in figures), "p99": min(one["p99"] for one in figures)}


def in_redis(redis: RedisClient) -> Latency:
    """Return how long the scripts took inside the server since its log of commands was emptied."""
    entries = redis.connection.slowlog_get(10_000)
    return latency_of([int(entry["duration"]) / 1000 for entry in entries if b"EVALSHA" in entry["command"]])


def read_in_library(redis: RedisClient, filters: JobFilter, cursor: str | None) -> int:
    """Read a page as a service does; return how many jobs it has."""
    page = list_jobs(redis, [FILES], filters, limit=PAGE, cursor=cursor, read=fields_of)
    return len(page["jobs"])


def fields_of(_domain: JobDomain, _job_id: str, fields: Mapping[str, str]) -> Mapping[str, str]:
    """Return a job's fields as they are."""
    return fields


def read_over_http(http: httpx.Client, filters: JobFilter, cursor: str | None) -> int:
    """Read a page from the API; return how many bytes it has."""
    query = {name: str(value) for name, value in filters.items()}
    if cursor is not None:
        query["cursor"] = cursor
    answer = http.get("/v1/jobs", params={"domain": FILES, "limit": str(PAGE), **query})
    answer.raise_for_status()
    return len(answer.content)


def read_windows(redis: RedisClient, now: datetime, reads: int) -> None:
    """Print how long statistics take."""
    windows: tuple[StatisticsWindow, ...] = ("1h", "24h", "7d")
    for window in windows:
        took: list[float] = []
        for _ in range(reads):
            begun = time.perf_counter()
            read_statistics(redis, [FILES], window, now=now)
            took.append((time.perf_counter() - begun) * 1000)
        print(
            f"statistics of {window:4} median {sorted(took)[len(took) // 2]:.1f} ms, worst {max(took):.1f} ms"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
