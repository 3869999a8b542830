"""The jobs of a run: what each of them is to do, and who wants to hear about it.

Most are plain: this process publishes their life through a job context. The others run on real RQ workers,
where each attempt is a fork and so takes its time. Those of the domain `chaos` are handed in with the
library, those of the domain `files` over HTTP.
"""

import os
import threading
from collections.abc import Mapping
from random import Random
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.errors import JobUserError
from platform_core.job_events import JobDomain, job_domain
from platform_core.job_types import JobPriority
from platform_core.json_values import JsonValue
from platform_core.notifications import EventWord
from platform_core.queues import FILES_QUEUE
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.submission import idempotent_job_id

CHAOS: Final[JobDomain] = job_domain("chaos")
QUEUE: Final = "chaos"
JOB_TYPE: Final = "chaos.work"
FILES: Final[JobDomain] = job_domain("files")

QUEUES: Final = {CHAOS: QUEUE, FILES: FILES_QUEUE}
"""Every domain of a run, and the queue of its jobs."""

USER_ID: Final = 7

Way: TypeAlias = Literal["context", "library", "http"]
"""How a job comes in: its life published by this process, submitted for a worker, or submitted to the API."""

Ending: TypeAlias = Literal["complete", "user_error", "fault", "fault_once", "exit_once"]
"""How a job goes if nobody interferes; `exit_once` ends its process in the first attempt without a word."""


class WorkPayload(TypedDict):
    """What the handler is told."""

    ending: Ending
    seconds: float


class PlannedJob(TypedDict):
    """One job. No two have the same id, whatever their domains.

    Attributes:
        email: where its mail goes.
        on: the outcomes it wants a mail for; empty for none.
        key: its idempotency key, if it is handed in over HTTP.
        at: when it is handed in, in seconds after the start.
    """

    domain: JobDomain
    job_id: str
    email: str
    on: list[EventWord]
    ending: Ending
    work_seconds: float
    priority: JobPriority
    way: Way
    key: str
    at: float


FEW_PEOPLE: Final = 25
"""Among how many people the jobs are shared out when mails are to be gathered."""


def plan_jobs(
    count: int,
    rq_count: int,
    seconds: float,
    random: Random,
    *,
    http_count: int = 0,
    people: int | None = None,
) -> list[PlannedJob]:
    """Return the jobs in the order in which they are handed in, evenly over the time.

    Args:
        count: all of them.
        rq_count: how many of them are submitted with the library.
        seconds: over how long.
        random: decides the rest.
        http_count: how many of them are submitted to the API.
        people: how many people they are for; None for one for each job.
    """
    on_workers = random.sample(range(count), rq_count + http_count)
    ways: dict[int, Way] = dict.fromkeys(on_workers[:rq_count], "library")
    ways |= dict.fromkeys(on_workers[rq_count:], "http")
    jobs = [
        _job(number, seconds * number / count, random, ways.get(number, "context")) for number in range(count)
    ]
    if people is not None:
        for number, job in enumerate(jobs):
            job["email"] = f"person-{number % people:06d}@example.com"
    return jobs


_ENDINGS: Final[Mapping[Way, tuple[Ending, ...]]] = {
    "context": ("complete", "complete", "user_error", "fault"),
    "library": ("complete", "complete", "complete", "user_error", "fault", "fault_once", "exit_once"),
    "http": ("complete", "complete", "user_error"),
}


def _job(number: int, at: float, random: Random, way: Way) -> PlannedJob:
    wishes: tuple[list[EventWord], ...] = (["SUCCESS", "FAILURE"], ["SUCCESS", "FAILURE"], ["FAILURE"], [])
    priorities: tuple[JobPriority, ...] = ("normal", "normal", "high", "low")
    domain, job_id, key = CHAOS, f"job-{number:06d}", f"key-{number:06d}"
    if way == "http":
        domain, job_id = FILES, idempotent_job_id(FILES, key)
    return {
        "domain": domain,
        "job_id": job_id,
        "email": f"person-{number:06d}@example.com",
        "on": random.choices(wishes, weights=(10, 10, 3, 1))[0],
        "ending": random.choice(_ENDINGS[way]),
        "work_seconds": random.choice((0.0, 0.0, 0.2, 1.5)),
        "priority": random.choice(priorities),
        "way": way,
        "key": key,
        "at": at,
    }


def context_of(job: PlannedJob) -> JsonValue:
    """Return the job's `context`."""
    return {"user_id": f"user-{job['job_id']}", "email": job["email"]}


def notifications_of(job: PlannedJob) -> JsonValue:
    """Return the job's `notifications`."""
    words: list[JsonValue] = [*job["on"]]
    return {"email": {"enabled": bool(words), "on": words}}


def payload_of(job: PlannedJob) -> JsonValue:
    """Return what its handler is told."""
    return {"ending": job["ending"], "seconds": job["work_seconds"]}


def work(payload: WorkPayload, job: JobRun) -> JobResult:
    """Take some time and end as told."""
    job.publish_progress(50, "halfway")
    threading.Event().wait(payload["seconds"])
    match payload["ending"]:
        case "user_error":
            raise JobUserError("the input was wrong")
        case "fault":
            raise RuntimeError("it never works")
        case "fault_once" if job.attempt == 1:
            raise RuntimeError("it works the next time")
        case "exit_once" if job.attempt == 1:
            os._exit(1)
        case _:
            return {"result_id": f"result-of-{job.job_id}", "result_bytes": 1}


def make_registry() -> HandlerRegistry:
    """Return the job types of the domain."""
    registry = HandlerRegistry(domain=CHAOS)
    registry.register(JOB_TYPE, WorkPayload, work, max_attempts=3, timeout_seconds=10, backoff_seconds=0.5)
    return registry
