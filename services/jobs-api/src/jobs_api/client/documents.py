"""What the client reads of the API's answers; the documents themselves have more."""

from typing import NotRequired, TypedDict

from platform_core.job_events import ErrorKind
from platform_core.job_types import JobPriority, JobStatusLiteral
from platform_core.json_values import JsonObject


class Job(TypedDict):
    """A job's record, or its summary in a list."""

    domain: str
    job_id: str
    status: JobStatusLiteral
    progress: int
    message: str | None
    error: str | None
    created_at: str
    user_id: NotRequired[int]
    job_type: NotRequired[str]
    queue: NotRequired[str]
    priority: NotRequired[JobPriority]
    run: NotRequired[int]
    attempt_count: NotRequired[int]
    max_attempts: NotRequired[int]
    started_at: NotRequired[str]
    finished_at: NotRequired[str]
    run_after: NotRequired[str]
    locked_by: NotRequired[str]
    locked_until: NotRequired[str]
    result_id: NotRequired[str]
    result_bytes: NotRequired[int]
    error_kind: NotRequired[ErrorKind]


class Uploaded(TypedDict):
    """What the API says of a file it took."""

    file_id: str
    name: str
    bytes: int
    sha256: NotRequired[str]


class JobPage(TypedDict):
    """A page of a list of jobs.

    Attributes:
        jobs: what the client reads of them, newest first.
        documents: the same as the API gave them.
        next_cursor: where the next page begins; left out on the last one.
    """

    jobs: list[Job]
    documents: list[JsonObject]
    next_cursor: NotRequired[str]


class LogLine(TypedDict):
    """One line of a job's log; `id` says where to go on reading."""

    id: str
    time: str
    level: str
    message: str


class JobLog(TypedDict):
    """Lines of a job's log, oldest first."""

    lines: list[LogLine]


class JobType(TypedDict):
    """A kind of job that the API takes; its payload's schema is read on its own."""

    job_type: str
    domain: str
    max_attempts: int
    timeout_seconds: int
    description: NotRequired[str]


class Queue(TypedDict):
    """How a queue stands: its name, and how many workers serve it."""

    queue: str
    workers: int


class Percentiles(TypedDict):
    """Seconds within which half, 95 % and 99 % of the jobs were done."""

    p50: float
    p95: float
    p99: float


class FinishedCounts(TypedDict):
    """How many jobs ended how."""

    completed: int
    failed: int
    cancelled: int


class StatusCounts(FinishedCounts):
    """How many jobs there are of each status."""

    queued: int
    processing: int


class Step(FinishedCounts):
    """One step of a window's series."""

    at: str
    submitted: int


# Written as a call: `from` is a word of the language.
Statistics = TypedDict(
    "Statistics",
    {
        "window": str,
        "from": str,
        "to": str,
        "counts": StatusCounts,
        "by_type": dict[str, StatusCounts],
        "submitted": int,
        "finished": FinishedCounts,
        "failure_rate": float | None,
        "throughput_per_hour": float,
        "run_seconds": Percentiles | None,
        "queue_seconds": Percentiles | None,
        "series": list[Step],
    },
)
"""`counts` and `by_type` are what the store holds now, the rest is what happened within the window."""
