"""The OpenAPI document as a page for a person: each operation with its parameters, examples and answers.

It is made on this side of the wire and holds no script; nothing is loaded from elsewhere.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, TypedDict
from urllib.parse import quote, urlencode

from platform_core.json_values import JsonObject, JsonValue

from jobs_api.http.access import AccessWord
from jobs_api.http.openapi.document import OPERATIONS, TAGS, problem_example, refusals_of
from jobs_api.http.openapi.operations import Operation, Parameter

_MANY: Final = 2**31
_CODE: Final = re.compile(r"`([^`]+)`")
_REFERENCE: Final = re.compile(r"#/components/schemas/(\w+)")
_STRONG: Final = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS: Final = re.compile(r"\*([^*]+)\*")


class ParameterWords(NamedTuple):
    """A parameter: its name, where it stands, what it may be, what it is for."""

    name: str
    place: str
    kind: str
    about: str


class Example(NamedTuple):
    """An example: what it shows, and its text."""

    title: str
    text: str


class AnswerWords(NamedTuple):
    """An answer: its status, when it comes, examples of it."""

    status: int
    phrase: str
    about: str
    examples: list[Example]


class OperationWords(TypedDict):
    """What the page says of an operation."""

    name: str
    method: str
    path: str
    summary: str
    about: str
    scope: str
    parameters: list[ParameterWords]
    body: str
    shapes: list[str]
    requests: list[Example]
    answers: list[AnswerWords]


class Group(NamedTuple):
    """Operations that belong together."""

    name: str
    about: str
    operations: list[OperationWords]


class FieldWords(NamedTuple):
    """A field of a shape."""

    name: str
    kind: str
    about: str
    required: bool


class ShapeWords(NamedTuple):
    """A shape: what it is, and its fields."""

    name: str
    about: str
    fields: list[FieldWords]


def groups(
    access: Mapping[tuple[str, str], AccessWord | None],
    base: str,
    operations: Sequence[Operation] = OPERATIONS,
) -> list[Group]:
    """Return what the page says of the operations that the application has.

    Args:
        access: what each route declares, by path and method.
        base: the address of this server, for the examples.
        operations: what is written down.
    """
    found: dict[str, list[OperationWords]] = {name: [] for name in TAGS}
    for operation in operations:
        need = access.get((operation["path"], operation["method"]))
        if need is not None:
            found[operation["tag"]].append(operation_words(operation, need, base))
    return [Group(name, TAGS[name], members) for name, members in found.items() if members]


def operation_words(operation: Operation, need: AccessWord, base: str) -> OperationWords:
    """Return what the page says of one operation."""
    asked = need in {"read", "submit", "manage"}
    body = operation.get("body")
    answers = [
        AnswerWords(
            answer["status"],
            HTTPStatus(answer["status"]).phrase,
            answer["about"],
            [Example("", _text(answer["example"]))] if "example" in answer else [],
        )
        for answer in operation["answers"]
    ]
    answers += [
        AnswerWords(
            refusal["status"],
            HTTPStatus(refusal["status"]).phrase,
            refusal["about"],
            [Example(refusal["word"], _text(problem_example(refusal)))],
        )
        for refusal in sorted(refusals_of(operation, need), key=_status)
    ]
    return {
        "name": operation["name"],
        "method": operation["method"].upper(),
        "path": operation["path"],
        "summary": operation["summary"],
        "about": operation["about"],
        "scope": need if asked else "",
        "parameters": [
            ParameterWords(item["name"], item["place"], kind_of(item["schema"]), item["about"])
            for item in operation["parameters"]
        ],
        "body": "" if body is None else body["about"],
        "shapes": _shapes(operation),
        "requests": _requests(operation, base, asked=asked),
        "answers": answers,
    }


def shape_words(schemas: JsonObject) -> list[ShapeWords]:
    """Return what the page says of the shapes of the document."""
    return [
        ShapeWords(name, _words(schema, "description"), _fields(schema))
        for name, schema in schemas.items()
        if isinstance(schema, dict)
    ]


def kind_of(schema: JsonValue) -> str:
    """Say in a few words what a value may be."""
    if not isinstance(schema, dict):
        return "any JSON"
    reference, choices = schema.get("$ref"), schema.get("anyOf", schema.get("oneOf"))
    if isinstance(reference, str):
        return reference.rpartition("/")[2]
    if isinstance(choices, list):
        return " or ".join(kind_of(choice) for choice in choices)
    words = schema.get("enum")
    if isinstance(words, list):
        return " or ".join(str(word) for word in words)
    return _kind_of_type(schema)


def rich(text: str) -> str:
    """Return a text as paragraphs of HTML, each as `rich_line` has it."""
    return "".join(f"<p>{part}</p>" for part in rich_line(text).split("\n\n"))


def rich_line(text: str) -> str:
    """Return a text with its `code`, **strong** and *emphasized* parts as HTML; the rest is escaped."""
    marked = _CODE.sub(r"<code>\1</code>", html.escape(text))
    return _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<strong>\1</strong>", marked))


def _kind_of_type(schema: JsonObject) -> str:
    kind = str(schema.get("type", "any JSON"))
    match kind:
        case "array":
            return f"list of {kind_of(schema.get('items'))}"
        case "object" if "additionalProperties" in schema:
            return f"object of {kind_of(schema['additionalProperties'])}"
        case "integer":
            return _integer(schema.get("minimum"), schema.get("maximum"))
        case _:
            return str(schema.get("format", kind))


def _integer(least: JsonValue, most: JsonValue) -> str:
    # What any number of 64 bits may be needs no saying.
    if not isinstance(most, int) or most >= _MANY:
        return "integer" if least != 0 else "integer, 0 or more"
    return f"integer, {least} to {most}"


def _status(refusal: Mapping[str, object]) -> str:
    return str(refusal["status"])


def _fields(schema: JsonObject) -> list[FieldWords]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return []
    return [
        FieldWords(name, kind_of(part), _words(part, "description"), name in required)
        for name, part in properties.items()
    ]


def _words(schema: JsonValue, name: str) -> str:
    return str(schema.get(name, "")) if isinstance(schema, dict) else ""


def _shapes(operation: Operation) -> list[str]:
    """Return the names of the shapes that are sent and answered."""
    schemas = [schema for answer in operation["answers"] for schema in answer["content"].values()]
    if "body" in operation:
        schemas = [*operation["body"]["content"].values(), *schemas]
    names = _REFERENCE.finditer(json.dumps(schemas))
    return sorted({found[1] for found in names})


def _requests(operation: Operation, base: str, *, asked: bool) -> list[Example]:
    """Return the request as `curl` commands, one for each example of a body."""
    start = [f"curl {_flags(operation)}{_target(operation, base)}"]
    if asked:
        start.append("-H 'Authorization: Bearer KEY'")
    start += [
        f"-H '{item['name']}: {item['example']}'"
        for item in operation["parameters"]
        if item["place"] == "header" and item["example"] != ""
    ]
    body = operation.get("body")
    if body is None:
        return [Example("", _lines(start))]
    if not body["examples"]:
        return [Example("", _lines([*start, "--data-binary @orders.csv"]))]
    return [
        Example(title, _lines([*start, f"--json '{_text(value)}'"]))
        for title, value in body["examples"].items()
    ]


def _flags(operation: Operation) -> str:
    if "body" not in operation:
        return {"get": "", "post": "-X POST ", "put": "-X PUT "}[operation["method"]]
    return "-X PUT " if operation["method"] == "put" else ""


def _target(operation: Operation, base: str) -> str:
    path = operation["path"]
    in_path = [item for item in operation["parameters"] if item["place"] == "path"]
    for item in in_path:
        path = path.replace(f"{{{item['name']}}}", quote(str(item["example"])))
    return f"'{base}{path}{_query(operation['parameters'])}'"


def _query(parameters: Sequence[Parameter]) -> str:
    """Return a query with the first two parameters that have an example."""
    named = [(item["name"], str(item["example"])) for item in parameters if item["place"] == "query"]
    chosen = [(name, example) for name, example in named if example][:2]
    return f"?{urlencode(chosen)}" if chosen else ""


def _lines(parts: Sequence[str]) -> str:
    return " \\\n  ".join(parts)


def _text(value: JsonValue) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
