"""What the benches share: one real notifier, a local Mailtrap that notes arrivals, jobs, and figures.

Everything is real but Mailtrap. It runs in the bench's own process, so that the instant of a mail's arrival
and that of `publish_completed` come from one clock.
"""

import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

import httpx
from local_platform import Process
from platform_core.clock import Clock, SystemClock
from platform_core.job_events import TURKIC, JobDomain, default_events_channel
from platform_core.json_values import JsonValue, decode_json
from platform_core.notifications import EventWord
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import due_key
from platform_notify.testing import MailtrapServer
from platform_notify.testing.mailtrap_answers import Answer
from platform_workers.job_context import make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

BIN: Final = Path(sys.executable).parent
BOTH: Final[tuple[EventWord, ...]] = ("SUCCESS", "FAILURE")
TIMEOUT: Final = 120.0
SETTLE_SECONDS: Final = 0.15
MEBIBYTE: Final = 1024 * 1024


class TimedServer(MailtrapServer):
    """Notes when each request was read whole, before it is answered."""

    def __init__(self, ca_bundle: Path, *, delay: float) -> None:
        super().__init__(ca_bundle, delay=delay)
        self.arrivals: list[float] = []

    @override
    def take(self, path: str, headers: dict[str, str], content: bytes) -> Answer:
        self.arrivals.append(time.perf_counter())
        return super().take(path, headers, content)

    def has_arrived(self, number: int) -> bool:
        """Tell whether more requests than that have arrived."""
        return len(self.arrivals) > number


class Usage(TypedDict):
    """What a process uses: memory in MiB (the resident set), and CPU in seconds since its start."""

    rss: float
    cpu: float


class Counted:
    """What a page of metrics showed."""

    def __init__(self, page: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(page) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> int:
        """Return a counter, summed over all labels but these."""
        return sum(
            int(sample.value)
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class RunningNotifier:
    """One `notifier run` process; see `notifier`.

    Attributes:
        port: where it shows health and metrics.
    """

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port
        # One connection for all questions: thousands are asked.
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0)

    def is_ready(self) -> bool:
        """Tell whether it hears, reads and may send."""
        return self._http.get("/readyz").is_success

    def usage(self) -> Usage:
        """Return what it uses now, as Linux tells it."""
        folder = Path(f"/proc/{self._process.pid}")
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        # After the name, which ends with the last bracket: field 14 and 15 of `man 5 proc` are the times.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return {"rss": resident / MEBIBYTE, "cpu": ticks / os.sysconf("SC_CLK_TCK")}

    def counted(self) -> Counted:
        """Return what its `/metrics` show."""
        return Counted(self._http.get("/metrics").text)


@contextmanager
def notifier(
    redis_url: str, server: MailtrapServer, folder: Path, *, name: str = "notifier"
) -> Iterator[RunningNotifier]:
    """Run one real notifier; it has started when the block begins."""
    environ = {
        **os.environ,
        "REDIS_URL": redis_url,
        "MAIL_PROVIDER": "mailtrap",
        "MAIL_FROM_EMAIL": "jobs@example.com",
        "MAILTRAP_API_KEY": "bench-key",
        "MAILTRAP_USE_SANDBOX": "true",
        "MAILTRAP_INBOX_ID": "4015",
        "MAILTRAP_API_HOST": server.host,
        "MAILTRAP_CA_BUNDLE": str(server.ca_bundle),
        "NOTIFIER_PORT": "0",
        "LOG_FORMAT": "json",
    }
    log = folder / f"{name}.log"
    process = Process(name, [str(BIN / "notifier"), "run"], environ, log)
    try:
        wait_until(lambda: started_port(log) is not None)
        yield RunningNotifier(process, started_port(log) or 0)
    finally:
        process.stop()


def started_port(log: Path) -> int | None:
    """Return the port a notifier tells in its log when it has started; None before."""
    for line in log.read_text("utf-8").splitlines():
        if "notifier.started" in line and line.endswith("}"):
            told = decode_json(line)
            port = told["port"] if isinstance(told, dict) else None
            return port if isinstance(port, int) else None
    return None


def wait_until(condition: Callable[[], bool], seconds: float = TIMEOUT) -> None:
    """Wait for a condition, looking every few milliseconds.

    Raises:
        TimeoutError: it never held.
    """
    pause = threading.Event()
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"nothing happened for {seconds:g} s")
        pause.wait(0.005)


def started_job(
    redis: RedisClient,
    job_id: str,
    *,
    domain: JobDomain = TURKIC,
    user_id: int = 7,
    job_type: str = "train",
    on: tuple[EventWord, ...] = BOTH,
    clock: Clock | None = None,
) -> Callable[[], None]:
    """Store a job and begin it; return what completes it."""
    now = (clock or SystemClock()).now()
    words: list[JsonValue] = [*on]
    JobRecordStore(redis=redis, domain=domain, clock=clock).save(
        {
            "job_id": job_id,
            "user_id": user_id,
            "status": "queued",
            "progress": 0,
            "message": None,
            "error": None,
            "created_at": now,
            "updated_at": now,
            "job_type": job_type,
            "payload": {},
            "priority": "normal",
            "queue": "default",
            "attempt_count": 0,
            "max_attempts": 3,
            "run": 1,
            "context": {"email": "anna@example.com"},
            "notifications": {"email": {"enabled": True, "on": words}},
        }
    )
    job = make_job_context(
        redis=redis,
        domain=domain,
        events_channel=default_events_channel(domain),
        job_id=job_id,
        user_id=user_id,
        queue_name="default",
        clock=clock,
    )
    job.publish_started()

    def complete() -> None:
        job.publish_completed(result_id="r", result_bytes=5)

    return complete


class SingleMail(TypedDict):
    """One mail on an idle notifier, in seconds from the call of `publish_completed`.

    Attributes:
        published: until the call came back.
        arrived: until the request was at the provider.
    """

    published: float
    arrived: float


def single_mail(redis: RedisClient, server: TimedServer, job_id: str) -> SingleMail:
    """Let one job end on an idle notifier."""
    before = len(server.arrivals)
    complete = started_job(redis, job_id)
    time_to_idle(redis)
    begun = time.perf_counter()
    complete()
    published = time.perf_counter() - begun
    wait_until(partial(server.has_arrived, before))
    return {"published": published, "arrived": server.arrivals[before] - begun}


def time_to_idle(redis: RedisClient) -> None:
    """Wait until nothing is due, and a little longer, so that every loop waits again."""
    wait_until(lambda: redis.zcard(due_key(EMAIL)) == 0)
    threading.Event().wait(SETTLE_SECONDS)


def cpu_of_children() -> float:
    """Return the seconds of CPU that ended processes of ours have used, which no other load can blur much."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine() -> str:
    """Say what the figures were measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
