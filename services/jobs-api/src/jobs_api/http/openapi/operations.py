"""What is written down of an operation, and the parts that many of them share."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.json_values import JsonObject, JsonValue

Place: TypeAlias = Literal["path", "query", "header"]

JSON: Final = "application/json"


class Parameter(TypedDict):
    """A parameter.

    Attributes:
        name: its name.
        place: where it stands.
        about: what it is for.
        schema: its JSON Schema.
        example: a value that is taken.
    """

    name: str
    place: Place
    about: str
    schema: JsonObject
    example: JsonValue


class Header(TypedDict):
    """A header of an answer."""

    name: str
    about: str
    schema: JsonObject


class Body(TypedDict):
    """What is sent.

    Attributes:
        content: the schema for each media type.
        about: what it is.
        examples: named examples of the first media type.
        optional: whether it may be left out.
    """

    content: Mapping[str, JsonObject]
    about: str
    examples: Mapping[str, JsonValue]
    optional: NotRequired[bool]


class Answer(TypedDict):
    """A good answer.

    Attributes:
        status: its HTTP status.
        about: when it comes.
        content: the schema for each media type.
        example: of the first media type; absent for what is no JSON.
        headers: what it carries.
    """

    status: int
    about: str
    content: Mapping[str, JsonObject]
    example: NotRequired[JsonValue]
    headers: NotRequired[Sequence[Header]]


class Refusal(TypedDict):
    """An answer that is a problem document.

    Attributes:
        status: its HTTP status.
        word: the kind of problem, the last part of its `type`.
        detail: an example of what it says.
        about: when it comes.
        errors: an example of the fields at fault: their names and what is wrong.
    """

    status: int
    word: str
    detail: str
    about: str
    errors: NotRequired[Mapping[str, str]]


class Operation(TypedDict):
    """One method of one address.

    Attributes:
        path: the address, as `/v1/jobs/{domain}/{job_id}`.
        method: `get`, `post` or `put`; HEAD goes with GET by itself.
        name: its operation id.
        tag: its group.
        summary: what it does, in a few words.
        about: what it does, in full; Markdown.
        parameters: what stands in its address and headers.
        body: what is sent.
        answers: the good answers, the usual one first.
        refusals: the bad ones, but for those that every operation has.
    """

    path: str
    method: Literal["get", "post", "put"]
    name: str
    tag: str
    summary: str
    about: str
    parameters: Sequence[Parameter]
    body: NotRequired[Body]
    answers: Sequence[Answer]
    refusals: Sequence[Refusal]


def ref(name: str) -> JsonObject:
    """Return a reference to one of the shapes."""
    return {"$ref": f"#/components/schemas/{name}"}


DOMAIN_PATTERN: Final = "^[a-z][a-z0-9_]{0,31}$"
JOB_ID_PATTERN: Final = r"^[^:\s\u0000-\u001f\u007f-\u009f]{1,128}$"

DOMAIN: Final[Parameter] = {
    "name": "domain",
    "place": "path",
    "about": "The domain of the job.",
    "schema": {"type": "string", "pattern": DOMAIN_PATTERN},
    "example": "files",
}
JOB_ID: Final[Parameter] = {
    "name": "job_id",
    "place": "path",
    "about": "The id of the job.",
    "schema": {"type": "string", "pattern": JOB_ID_PATTERN},
    "example": "5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52",
}
FILE_ID: Final[Parameter] = {
    "name": "file_id",
    "place": "path",
    "about": "The id of a file, from its upload or from a job's `result_id`.",
    "schema": {"type": "string", "minLength": 1},
    "example": "0f8fad5bd9cb469fa165708867280a6c",
}

NO_JOB: Final[Refusal] = {
    "status": 404,
    "word": "job-not-found",
    "detail": "there is no job files/5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52",
    "about": "There is no such job; also for a domain or an id that can't be one. A finished job is kept "
    "30 days.",
}
NO_FILE: Final[Refusal] = {
    "status": 404,
    "word": "file-not-found",
    "detail": "there is no file '0f8fad5bd9cb469fa165708867280a6c'",
    "about": "There is no such file.",
}
STORE_AWAY: Final[Refusal] = {
    "status": 503,
    "word": "object-store-away",
    "detail": "The object store does not answer; try again in a moment.",
    "about": "Redis or the object store does not answer.",
}


def wrong_query(field: str, detail: str) -> Refusal:
    """Return the refusal of a wrong query, with an example of a parameter at fault."""
    return {
        "status": 422,
        "word": "invalid-fields",
        "detail": f"{field}: {detail}",
        "about": "A parameter is wrong, unknown or there twice.",
        "errors": {field: detail},
    }


def query(name: str, about: str, schema: JsonObject, example: JsonValue) -> Parameter:
    """Return an optional parameter of the query."""
    return {"name": name, "place": "query", "about": about, "schema": schema, "example": example}


INT64: Final[JsonObject] = {
    "type": "integer",
    "format": "int64",
    "minimum": -(2**63),
    "maximum": 2**63 - 1,
}

OF_DOMAIN: Final = query(
    "domain",
    "Of this domain alone; left out: of every domain that the key sees.",
    {"type": "string", "pattern": DOMAIN_PATTERN},
    "files",
)
