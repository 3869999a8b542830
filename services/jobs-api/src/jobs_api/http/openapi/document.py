"""Puts the OpenAPI document together: the operations of the application, with what goes for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from platform_core.json_values import JsonObject

from jobs_api.http.access import AccessWord
from jobs_api.http.openapi import (
    control_operations,
    event_operations,
    file_operations,
    health_operations,
    job_operations,
    preference_operations,
    queue_operations,
    shapes,
    tracking_operations,
)
from jobs_api.http.openapi.operations import Answer, Body, Operation, Parameter, Refusal, ref
from jobs_api.http.problems import PROBLEM_TYPE

VERSION: Final = "1.0.0"

ABOUT: Final = """\
Submit background jobs, follow them, read their results.

A job is of a *type*, which says what its payload is (`GET /v1/job-types`), and of a *domain*, which is a
team's. Upload a file, submit a job for it, follow the job's events or read its record until its status is
`completed`, `failed` or `cancelled`, and take its result.

**Keys.** Send yours as `Authorization: Bearer KEY`. A key has scopes (`read`, `submit`, `manage`; each
operation says which it needs) and may be for some domains alone. A server without any key serves its own
machine alone.

**Errors** are problem documents (RFC 9457): `type` names the kind, `detail` says it in words, `errors`
names the fields at fault. What a query or a body does not know is refused, never passed over.

**HEAD** is answered wherever GET is."""

TAGS: Final[Mapping[str, str]] = {
    "jobs": "Submitting, reading and changing one job.",
    "files": "What jobs work on, and what they make.",
    "lists and statistics": "Many jobs at once.",
    "events": "What happens, as it happens.",
    "preferences": "What a user wants to hear about.",
    "metrics": "For Prometheus.",
    "health": "For whoever watches the process. No key is needed.",
}

OPERATIONS: Final[Sequence[Operation]] = (
    *job_operations.OPERATIONS,
    *control_operations.OPERATIONS,
    *file_operations.OPERATIONS,
    *tracking_operations.OPERATIONS,
    *event_operations.OPERATIONS,
    *preference_operations.OPERATIONS,
    *queue_operations.OPERATIONS,
    *health_operations.OPERATIONS,
)

_SCHEME: Final = "key"

_SHAPES: Final[Sequence[type[object]]] = (
    shapes.Problem,
    shapes.StoredFile,
    shapes.RowCountJob,
    shapes.ColumnStatsJob,
    shapes.DeduplicateJob,
    shapes.CanonicalizeJob,
    shapes.Job,
    shapes.JobPage,
    shapes.JobLog,
    shapes.Delivery,
    shapes.JobTypes,
    shapes.Statistics,
    shapes.Queue,
    shapes.Queues,
    shapes.Preferences,
    shapes.Liveness,
    shapes.Readiness,
)

# What is sent must hold nothing that is not known; `context` and `notifications` are kept as given.
_CLOSED: Final = (
    "RowCountJob",
    "ColumnStatsJob",
    "DeduplicateJob",
    "CanonicalizeJob",
    "RowCountPayload",
    "ColumnStatsPayload",
    "DeduplicatePayload",
    "CanonicalizePayload",
    "Preferences",
    "DomainPreferencesShape",
    "ChosenEmail",
)

_NO_KEY: Final[Refusal] = {
    "status": 401,
    "word": "key-missing",
    "detail": "This needs a key. Send it as `Authorization: Bearer KEY`.",
    "about": "No key was sent, or one that is unknown, revoked or expired.",
}
_TOO_LONG: Final[Refusal] = {
    "status": 414,
    "word": "address-too-long",
    "detail": "The address is too long: at most 8,192 bytes are taken.",
    "about": "The address with its query is too long.",
}
_TOO_MANY: Final[Refusal] = {
    "status": 429,
    "word": "too-many-requests",
    "detail": "Too many requests in a second.",
    "about": "Too many requests, or too many open streams of events, of one key or address.",
}
_HEADERS: Final[Refusal] = {
    "status": 431,
    "word": "headers-too-large",
    "detail": "The headers are too large: at most 32,768 bytes are taken.",
    "about": "The headers are too large.",
}
_AWAY: Final[Refusal] = {
    "status": 503,
    "word": "redis-away",
    "detail": "Redis does not answer. Nothing was changed; try again in a moment.",
    "about": "Redis does not answer.",
}
_WAIT: Final[JsonObject] = {
    "Retry-After": {
        "description": "In how many seconds to come back.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
_CHALLENGE: Final[JsonObject] = {
    "WWW-Authenticate": {
        "description": "What is missing (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    }
}


def make_document(
    routes: Iterable[tuple[str, str, AccessWord | None]],
    schemas: JsonObject,
    operations: Sequence[Operation] = OPERATIONS,
) -> JsonObject:
    """Return the document of those operations that the application has.

    Args:
        routes: the application's: path, method, what it declares.
        schemas: of what is sent and answered, by name.
        operations: what is written down.
    """
    access = {(path, method.lower()): need for path, method, need in routes}
    paths: dict[str, JsonObject] = {}
    for operation in operations:
        need = access.get((operation["path"], operation["method"]))
        if need is not None:
            paths.setdefault(operation["path"], {}).update(_methods(operation, need))
    used = {operation["tag"] for operation in operations if operation["path"] in paths}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobs", "version": VERSION, "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items() if name in used],
        "paths": {**paths},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, made with `jobs-api keys create`.",
                }
            },
        },
    }


def documented() -> set[tuple[str, str]]:
    """Return every operation that is written down: its path and its method."""
    return {(operation["path"], operation["method"]) for operation in OPERATIONS}


def make_schemas() -> JsonObject:
    """Return the schemas of what is sent and answered, by name."""
    found: tuple[tuple[JsonObject, ...], dict[str, JsonObject]] = msgspec.json.schema_components(
        _SHAPES, ref_template="#/components/schemas/{name}"
    )
    _, parts = found
    closed: JsonObject = {"additionalProperties": False}
    return {name: part | closed if name in _CLOSED else part for name, part in sorted(parts.items())}


def _methods(operation: Operation, need: AccessWord) -> JsonObject:
    described = _described(operation, need)
    if operation["method"] != "get":
        return {operation["method"]: described}
    return {"get": described, "head": _head(described, operation)}


def _described(operation: Operation, need: AccessWord) -> JsonObject:
    asked = need in {"read", "submit", "manage"}
    about = f"{operation['about']}\n\nNeeds the scope `{need}`." if asked else operation["about"]
    described: JsonObject = {
        "operationId": operation["name"],
        "tags": [operation["tag"]],
        "summary": operation["summary"],
        "description": about,
        "parameters": [_parameter(parameter) for parameter in operation["parameters"]],
        "security": [{_SCHEME: []}] if asked else [],
        "responses": {
            **{str(answer["status"]): _answer(answer) for answer in operation["answers"]},
            **_refused(refusals_of(operation, need)),
        },
    }
    if "body" in operation:
        described["requestBody"] = _body(operation["body"])
    return described


def _head(described: JsonObject, operation: Operation) -> JsonObject:
    """Return the same for HEAD: its answers have no body."""
    responses = described["responses"]
    named = responses.items() if isinstance(responses, dict) else ()
    return {
        **described,
        "operationId": f"{operation['name']}Head",
        "summary": f"{operation['summary']}: the headers alone",
        "responses": {
            status: {name: part for name, part in answer.items() if name != "content"}
            for status, answer in named
            if isinstance(answer, dict)
        },
    }


def _parameter(parameter: Parameter) -> JsonObject:
    described: JsonObject = {
        "name": parameter["name"],
        "in": parameter["place"],
        "description": parameter["about"],
        "required": parameter["place"] == "path",
        "schema": parameter["schema"],
    }
    if parameter["example"] != "":
        described["example"] = parameter["example"]
    return described


def _body(body: Body) -> JsonObject:
    content: JsonObject = {media_type: {"schema": schema} for media_type, schema in body["content"].items()}
    if body["examples"]:
        first = next(iter(body["content"]))
        content[first] = {
            "schema": body["content"][first],
            "examples": {name: {"summary": name, "value": value} for name, value in body["examples"].items()},
        }
    return {"description": body["about"], "required": not body.get("optional", False), "content": content}


def _answer(answer: Answer) -> JsonObject:
    content: JsonObject = {}
    for media_type, schema in answer["content"].items():
        part: JsonObject = {"schema": schema}
        if "example" in answer:
            part["example"] = answer["example"]
        content[media_type] = part
    described: JsonObject = {"description": answer["about"], "content": content}
    headers = answer.get("headers", ())
    if headers:
        described["headers"] = {
            header["name"]: {"description": header["about"], "required": True, "schema": header["schema"]}
            for header in headers
        }
    return described


def refusals_of(operation: Operation, need: AccessWord) -> list[Refusal]:
    """Return every refusal of an operation, with those that go for many."""
    refusals = [*operation["refusals"]]
    if need == "probe":
        return refusals
    refusals += [_TOO_LONG, _TOO_MANY, _HEADERS, _AWAY]
    if need == "anyone":
        return refusals
    forbidden: Refusal = {
        "status": 403,
        "word": "scope-missing",
        "detail": f"This needs the scope `{need}`; the key has none.",
        "about": f"The key has not the scope `{need}`, or is not for this domain.",
    }
    return [_NO_KEY, forbidden, *refusals]


def _refused(refusals: Sequence[Refusal]) -> JsonObject:
    """Return the refusals by status; of several with one status, every one's words and example."""
    by_status: dict[int, list[Refusal]] = {}
    for refusal in refusals:
        by_status.setdefault(refusal["status"], []).append(refusal)
    return {str(status): _problem(status, by_status[status]) for status in sorted(by_status)}


def _problem(status: int, refusals: Sequence[Refusal]) -> JsonObject:
    abouts: dict[str, None] = dict.fromkeys(refusal["about"] for refusal in refusals)
    described: JsonObject = {
        "description": " ".join(abouts),
        "content": {
            PROBLEM_TYPE: {
                "schema": ref("Problem"),
                "examples": {
                    refusal["word"]: {"summary": refusal["about"], "value": problem_example(refusal)}
                    for refusal in refusals
                },
            }
        },
    }
    if status == HTTPStatus.UNAUTHORIZED:
        described["headers"] = _CHALLENGE
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        described["headers"] = _WAIT
    return described


def problem_example(refusal: Refusal) -> JsonObject:
    """Return a problem document as an example of a refusal."""
    example: JsonObject = {
        "type": f"urn:jobs-api:{refusal['word']}",
        "title": HTTPStatus(refusal["status"]).phrase,
        "status": refusal["status"],
        "detail": refusal["detail"],
    }
    if "errors" in refusal:
        example["errors"] = [{"field": name, "detail": detail} for name, detail in refusal["errors"].items()]
    return example
