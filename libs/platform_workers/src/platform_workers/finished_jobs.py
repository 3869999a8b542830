"""The outcomes of finished jobs, read back out of the job store: for who has missed them in the log."""

from collections.abc import Iterator, Mapping
from typing import Final, TypedDict

from platform_core.errors import DecodeError
from platform_core.job_events import (
    JobCompletedV1,
    JobDomain,
    JobFailedV1,
    encode_job_event,
    make_completed_event,
    make_failed_event,
)
from platform_core.job_types import job_key

from platform_workers.job_store import parse_int_field
from platform_workers.redis import RedisClient

_FOREVER: Final = float("inf")


class FinishedJob(TypedDict):
    """A finished job and how it ended.

    Attributes:
        finished_ms: when, in milliseconds since 1970.
        run: the run that ended. What came of earlier runs, no record tells.
        cancelled: whether that run was cancelled.
        event: the outcome as it was published; None if the record cannot be read.
        fault: what is wrong with the record; never a value out of it.
    """

    job_id: str
    finished_ms: int
    run: int
    cancelled: bool
    event: JobCompletedV1 | JobFailedV1 | None
    fault: str


def finished_since(
    redis: RedisClient, domain: JobDomain, since_ms: int, *, limit: int
) -> Iterator[list[FinishedJob]]:
    """Return the jobs that have finished since a moment, page by page, the first to finish first.

    A job that ends while the pages are read is on one of them, too. Raises `RedisUnavailableError` when
    Redis does not answer.

    Args:
        redis: the connection.
        domain: whose jobs.
        since_ms: the moment, in milliseconds since 1970.
        limit: at most how many jobs a page.
    """
    key, low, seen = f"{domain}:jobs:finished", float(since_ms), 0
    while page := redis.zrange_with_scores(key, low, _FOREVER, offset=seen, limit=limit):
        jobs = [_read(redis, domain, member, int(score)) for member, score in page]
        yield [job for job in jobs if job is not None]
        # On from the last score; those with this very score that were seen already are passed over.
        last = page[-1][1]
        here = sum(score == last for _, score in page)
        low, seen = last, (seen + here if last == low else here)


def _read(redis: RedisClient, domain: JobDomain, member: str, finished_ms: int) -> FinishedJob | None:
    """Read one job; None if its record is gone, or has gone on to another run."""
    job_id = member.partition(" ")[0]
    fields = redis.hgetall(job_key(domain, job_id))
    found: FinishedJob = {
        "job_id": job_id,
        "finished_ms": finished_ms,
        "run": 1,
        "cancelled": fields.get("status") == "cancelled",
        "event": None,
        "fault": "",
    }
    try:
        found["event"] = _outcome(domain, job_id, fields)
        found["run"] = parse_int_field({"run": "1", **fields}, "run")
    except DecodeError as error:
        found["fault"] = str(error)
        return found
    return None if found["event"] is None else found


def _outcome(
    domain: JobDomain, job_id: str, fields: Mapping[str, str]
) -> JobCompletedV1 | JobFailedV1 | None:
    """Make the event of a record's outcome; a team's own record need not have all that the event tells.

    Raises:
        DecodeError: no event can be made of it.
    """
    status = fields.get("status")
    if status == "completed":
        completed = make_completed_event(
            domain=domain,
            job_id=job_id,
            user_id=parse_int_field(fields, "user_id"),
            result_id=fields.get("result_id", ""),
            result_bytes=parse_int_field({"result_bytes": "0", **fields}, "result_bytes"),
        )
        encode_job_event(completed)  # refuses what is no event
        return completed
    if status in {"failed", "cancelled"}:
        failed = make_failed_event(
            domain=domain,
            job_id=job_id,
            user_id=parse_int_field(fields, "user_id"),
            error_kind="user" if fields.get("error_kind") == "user" else "system",
            message=fields.get("error", ""),
        )
        encode_job_event(failed)
        return failed
    return None
