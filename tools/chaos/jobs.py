"""The jobs of a run: what each of them is to do, and who wants to hear about it.

Most are plain: this process publishes their life through a job context. The others run on real RQ workers,
where each attempt is a fork and so takes its time.
"""

import os
import threading
from random import Random
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.errors import JobUserError
from platform_core.job_events import JobDomain, job_domain
from platform_core.json_values import JsonValue
from platform_core.notifications import EventWord
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun

CHAOS: Final[JobDomain] = job_domain("chaos")
QUEUE: Final = "chaos"
JOB_TYPE: Final = "chaos.work"

Ending: TypeAlias = Literal["complete", "user_error", "fault", "fault_once", "exit_once"]
"""How a job goes if nobody interferes; `exit_once` ends its process in the first attempt without a word."""


class WorkPayload(TypedDict):
    """What the handler is told."""

    ending: Ending
    seconds: float


class PlannedJob(TypedDict):
    """One job.

    Attributes:
        email: where its mail goes.
        on: the outcomes it wants a mail for; empty for none.
        on_rq: whether a worker runs it; else this process publishes its life.
        at: when it is handed in, in seconds after the start.
    """

    job_id: str
    email: str
    on: list[EventWord]
    ending: Ending
    work_seconds: float
    on_rq: bool
    at: float


FEW_PEOPLE: Final = 25
"""Among how many people the jobs are shared out when mails are to be gathered."""


def plan_jobs(
    count: int, rq_count: int, seconds: float, random: Random, *, people: int | None = None
) -> list[PlannedJob]:
    """Return the jobs in the order in which they are handed in, evenly over the time.

    Args:
        count: all of them.
        rq_count: how many of them run on RQ.
        seconds: over how long.
        random: decides the rest.
        people: how many people they are for; None for one for each job.
    """
    on_rq = set(random.sample(range(count), rq_count))
    jobs = [_job(number, seconds * number / count, random, on_rq=number in on_rq) for number in range(count)]
    if people is not None:
        for number, job in enumerate(jobs):
            job["email"] = f"person-{number % people:06d}@example.com"
    return jobs


def _job(number: int, at: float, random: Random, *, on_rq: bool) -> PlannedJob:
    wishes: tuple[list[EventWord], ...] = (["SUCCESS", "FAILURE"], ["SUCCESS", "FAILURE"], ["FAILURE"], [])
    endings: tuple[Ending, ...] = ("complete", "complete", "user_error", "fault")
    if on_rq:
        endings = ("complete", "complete", "complete", "user_error", "fault", "fault_once", "exit_once")
    return {
        "job_id": f"job-{number:06d}",
        "email": f"person-{number:06d}@example.com",
        "on": random.choices(wishes, weights=(10, 10, 3, 1))[0],
        "ending": random.choice(endings),
        "work_seconds": random.choice((0.0, 0.0, 0.2, 1.5)),
        "on_rq": on_rq,
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
