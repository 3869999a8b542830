"""A domain on a real server with real workers, and handlers to which everything happens."""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import pytest
from platform_core.errors import JobUserError
from platform_core.job_events import JobDomain, decode_job_event, default_events_channel
from platform_core.job_types import JobPriority, JobRecord
from rq.executions import Execution
from rq.job import Job

from platform_workers.errors import JobCancelledError
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.job_queue import RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.rq_harness import PlatformWorker, WorkerConfig, make_worker, run_rq_worker
from platform_workers.submission import JobSubmitter
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger

QUEUE = "fates"


class FatePayload(TypedDict):
    """What shall happen to the process; `folder` is where the handler and the test meet."""

    fate: str
    folder: str


PATIENCE = 120.0
"""How long a test waits for what must come (seconds): long, because a busy machine takes its time."""


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Return when the condition holds; fail when it does not within so many seconds."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail("the condition never held")
        pause.wait(0.02)


def wait(_job: JobRun, folder: Path) -> None:
    (folder / "running").write_text(str(os.getpid()))
    wait_until((folder / "go on").exists)


def wait_and_die(job: JobRun, folder: Path) -> None:
    wait(job, folder)
    os.kill(os.getpid(), signal.SIGKILL)


def wait_and_clean_up(_job: JobRun, folder: Path) -> None:
    """Keep a file while it runs, as a handler with a temporary file does."""
    scratch = folder / "scratch"
    scratch.touch()
    try:
        (folder / "running").write_text(str(os.getpid()))
        wait_until((folder / "go on").exists)
    except JobCancelledError:
        (folder / "told").touch()
        raise
    finally:
        scratch.unlink()


def be_deaf(_job: JobRun, folder: Path) -> None:
    """Swallow what tells it to stop, and go on."""
    (folder / "running").write_text(str(os.getpid()))
    while True:
        try:
            wait_until((folder / "go on").exists)
        except JobCancelledError:
            (folder / "told").touch()


def speak_last(job: JobRun, folder: Path) -> None:
    wait(job, folder)
    try:
        job.publish_progress(99, "am I still wanted?")
    except JobCancelledError:
        (folder / "told").touch()
        raise


def note(job: JobRun, folder: Path) -> None:
    """Write down who came when."""
    with (folder / "order").open("a") as notes:
        notes.write(f"{job.job_id}\n")


LONG_FATES: dict[str, Callable[[JobRun, Path], None]] = {
    "wait": wait,
    "wait and die": wait_and_die,
    "clean up": wait_and_clean_up,
    "be deaf": be_deaf,
    "speak last": speak_last,
    "note": note,
}


def meet_fate(payload: FatePayload, job: JobRun) -> JobResult:
    job.publish_progress(50, "about to meet its fate")
    folder = Path(payload["folder"])
    match payload["fate"]:
        case "raise":
            raise ValueError("boom")
        case "user":
            raise JobUserError("row 3 is empty")
        case "exit 0":
            os._exit(0)
        case "exit 3":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            threading.Event().wait(PATIENCE)
        case "kill once" if job.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case fate if fate in LONG_FATES:
            LONG_FATES[fate](job, folder)
        case _:
            pass
    return {"result_id": "file-1", "result_bytes": 3}


class Plant:
    """A domain with its store, its submission and as many real workers as a test starts."""

    def __init__(self, server: EmbeddedRedis, domain: JobDomain) -> None:
        self.server = server
        self.redis = server.client()
        self.domain = domain
        self.store = JobRecordStore(redis=self.redis, domain=domain)
        self.allow_time(2)

    def allow_time(self, seconds: int) -> None:
        """Set how long an attempt may take."""
        self.registry = HandlerRegistry(domain=self.domain)
        self.registry.register(
            "fate.meet", FatePayload, meet_fate, timeout_seconds=seconds, backoff_seconds=0.1
        )
        queue = RqJobQueue(redis=self.redis, name=QUEUE)
        self._submitter = JobSubmitter(store=self.store, queue=queue, registry=self.registry)

    def submit(
        self, fate: str, *, folder: str = "", max_attempts: int = 1, priority: JobPriority = "normal"
    ) -> str:
        record = self._submitter.submit(
            {
                "job_type": "fate.meet", "payload": {"fate": fate, "folder": folder}, "user_id": 7,
                "max_attempts": max_attempts, "priority": priority,
            }
        )  # fmt: skip
        return record["job_id"]

    def config(self, *, burst: bool = False) -> WorkerConfig:
        return {
            "redis_url": self.server.url,
            "queue_name": QUEUE,
            "events_channel": default_events_channel(self.registry.domain),
            "registry": self.registry,
            "burst": burst,
        }

    def taken(self, job_id: str) -> tuple[PlatformWorker, Job, Execution]:
        """Return a worker of this process that has taken a job's first attempt and begun nothing."""
        worker = make_worker(self.config(), redis=self.redis, clock=FakeClock(), logger=FakeLogger())
        register: Callable[[], None] = worker.register_birth
        register()
        job = worker.queues[0].fetch_job(f"{self.domain}-{job_id}-1-1")
        assert job is not None
        return worker, job, worker.prepare_execution(job)

    @contextmanager
    def worker(self, *, burst: bool = False) -> Iterator[multiprocessing.context.ForkProcess]:
        """A worker process of its own; told to stop afterwards unless it has ended."""
        context = multiprocessing.get_context("fork")
        process = context.Process(target=run_rq_worker, args=(self.config(burst=burst),))
        process.start()
        try:
            yield process
        finally:
            process.terminate()
            process.join(PATIENCE)
            assert process.exitcode is not None, "the worker did not stop"

    def record(self, job_id: str) -> JobRecord:
        record = self.store.load(job_id)
        assert record is not None
        return record

    def wait_for_outcome(self, job_id: str) -> JobRecord:
        wait_until(lambda: self.record(job_id)["status"] in {"completed", "failed", "cancelled"})
        return self.record(job_id)

    def outcomes(self) -> Counter[str]:
        """How many outcome events each job has in the durable log."""
        events = [
            decode_job_event(entry["fields"]["event"])
            for entry in self.redis.xrange(f"{self.registry.domain}:events:log")
        ]
        return Counter(event["job_id"] for event in events if not event["type"].endswith(".started.v1"))


def kill_tree(pid: int | None) -> None:
    """SIGKILL a worker with its horse and its scheduler, as a machine that loses power would."""
    assert pid is not None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    for victim in (pid, *map(int, children)):
        os.kill(victim, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        # The second if it ends between opening and reading.
        return True


def horse_of(folder: Path) -> int:
    """The process id that the handler has left."""
    wait_until(lambda: (folder / "running").exists() and (folder / "running").read_text() != "")
    return int((folder / "running").read_text())
