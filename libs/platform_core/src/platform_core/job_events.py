"""The lifecycle events of a job, as they travel on the channel `<domain>:events`.

The wire format is fixed: other teams' services speak it. Nothing is ever added to V1.
"""

from typing import Annotated, Final, Literal, NewType, NotRequired, TypeAlias, TypedDict

from msgspec import Meta
from typing_extensions import TypeIs

from platform_core.event_codec import (
    EventFamily,
    Int64,
    JobId,
    TypedShape,
    declared_fields,
)
from platform_core.json_schemas import schema_of
from platform_core.json_values import JsonObject, JsonValue, convert_as

# Open: a new team makes its own with `job_domain`, and nothing here changes.
JobDomain = NewType(
    "JobDomain",
    Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]{0,31}\Z",
            description="1 to 32 lower-case letters, digits and `_`, a letter first",
        ),
    ],
)
EventSuffix: TypeAlias = Literal["started", "progress", "completed", "failed"]
ErrorKind: TypeAlias = Literal["user", "system"]


def job_domain(text: str) -> JobDomain:
    """Make a domain: the one checked way to have one, for a new team as for the old ones.

    Args:
        text: lower-case letters, digits and `_`, 1 to 32 characters, a letter first.

    Raises:
        DecodeError: the text is no domain; its path is `domain`.
    """
    return convert_as(text, JobDomain, "domain")


TURKIC: Final = job_domain("turkic")
TRANSCRIPT: Final = job_domain("transcript")
TRAINER: Final = job_domain("trainer")
DIGITS: Final = job_domain("digits")
DATABANK: Final = job_domain("databank")
QR: Final = job_domain("qr")
COVENANT: Final = job_domain("covenant")
MUSIC_WRAPPED: Final = job_domain("music_wrapped")

# The domains that were on the wire first; a new one needs no entry here.
KNOWN_DOMAINS: Final[tuple[JobDomain, ...]] = (
    TURKIC,
    TRANSCRIPT,
    TRAINER,
    DIGITS,
    DATABANK,
    QR,
    COVENANT,
    MUSIC_WRAPPED,
)


class _JobEventBase(TypedDict):
    type: str
    domain: JobDomain
    job_id: JobId
    user_id: Int64


class JobStartedV1(_JobEventBase):
    """A worker began the job."""

    queue: str


class _JobProgressFields(_JobEventBase):
    progress: Annotated[int, Meta(ge=0, le=100)]
    message: NotRequired[str]


class JobProgressV1(_JobProgressFields):
    """The job has come so far: `progress` in percent, `payload` any JSON of the team's own."""

    payload: NotRequired[JsonValue]


class JobCompletedV1(_JobEventBase):
    """The job succeeded; `result_id` names the file, model or video it made, of `result_bytes` bytes."""

    result_id: str
    result_bytes: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class JobFailedV1(_JobEventBase):
    """The job failed for good: `user` if the input was bad, `system` otherwise."""

    error_kind: ErrorKind
    message: str


JobEventV1: TypeAlias = JobStartedV1 | JobProgressV1 | JobCompletedV1 | JobFailedV1


def make_event_type(domain: JobDomain, suffix: EventSuffix) -> str:
    """Return the `type` of a lifecycle event, such as `turkic.job.started.v1`."""
    return f"{domain}.job.{suffix}.v1"


def default_events_channel(domain: JobDomain) -> str:
    """Return the Redis channel on which a domain's events are published."""
    return f"{domain}:events"


def default_events_log(domain: JobDomain) -> str:
    """Return the key of the Redis stream that keeps a domain's started, completed and failed events."""
    return f"{domain}:events:log"


def make_started_event(*, domain: JobDomain, job_id: str, user_id: int, queue: str) -> JobStartedV1:
    """Make the event that a worker began the job; `encode_job_event` checks the values."""
    return {
        "type": make_event_type(domain, "started"),
        "domain": domain,
        "job_id": job_id,
        "user_id": user_id,
        "queue": queue,
    }


def make_progress_event(
    *,
    domain: JobDomain,
    job_id: str,
    user_id: int,
    progress: int,
    message: str | None = None,
    payload: JsonValue = None,
) -> JobProgressV1:
    """Make the event that the job has come so far; `encode_job_event` checks the values.

    Args:
        domain: the job's domain.
        job_id: the job's id.
        user_id: whose job it is.
        progress: percent, 0 to 100.
        message: one line for the person who watches; None leaves the field out.
        payload: any JSON of the team's own; None leaves the field out.
    """
    event: JobProgressV1 = {
        "type": make_event_type(domain, "progress"),
        "domain": domain,
        "job_id": job_id,
        "user_id": user_id,
        "progress": progress,
    }
    if message is not None:
        event["message"] = message
    if payload is not None:
        event["payload"] = payload
    return event


def make_completed_event(
    *, domain: JobDomain, job_id: str, user_id: int, result_id: str, result_bytes: int
) -> JobCompletedV1:
    """Make the event that the job succeeded; `encode_job_event` checks the values.

    Args:
        domain: the job's domain.
        job_id: the job's id.
        user_id: whose job it is.
        result_id: the id of what the job made: a file, a model, a video.
        result_bytes: its size in bytes, 0 or more.
    """
    return {
        "type": make_event_type(domain, "completed"),
        "domain": domain,
        "job_id": job_id,
        "user_id": user_id,
        "result_id": result_id,
        "result_bytes": result_bytes,
    }


def make_failed_event(
    *, domain: JobDomain, job_id: str, user_id: int, error_kind: ErrorKind, message: str
) -> JobFailedV1:
    """Make the event that the job failed for good; `encode_job_event` checks the values.

    Args:
        domain: the job's domain.
        job_id: the job's id.
        user_id: whose job it is.
        error_kind: `user` if the input was bad, `system` otherwise.
        message: why, for the person whose job it is.
    """
    return {
        "type": make_event_type(domain, "failed"),
        "domain": domain,
        "job_id": job_id,
        "user_id": user_id,
        "error_kind": error_kind,
        "message": message,
    }


def encode_job_event(event: JobEventV1) -> str:
    """Write a lifecycle event as the one compact JSON object that goes on the wire.

    Raises:
        DecodeError: a field is missing, undeclared or does not fit.
        UnknownEventError: the event's `type` is of no lifecycle event.
    """
    return JOB_EVENTS.encode(event)


def decode_job_event(text: str | bytes) -> JobEventV1:
    """Read a lifecycle event from the wire; fields that V1 does not have are left out.

    Raises:
        DecodeError: malformed: no JSON object, a wrong type, a missing field, a `type` that disagrees with
            `domain`, a progress outside 0 to 100.
        UnknownEventError: well-formed, of another family or a later version. Not an error to log.
    """
    return JOB_EVENTS.decode(text)


def is_started(event: JobEventV1) -> TypeIs[JobStartedV1]:
    """Tell whether a worker began the job."""
    return event["type"] == make_event_type(event["domain"], "started")


def is_progress(event: JobEventV1) -> TypeIs[JobProgressV1]:
    """Tell whether the event reports progress."""
    return event["type"] == make_event_type(event["domain"], "progress")


def is_completed(event: JobEventV1) -> TypeIs[JobCompletedV1]:
    """Tell whether the job succeeded."""
    return event["type"] == make_event_type(event["domain"], "completed")


def is_failed(event: JobEventV1) -> TypeIs[JobFailedV1]:
    """Tell whether the job failed for good."""
    return event["type"] == make_event_type(event["domain"], "failed")


class _ProgressShape:
    """The shape of JobProgressV1: msgspec refuses a recursive JSON type inside a TypedDict."""

    fields = declared_fields(JobProgressV1)

    def decode(self, message: JsonObject) -> JobProgressV1:
        known = convert_as(message, _JobProgressFields)
        event: JobProgressV1 = {
            "type": known["type"],
            "domain": known["domain"],
            "job_id": known["job_id"],
            "user_id": known["user_id"],
            "progress": known["progress"],
        }
        if "message" in known:
            event["message"] = known["message"]
        if "payload" in message:
            event["payload"] = message["payload"]
        return event

    def schema(self) -> JsonObject:
        schema = schema_of(_JobProgressFields)
        properties = schema["properties"]
        assert isinstance(properties, dict)
        return schema | {
            "title": JobProgressV1.__name__,
            "description": str(JobProgressV1.__doc__),
            "properties": {**properties, "payload": {"description": "Any JSON of the team's own."}},
        }


JOB_EVENTS: Final[EventFamily[JobEventV1]] = EventFamily(
    group="job",
    version=1,
    shapes={
        "started": TypedShape(JobStartedV1),
        "progress": _ProgressShape(),
        "completed": TypedShape(JobCompletedV1),
        "failed": TypedShape(JobFailedV1),
    },
)
