"""The shapes of what is sent and answered, as TypedDicts; the document's schemas are made of them.

The routes answer JSON that they build themselves. That it has these shapes is checked by a tester that
reads the document and calls the running API (`tests/service/test_openapi_conformance.py`).
"""

from typing import Annotated, Literal, NotRequired, TypeAlias, TypedDict

from msgspec import Meta
from platform_core.event_codec import Int64
from platform_core.job_events import ErrorKind
from platform_core.job_types import JobPriority, JobStatusLiteral
from platform_core.notifications import EventWord

from jobs_api.files.payloads import (
    CanonicalizePayload,
    ColumnStatsPayload,
    DeduplicatePayload,
    RowCountPayload,
)

Anything: TypeAlias = Annotated[object, Meta(extra_json_schema={"title": "any JSON"})]
Moment: TypeAlias = Annotated[
    str, Meta(extra_json_schema={"format": "date-time"}, description="ISO 8601 with an offset.")
]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Domain: TypeAlias = Annotated[
    str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$", description="Whose job it is: the name of a team's domain.")
]

# As `platform_core.event_codec.JobId` has it, in the regular expressions of JSON Schema.
JobIdText: TypeAlias = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": r"^[^:\s\u0000-\u001f\u007f-\u009f]{1,128}$"},
        description="1 to 128 characters, without `:`, white space and control characters.",
    ),
]


class FieldFaultShape(TypedDict):
    """One field at fault."""

    field: Annotated[str, Meta(description="Its path, as `payload.columns[0]`.")]
    detail: Annotated[str, Meta(description="What is wrong with it.")]


class Problem(TypedDict):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Meta(description="The kind of problem, as `urn:jobs-api:job-not-found`.")]
    title: Annotated[str, Meta(description="The status in words.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What went wrong, for a person.")]
    errors: NotRequired[Annotated[list[FieldFaultShape], Meta(description="The fields at fault.")]]


class StoredFile(TypedDict):
    """A file as it is stored."""

    file_id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    name: Annotated[str, Meta(max_length=200, description="As it came, without folders and invisible parts.")]
    content_type: str
    bytes: Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Email(TypedDict):
    """Whether to mail, and on which outcomes."""

    enabled: bool
    on: list[EventWord]


class Context(TypedDict):
    """Who the job is for. Other fields are kept as given."""

    user_id: NotRequired[str]
    email: NotRequired[Annotated[str, Meta(extra_json_schema={"format": "email"})]]


class Notifications(TypedDict):
    """Who wants to hear about the job, and when. Other fields are kept as given."""

    email: NotRequired[Email]


class _Submission(TypedDict):
    domain: NotRequired[Annotated[Literal["files"], Meta(description="The one domain this service takes.")]]
    user_id: Annotated[Int64, Meta(description="Whose job it is; a number of the caller's.")]
    priority: NotRequired[JobPriority]
    run_after: NotRequired[Annotated[Moment, Meta(description="Not before this time.")]]
    max_attempts: NotRequired[Annotated[int, Meta(ge=1, le=100, description="Else the type's own limit.")]]
    context: NotRequired[Context]
    notifications: NotRequired[Notifications]


class RowCountJob(_Submission):
    """Count the rows and columns of a CSV file."""

    job_type: Literal["csv.row_count"]
    payload: RowCountPayload


class ColumnStatsJob(_Submission):
    """Describe each column of a CSV file."""

    job_type: Literal["csv.column_stats"]
    payload: ColumnStatsPayload


class DeduplicateJob(_Submission):
    """Take repeated rows out of a CSV file."""

    job_type: Literal["csv.deduplicate"]
    payload: DeduplicatePayload


class CanonicalizeJob(_Submission):
    """Write a JSON file in canonical form (RFC 8785)."""

    job_type: Literal["json.canonicalize"]
    payload: CanonicalizePayload


class JobSummary(TypedDict):
    """A job as a list shows it.

    A record of another team may lack `job_type`, `priority`, `queue`, `run`, `attempt_count` and
    `max_attempts`.
    """

    domain: Domain
    job_id: JobIdText
    job_type: NotRequired[str]
    status: JobStatusLiteral
    progress: Percent
    message: Annotated[str | None, Meta(description="What it is doing, or what came out.")]
    error: Annotated[str | None, Meta(description="Why it failed, or why its last attempt did.")]
    error_kind: NotRequired[Annotated[ErrorKind, Meta(description="Whose fault: the file's, or ours.")]]
    user_id: Int64
    priority: NotRequired[JobPriority]
    queue: NotRequired[str]
    run: NotRequired[
        Annotated[int, Meta(ge=1, description="1, and one more each time it is retried by hand.")]
    ]
    attempt_count: NotRequired[Annotated[int, Meta(ge=0, description="Starts within this run.")]]
    max_attempts: NotRequired[Annotated[int, Meta(ge=1)]]
    created_at: Moment
    updated_at: Moment
    run_after: NotRequired[Moment]
    started_at: NotRequired[Moment]
    finished_at: NotRequired[Moment]
    locked_by: NotRequired[Annotated[str, Meta(description="The worker that has it.")]]
    locked_until: NotRequired[Moment]
    result_id: NotRequired[str]
    result_bytes: NotRequired[Count]


class Job(JobSummary):
    """A job's record. What is not known yet is absent."""

    payload: NotRequired[Anything]
    context: NotRequired[Anything]
    notifications: NotRequired[Anything]


class JobPage(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next_cursor: NotRequired[Annotated[str, Meta(description="Leads to the next page; absent on the last.")]]


class LogLine(TypedDict):
    """One line of a job's log."""

    id: Annotated[str, Meta(pattern="^[0-9]+-[0-9]+$")]
    time: Moment
    level: str
    message: str


class JobLog(TypedDict):
    """A part of a job's log, oldest line first."""

    domain: Domain
    job_id: JobIdText
    lines: list[LogLine]


class DeliveryAttempt(TypedDict):
    """One time that a mail was sent, or tried."""

    at: Moment
    provider: str
    result: str
    answer: str
    may_have_been_delivered: bool
    duration_ms: Count


class DeliveryReplay(TypedDict):
    """One time that somebody had it sent again."""

    at: Moment
    was: str


class Delivery(TypedDict):
    """What became of one mail about the job, and why; `told_in` is the digest that it was gathered into."""

    delivery_id: str
    domain: Domain
    job_id: JobIdText
    run: Annotated[int, Meta(ge=1)]
    event: EventWord
    channel: str
    recipient: str
    state: str
    decided_by: Annotated[str, Meta(description="Whose wish decided: the job's or the user's.")]
    detail: str
    created_at: Moment
    attempts: list[DeliveryAttempt]
    message_ids: list[str]
    interrupted: Count
    replays: list[DeliveryReplay]
    being_sent: bool
    may_have_been_delivered: bool
    reason: NotRequired[Annotated[str, Meta(description="Why no mail was sent.")]]
    reason_text: NotRequired[str]
    provider: NotRequired[str]
    template_version: NotRequired[str]
    answer: NotRequired[str]
    due_at: NotRequired[Moment]
    settled_at: NotRequired[Moment]
    duration_ms: NotRequired[Count]
    told_in: NotRequired["Delivery"]


class JobType(TypedDict):
    """One type of jobs."""

    job_type: str
    domain: Domain
    description: str
    payload_schema: Annotated[dict[str, Anything], Meta(description="JSON Schema of the payload.")]
    max_attempts: Annotated[int, Meta(ge=1)]
    timeout_seconds: Annotated[int, Meta(ge=1)]
    backoff_seconds: Annotated[
        float,
        Meta(ge=0, description="Pause after the first failed attempt; it doubles with each further one."),
    ]


class JobTypes(TypedDict):
    """What jobs are taken."""

    job_types: list[JobType]


class StatusCounts(TypedDict):
    """How many jobs there are in each status."""

    queued: Count
    processing: Count
    completed: Count
    failed: Count
    cancelled: Count


class Finished(TypedDict):
    """How jobs ended."""

    completed: Count
    failed: Count
    cancelled: Count


class Percentiles(TypedDict):
    """Durations in seconds."""

    p50: Annotated[float, Meta(ge=0)]
    p95: Annotated[float, Meta(ge=0)]
    p99: Annotated[float, Meta(ge=0)]


class Step(TypedDict):
    """What happened within one step of time."""

    at: Moment
    submitted: Count
    completed: Count
    failed: Count
    cancelled: Count


Statistics = TypedDict(
    "Statistics",
    {
        "window": Literal["1h", "24h", "7d"],
        "from": Moment,
        "to": Moment,
        "counts": Annotated[StatusCounts, Meta(description="What the store holds now.")],
        "by_type": Annotated[dict[str, StatusCounts], Meta(description="The same for each job type.")],
        "submitted": Count,
        "finished": Finished,
        "failure_rate": Annotated[
            float | None, Meta(description="Failed of all that completed or failed; null for none.")
        ],
        "throughput_per_hour": Annotated[float, Meta(ge=0)],
        "run_seconds": Annotated[Percentiles | None, Meta(description="From start to end.")],
        "queue_seconds": Annotated[Percentiles | None, Meta(description="From submission to start.")],
        "series": list[Step],
    },
)


class Queue(TypedDict):
    """How a queue stands."""

    queue: str
    waiting: Annotated[Count, Meta(description="Jobs that could start now.")]
    delayed: Annotated[Count, Meta(description="Jobs whose time has not come.")]
    oldest_wait_seconds: Annotated[
        float | None,
        Meta(description="For how long the oldest of the waiting could have started; null for none."),
    ]
    workers: Annotated[Count, Meta(description="How many workers that live serve it.")]
    worker_states: Annotated[
        dict[Literal["started", "idle", "busy", "suspended"], Count],
        Meta(description="How many of them say so of themselves; states that none is in are left out."),
    ]


class Queues(TypedDict):
    """How the queues stand."""

    queues: list[Queue]


class ChosenEmail(TypedDict):
    """Whether to mail, and on which outcomes."""

    enabled: bool
    on: Annotated[list[EventWord], Meta(extra_json_schema={"uniqueItems": True})]


class DomainPreferencesShape(TypedDict):
    """Wishes for the jobs of one domain; they go before the general ones."""

    opt_out: NotRequired[bool]
    email: NotRequired[ChosenEmail]


class Preferences(TypedDict):
    """What a user wants to hear about, where a job says nothing itself."""

    opt_out: NotRequired[Annotated[bool, Meta(description="No mail at all, whatever else is said.")]]
    email: NotRequired[ChosenEmail]
    domains: NotRequired[
        Annotated[
            dict[str, DomainPreferencesShape],
            Meta(
                extra_json_schema={
                    "maxProperties": 100,
                    "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,31}$"},
                }
            ),
        ]
    ]


class Liveness(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Whether a job would be worked on now."""

    status: Literal["ready", "degraded"]
    reason: Annotated[str, Meta(description="Why not; empty when it is ready.")]
