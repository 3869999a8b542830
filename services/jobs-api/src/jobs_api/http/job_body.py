"""The body of `POST /v1/jobs`: from bytes to a `JobRequest`, every fault with its field."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, NotRequired, TypedDict

from msgspec import Meta
from platform_core.errors import DecodeError
from platform_core.event_codec import Int64
from platform_core.job_events import JobDomain
from platform_core.job_types import JobPriority
from platform_core.json_values import JsonObject, JsonValue, convert_as, decode_json, type_name
from platform_workers.submission import JobRequest

from jobs_api.http.problems import FieldFault, ProblemError, first_faults

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_ATTEMPTS: Final = 100


class JobBody(TypedDict):
    """The fields that have a fixed shape. `payload`, `context` and `notifications` are any JSON here."""

    domain: NotRequired[JobDomain]
    job_type: Annotated[str, Meta(min_length=1, max_length=64)]
    user_id: Int64
    priority: NotRequired[JobPriority]
    run_after: NotRequired[str]
    max_attempts: NotRequired[Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)]]


_AS_GIVEN: Final = ("payload", "context", "notifications")
_FIELDS: Final = (*JobBody.__annotations__, *_AS_GIVEN)


def decode_job_body(body: bytes, default_domain: JobDomain) -> tuple[JobDomain, JobRequest]:
    """Return the domain and the request.

    Raises:
        ProblemError: no JSON object (400), or fields that do not belong here (422).
        DecodeError: a field has the wrong shape; its path names it.
    """
    document = decode_object(body)
    _refuse_unknown(document, _FIELDS)
    given = {name: _as_integer(document[name]) for name in document if name not in _AS_GIVEN}
    fields = convert_as(given, JobBody)
    if "payload" not in document:
        raise DecodeError("$.payload", "object", "missing")
    request: JobRequest = {
        "job_type": fields["job_type"],
        "payload": document["payload"],
        "user_id": fields["user_id"],
    }
    if "priority" in fields:
        request["priority"] = fields["priority"]
    if "run_after" in fields:
        request["run_after"] = _moment(fields["run_after"])
    if "max_attempts" in fields:
        request["max_attempts"] = fields["max_attempts"]
    if "context" in document:
        request["context"] = document["context"]
    if "notifications" in document:
        request["notifications"] = document["notifications"]
    return fields.get("domain", default_domain), request


def decode_object(body: bytes) -> JsonObject:
    """Return a body that has to be a JSON object.

    Raises:
        ProblemError: it is none (400).
    """
    try:
        value = decode_json(body)
    except DecodeError as error:
        fault = error.found if error.expected == "JSON text" else f"expected {error.expected}"
        raise ProblemError(
            {"status": 400, "word": "no-json", "detail": f"The body is no JSON: {fault}."}
        ) from None
    if not isinstance(value, dict):
        raise ProblemError(
            {
                "status": 400,
                "word": "no-json",
                "detail": f"The body must be a JSON object, and is of type {type_name(value)}.",
            }
        )
    return value


def refuse_unknown_options(payload: JsonValue, known: Sequence[str]) -> None:
    """Refuse a payload with fields that its job type does not know: a misspelt option would change nothing.

    Args:
        payload: as given; what is no object is left to the type's own check.
        known: the fields of the job type.

    Raises:
        ProblemError: some field is not known (422); it names each, and the known ones.
    """
    if isinstance(payload, dict):
        _refuse_unknown(payload, known, "payload.")


def _refuse_unknown(document: JsonObject, known: Sequence[str], prefix: str = "") -> None:
    faults: list[FieldFault] = [
        {"field": f"{prefix}{name}", "detail": f"unknown field; known: {', '.join(known)}"}
        for name in document
        if name not in known
    ]
    if faults:
        told, more = first_faults(faults)
        names = ", ".join(fault["field"] for fault in told)
        detail = f"unknown field: {names}{more}"
        raise ProblemError({"status": 422, "word": "invalid-fields", "detail": detail, "errors": told})


def _as_integer(value: JsonValue) -> JsonValue:
    """Return `7.0` as `7`: JSON has one kind of numbers, and JSON Schema counts both among the integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(text: str) -> datetime:
    wanted = DecodeError("$.run_after", "ISO 8601 time with offset, as 2026-01-31T12:00:00+00:00", "str")
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        # At the edge of the calendar a time can't be told in UTC.
        pass
    raise wanted
