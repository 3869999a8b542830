"""What a job is while it is stored: its status words, its record, its key."""

from datetime import datetime
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.job_events import ErrorKind, JobDomain
from platform_core.json_values import JsonValue

JobStatusLiteral: TypeAlias = Literal["queued", "processing", "completed", "failed", "cancelled"]
JobPriority: TypeAlias = Literal["high", "normal", "low"]

JOB_STATUSES: Final[tuple[JobStatusLiteral, ...]] = (
    "queued",
    "processing",
    "completed",
    "failed",
    "cancelled",
)
JOB_PRIORITIES: Final[tuple[JobPriority, ...]] = ("high", "normal", "low")


class BaseJobStatus(TypedDict):
    """What every job's stored status holds; a team extends it with fields of its own.

    `progress` is percent, 0 to 100. The datetimes are aware. `message` and `error` are None while there is
    none; None is stored as an absent field.
    """

    job_id: str
    user_id: int
    status: JobStatusLiteral
    progress: int
    message: str | None
    created_at: datetime
    updated_at: datetime
    error: str | None


class JobRecord(BaseJobStatus):
    """The platform's own record of a job; an absent field is absent from the Redis hash too.

    `run` counts the runs of the job from 1: a job that is run again by hand is in its next run.
    `attempt_count` counts the starts within the run, up to `max_attempts`. `timeout_seconds` is how long an
    attempt may take, so that whoever runs the job again need not know its handler. `context` and
    `notifications` are stored as they were submitted; only the notifier interprets them. `request_digest` is
    there for a job that was submitted under an idempotency key: it tells a repeat of the request from another
    one.
    """

    job_type: str
    payload: JsonValue
    priority: JobPriority
    queue: str
    attempt_count: int
    max_attempts: int
    run: int
    run_after: NotRequired[datetime]
    started_at: NotRequired[datetime]
    finished_at: NotRequired[datetime]
    locked_by: NotRequired[str]
    locked_until: NotRequired[datetime]
    result_id: NotRequired[str]
    result_bytes: NotRequired[int]
    error_kind: NotRequired[ErrorKind]
    timeout_seconds: NotRequired[int]
    context: NotRequired[JsonValue]
    notifications: NotRequired[JsonValue]
    request_digest: NotRequired[str]


def job_key(domain: JobDomain, job_id: str) -> str:
    """Return the key of a job's Redis hash, `<domain>:job:<job_id>`."""
    return f"{domain}:job:{job_id}"


def is_outcome(status: JobStatusLiteral) -> bool:
    """Tell whether a status is final: completed, failed or cancelled."""
    return status in {"completed", "failed", "cancelled"}
