"""What the client reads of the API's answers; the documents themselves have more."""

from typing import NotRequired, TypedDict

from platform_core.job_events import ErrorKind
from platform_core.job_types import JobStatusLiteral


class Job(TypedDict):
    """A job's record, or its summary in a list."""

    domain: str
    job_id: str
    status: JobStatusLiteral
    progress: int
    message: str | None
    error: str | None
    created_at: str
    job_type: NotRequired[str]
    attempt_count: NotRequired[int]
    max_attempts: NotRequired[int]
    started_at: NotRequired[str]
    finished_at: NotRequired[str]
    run_after: NotRequired[str]
    result_id: NotRequired[str]
    result_bytes: NotRequired[int]
    error_kind: NotRequired[ErrorKind]


class Uploaded(TypedDict):
    """What the API says of a file it took."""

    file_id: str
    name: str
    bytes: int
