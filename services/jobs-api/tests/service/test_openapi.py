"""The OpenAPI document and its page: complete, and true as far as it tells without calling each operation."""

import re
from collections.abc import Iterator

import jsonschema
import pytest
from access_kit import Keys, bearer
from litestar import Litestar
from platform_core.json_values import JsonObject, JsonValue
from platform_workers.testing import FakeClock, FakeRedis
from service_kit import HONEST, Service, json_of, upload

from jobs_api.http.access import declarations
from jobs_api.http.openapi.document import OPERATIONS, documented, make_document
from jobs_api.http.openapi.job_operations import EXAMPLES
from jobs_api.http.openapi.operations import FILE_ID, Operation, query, wrong_query
from jobs_api.http.openapi.page import groups, kind_of, rich, shape_words
from jobs_api.object_store import FileStore
from jobs_api.wiring import assemble_api

METHODS = ("get", "head", "post", "put")


@pytest.fixture
def app(files: FileStore) -> Litestar:
    return assemble_api(
        FakeRedis(),
        files,
        max_upload_bytes=1,
        heartbeat_seconds=1,
        access=HONEST,
        local=True,
        clock=FakeClock(),
    )["app"]


@pytest.fixture
def document(service: Service) -> JsonObject:
    answer = service["http"].get("/schema/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return json_of(answer)


def part(value: JsonValue, *names: str) -> JsonValue:
    """Return what stands at a place in a document."""
    for name in names:
        assert isinstance(value, dict), name
        value = value[name]
    return value


def operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    """Yield each operation: its path, its method, and what is said of it."""
    paths = part(document, "paths")
    assert isinstance(paths, dict)
    for path, item in paths.items():
        assert isinstance(item, dict)
        for method, operation in item.items():
            assert isinstance(operation, dict)
            yield path, method, operation


def test_every_route_is_in_the_document_and_nothing_else(app: Litestar, document: JsonObject) -> None:
    """But for the pages, which are for people, and the WebSocket, which OpenAPI has no words for."""
    routes = {
        (path, method.lower())
        for path, method, _ in declarations(app)
        if path.startswith(("/v1/", "/healthz", "/readyz", "/metrics")) and method != "WEBSOCKET"
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes
    assert documented() == {(path, method) for path, method in routes if method != "head"}


def test_every_operation_is_described(document: JsonObject) -> None:
    names = [str(operation["operationId"]) for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert len(str(operation["summary"])) > 5, where
        assert len(str(operation["description"])) > 20, where
        assert operation["tags"], where
        responses = operation["responses"]
        assert isinstance(responses, dict)
        if path not in {"/healthz", "/readyz"}:
            assert set(responses) >= {"401", "403", "414", "429", "431", "503"}, where
            assert operation["security"] == [{"key": []}], where
        for status, response in responses.items():
            assert str(part(response, "description")), where
            if method != "head" and int(status) >= 400 and path != "/readyz":
                assert part(response, "content", "application/problem+json", "examples"), where
    for written in OPERATIONS:
        in_path = {item["name"] for item in written["parameters"] if item["place"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", written["path"]))


def test_every_example_has_its_shape(document: JsonObject) -> None:
    """An example that is no longer true would teach the wrong thing."""
    seen = 0
    for path, method, operation in operations(document):
        holders = [_object(operation.get("requestBody", {})), *_members(operation["responses"])]
        for holder in holders:
            for media in _members(holder.get("content", {})):
                schema = {"components": document["components"], **_object(media.get("schema"))}
                for example in _examples(media):
                    jsonschema.validate(example, schema, cls=jsonschema.Draft202012Validator)
                    seen += 1
        for parameter in _list(operation["parameters"]):
            described = _object(parameter)
            if "example" in described:
                jsonschema.validate(described["example"], _object(described["schema"]))
                seen += 1
        assert seen, (path, method)
    assert seen > 100


def test_the_examples_of_a_submission_are_taken(service: Service) -> None:
    """As they stand there, but for the file, which must be one that is there."""
    for name, example in EXAMPLES.items():
        payload = {**_object(example["payload"]), "file_id": upload(service)}
        answer = service["http"].post("/v1/jobs", json={**example, "payload": payload})
        assert answer.status_code == 201, (name, answer.text)
        answer = service["http"].post("/v1/jobs", json=example)
        assert answer.status_code == 201, (name, answer.text)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/job-types?page=2", ["page"]),
        ("/v1/jobs/files/x?verbose", ["verbose"]),
        ("/v1/files/x?name=y&size=1", ["name", "size"]),
        ("/v1/jobs/files/x/result?x=1&x=2", ["x"]),
        ("/healthz?x=1", ["x"]),
    ],
)
def test_a_parameter_that_nobody_knows_is_refused(service: Service, path: str, fields: list[str]) -> None:
    """Misspelt, it would change nothing, and nobody would notice."""
    for method in ("GET", "HEAD"):
        answer = service["http"].request(method, path)
        assert answer.status_code == 422
    problem = json_of(service["http"].get(path))
    assert [_object(fault)["field"] for fault in _list(problem["errors"])] == fields


def test_a_parameter_is_given_once(service: Service) -> None:
    answer = service["http"].post("/v1/files?name=a&name=b", content=b"x")
    assert answer.status_code == 422
    assert "name: given more than once" in answer.text
    assert service["http"].post("/v1/files?name=a", content=b"x").status_code == 201


def test_options_tells_every_method_of_an_address(locked: Service, app: Litestar) -> None:
    """Also where several routes share it; and to whoever has no key, for there is nothing in it."""
    methods: dict[str, set[str]] = {}
    for path, method, _ in declarations(app):
        methods.setdefault(path, {"OPTIONS"}).add(method)
    assert methods["/sign-in"] == {"OPTIONS", "GET", "HEAD", "POST"}
    for path, names in methods.items():
        if "WEBSOCKET" not in names:
            answer = locked["http"].options(re.sub(r"\{\w+\}", "x", path))
            assert (answer.status_code, answer.content) == (204, b"")
            assert set(answer.headers["allow"].split(", ")) == names, path


def test_a_page_minds_no_parameter(service: Service) -> None:
    """What a mail program puts to a link is no reason to show nothing."""
    assert service["http"].get("/sign-in?utm_source=mail").status_code == 200


def test_the_document_answers_head(service: Service) -> None:
    head, get = (service["http"].request(method, "/schema/openapi.json") for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))


def test_the_page_shows_every_operation_and_loads_nothing(service: Service) -> None:
    answer = service["http"].get("/schema")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for operation in OPERATIONS:
        assert f'<article id="{operation["name"]}">' in answer.text
        assert operation["summary"].replace("'", "&#39;") in answer.text
    assert f"curl &#39;{service['url']}/v1/job-types&#39;" in answer.text
    assert "<script" not in answer.text
    assert re.search(r'(src|href)="(https?:)?//', answer.text) is None
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    # What is marked as code is shown as code, in a line too; in an example it stands as it is sent.
    assert "`" not in re.sub(r"<pre.*?</pre>", "", answer.text, flags=re.DOTALL)
    targets = set(re.findall(r'id="([^"]+)"', answer.text))
    assert set(re.findall(r'href="#([^"]+)"', answer.text)) <= targets


def test_the_page_asks_for_a_key(locked: Service, keys: Keys) -> None:
    page = locked["http"].get("/schema")
    assert page.status_code == 401
    assert 'action="sign-in"' in page.text
    assert 'value="schema"' in page.text
    assert locked["http"].get("/schema", headers=bearer(keys.new("read"))).status_code == 200


def test_a_host_name_is_shown_as_text(locked: Service, keys: Keys) -> None:
    headers = {**keys.bearer("read"), "Host": "<script>x</script>"}
    assert "<script" not in locked["http"].get("/schema", headers=headers).text


SAMPLE: Operation = {
    "path": "/sample/{file_id}",
    "method": "get",
    "name": "sample",
    "tag": "files",
    "summary": "A sample",
    "about": "Nothing.",
    "parameters": [
        FILE_ID,
        query("cursor", "Where to go on.", {"type": "string"}, ""),
        query("limit", "How many.", {"type": "integer"}, 3),
    ],
    "answers": [{"status": 200, "about": "Well.", "content": {}}],
    "refusals": [wrong_query("limit", "expected int, found str")],
}


def test_what_the_application_lacks_is_not_told() -> None:
    assert make_document([], {}, [SAMPLE])["paths"] == {}
    assert groups({}, "http://x", [SAMPLE]) == []


def test_a_parameter_without_a_lasting_example_has_none() -> None:
    """A cursor that stands in a description leads nowhere when it is read."""
    document = make_document([("/sample/{file_id}", "GET", "anyone")], {}, [SAMPLE])
    operation = _object(part(document, "paths", "/sample/{file_id}", "get"))
    assert [
        _object(item)["name"] for item in _list(operation["parameters"]) if "example" in _object(item)
    ] == ["file_id", "limit"]
    assert operation["security"] == []
    assert set(_object(operation["responses"])) == {"200", "414", "422", "429", "431", "503"}
    [group] = groups({("/sample/{file_id}", "get"): "anyone"}, "http://x", [SAMPLE])
    [words] = group.operations
    assert words["requests"][0].text == f"curl 'http://x/sample/{FILE_ID['example']}?limit=3'"


def test_a_shape_without_fields_is_shown() -> None:
    assert shape_words({"Word": {"type": "string", "description": "A word."}}) == [("Word", "A word.", [])]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 200}, "integer, 1 to 200"),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, "integer"),
        ({"type": "integer", "minimum": 0}, "integer, 0 or more"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"enum": ["1h", "24h"]}, "1h or 24h"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, "list of Job"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({"type": "object"}, "object"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"title": "any JSON"}, "any JSON"),
        (None, "any JSON"),
    ],
)
def test_what_a_value_may_be_is_told_in_words(schema: JsonValue, words: str) -> None:
    assert kind_of(schema) == words


def test_a_text_is_escaped_and_its_marks_are_html() -> None:
    assert rich("a <b> `c & d`\n\n**e** *f*") == (
        "<p>a &lt;b&gt; <code>c &amp; d</code></p><p><strong>e</strong> <em>f</em></p>"
    )


def _members(value: JsonValue) -> list[JsonObject]:
    return [_object(member) for member in value.values()] if isinstance(value, dict) else []


def _examples(media: JsonObject) -> list[JsonValue]:
    named = [example["value"] for example in _members(media.get("examples"))]
    return [*named, media["example"]] if "example" in media else named


def _object(value: JsonValue) -> JsonObject:
    assert isinstance(value, dict)
    return value


def _list(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value
