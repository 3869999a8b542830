"""Errors as RFC 9457 problem documents: what went wrong, in words, and which field is at fault."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, NotRequired, TypedDict

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from platform_core.errors import DecodeError, PlatformError
from platform_core.json_values import JsonObject, encode_json
from platform_core.logging import Logger
from platform_workers.errors import JobNotFoundError, RedisUnavailableError, UnknownJobTypeError

from jobs_api.job_records import DamagedRecordError
from jobs_api.object_store import FileMissingError, ObjectStoreError

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5

MAX_FAULTS: Final = 20
"""How many fields at fault are told: an answer must not be many times larger than what was asked."""

NOTHING_HERE: Final = "There is nothing at this address."
_SERVER_FAULT: type[Exception] = InternalServerException
_PLAIN_WORDS: Final = {
    404: NOTHING_HERE,
    405: "This address does not take this method.",
    413: "The body is too large.",
}


class FieldFault(TypedDict):
    """One field at fault: its path in the body (`payload.columns[0]`), and what is wrong."""

    field: str
    detail: str


class Problem(TypedDict):
    """What is answered.

    Attributes:
        status: the HTTP status.
        word: names the kind of problem; the last part of its `type`.
        detail: one or two sentences for a person.
        errors: the fields at fault.
        headers: sent along.
    """

    status: int
    word: str
    detail: str
    errors: NotRequired[Sequence[FieldFault]]
    headers: NotRequired[dict[str, str]]


class ProblemError(PlatformError):
    """Raised by a route to answer with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


def problem_text(problem: Problem) -> bytes:
    """Return a problem's document."""
    status = HTTPStatus(problem["status"])
    document: JsonObject = {
        "type": f"urn:jobs-api:{problem['word']}",
        "title": status.phrase,
        "status": status.value,
        "detail": problem["detail"],
    }
    errors = problem.get("errors", ())
    if errors:
        document["errors"] = [{"field": fault["field"], "detail": fault["detail"]} for fault in errors]
    return encode_json(document).encode()


def problem_response(problem: Problem) -> Response[bytes]:
    """Return the answer for a problem."""
    return Response(
        problem_text(problem),
        status_code=problem["status"],
        media_type=PROBLEM_TYPE,
        headers=problem.get("headers"),
    )


def first_faults(faults: Sequence[FieldFault]) -> tuple[Sequence[FieldFault], str]:
    """Return the faults to tell, and words for how many more there are; empty for none."""
    more = len(faults) - MAX_FAULTS
    return faults[:MAX_FAULTS], f" and {more:,} more" if more > 0 else ""


def field_fault(error: DecodeError) -> FieldFault:
    """Return a decode error as the fault of a field of the body."""
    field = error.path.removeprefix("$").removeprefix(".") or "body"
    return {"field": field, "detail": f"expected {error.expected}, found {error.found}"}


def problem_of(error: Exception, logger: Logger) -> Problem:
    """Return the problem that an exception is; one that nobody foresaw is logged and told as a 500."""
    match error:
        case ProblemError():
            return error.problem
        case DecodeError():
            fault = field_fault(error)
            detail = f"{fault['field']}: {fault['detail']}"
            return {"status": 422, "word": "invalid-fields", "detail": detail, "errors": [fault]}
        case UnknownJobTypeError():
            text = str(error).removeprefix("job_type: ")
            fault = {"field": "job_type", "detail": text}
            return {"status": 422, "word": "invalid-fields", "detail": f"job_type: {text}", "errors": [fault]}
        case JobNotFoundError() | FileMissingError():
            word = "job-not-found" if isinstance(error, JobNotFoundError) else "file-not-found"
            return {"status": 404, "word": word, "detail": str(error)}
        case RedisUnavailableError():
            logger.warning("http.redis_away", error=str(error))
            return _later("redis-away", "Redis does not answer. Nothing was changed; try again in a moment.")
        case ObjectStoreError():
            logger.error("http.object_store_failed", error=str(error))
            return _later("object-store-away", "The object store does not answer; try again in a moment.")
        case DamagedRecordError():
            logger.error("http.damaged_record", error=str(error))
            return {"status": 500, "word": "damaged-record", "detail": str(error)}
        case _:
            return _other(error, logger)


def is_client_gone(error: Exception) -> bool:
    """Tell whether a client left before it had sent its body, which the framework has for a fault of ours."""
    words: object = getattr(error, "detail", "")
    return isinstance(error, _SERVER_FAULT) and words == "client disconnected prematurely"


def submission_unknown(location: str) -> ProblemError:
    """Return the problem of a submission that Redis did not answer: it may have been written all the same.

    Args:
        location: where the job is found if it was taken.
    """
    return ProblemError(
        _later(
            "submission-unknown",
            "Redis does not answer. It is not known whether the job was taken. Look at "
            f"{location} before you submit it again: it is there if it was taken.",
        )
    )


def change_unknown(location: str) -> ProblemError:
    """Return the problem of a change that Redis did not answer: it may have been made all the same.

    Args:
        location: where what was to be changed is found.
    """
    return ProblemError(
        _later(
            "change-unknown",
            f"Redis does not answer. It is not known whether the change was made; {location} tells.",
        )
    )


def opt_out_unknown() -> ProblemError:
    """Return the problem of an opt-out that Redis did not answer: for some of its users it may be stored."""
    return ProblemError(
        _later(
            "change-unknown",
            "It is not known whether the mails are stopped. Please try again in a moment: to do it"
            " twice does no"
            " harm.",
        )
    )


def exception_handler(
    logger: Logger,
) -> Callable[[Request[object, object, State], Exception], Response[bytes]]:
    """Return the one handler of all exceptions."""

    def answer(request: Request[object, object, State], error: Exception) -> Response[bytes]:
        problem = problem_of(error, logger)
        if problem["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and problem["word"] == "request":
            # The framework's own refusal, which does not say how much is taken.
            limit = request.route_handler.resolve_request_max_body_size() or 0
            problem["detail"] = f"The body is too large: at most {limit:,} bytes are taken."
        return problem_response(problem)

    return answer


def _later(word: str, detail: str) -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {"status": 503, "word": word, "detail": detail, "headers": headers}


def _other(error: Exception, logger: Logger) -> Problem:
    if is_client_gone(error):
        # Nobody is there to read it; nothing is wrong here, so nothing is logged.
        detail = "The connection ended before all of the body was sent."
        return {"status": 400, "word": "incomplete", "detail": detail}
    # The web framework's own refusals (no such path, wrong method, body too large) carry a status.
    status: object = getattr(error, "status_code", None)
    if isinstance(status, int) and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        headers: object = getattr(error, "headers", None)
        own_words: object = getattr(error, "detail", "")
        detail = _PLAIN_WORDS.get(status, str(own_words))
        problem: Problem = {"status": status, "word": "request", "detail": detail}
        if isinstance(headers, dict):
            named: dict[object, object] = headers
            problem["headers"] = {str(name): str(value) for name, value in named.items()}
        return problem
    logger.error("http.unexpected", error=repr(error))
    return {"status": 500, "word": "unexpected", "detail": "Something went wrong here. It was logged."}
