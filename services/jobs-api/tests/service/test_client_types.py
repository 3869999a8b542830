"""`jobs types`: the list, and one type with what it takes; against the running API where it says enough."""

import pytest
from client_kit import FakeApi
from platform_core.json_values import JsonValue, decode_json
from service_kit import Service

from jobs_api.client.cli import run

Captured = pytest.CaptureFixture[str]


def job_type(name: str, schema: JsonValue, **fields: JsonValue) -> JsonValue:
    return {
        "job_type": name,
        "domain": name.partition(".")[0],
        "max_attempts": 3,
        "timeout_seconds": 90,
        "payload_schema": schema,
        **fields,
    }


GREET = job_type(
    "greetings.greet",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Whom to greet.", "examples": ["Ada"]},
            "loud": {"type": "boolean"},
        },
        "required": ["name"],
    },
    description="Greets somebody.",
)
ROTATE = job_type(
    "pictures.rotate",
    {"properties": {"file_id": {}, "degrees": {"type": "integer"}}, "required": ["file_id", "degrees"]},
)
COUNT = job_type("files.count", {"properties": {"file_id": {}}, "required": ["file_id"]})
PING = job_type("net.ping", {})
API = FakeApi({"GET /v1/job-types": {"job_types": [GREET, ROTATE, COUNT, PING]}})


def test_each_type_is_a_row(capsys: Captured) -> None:
    assert API.run("types") == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "TYPE             DOMAIN     ATTEMPTS  TIME LIMIT  WHAT IT DOES",
        "greetings.greet  greetings         3  1 min 30 s  Greets somebody.",
        "pictures.rotate  pictures          3  1 min 30 s",
    ]


def test_one_type_is_told_with_its_fields_and_an_example(capsys: Captured) -> None:
    assert API.run("types", "greetings.greet") == 0
    assert capsys.readouterr().out.splitlines() == [
        "type        greetings.greet",
        "            Greets somebody.",
        "domain      greetings",
        "attempts    at most 3",
        "time limit  1 min 30 s an attempt",
        "",
        "Fields of its payload:",
        "  name  text, required",
        "        Whom to greet.",
        "  loud  true or false",
        "",
        "Example:",
        """  jobs submit greetings.greet --payload '{"name":"Ada"}' --watch""",
    ]


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("pictures.rotate", """jobs submit pictures.rotate FILE --payload '{"degrees":1}' --watch"""),
        ("files.count", "jobs submit files.count FILE --watch"),
        ("net.ping", "jobs submit net.ping --payload '{}' --watch"),
    ],
)
def test_the_example_has_what_is_required(capsys: Captured, name: str, example: str) -> None:
    API.run("types", name)
    assert capsys.readouterr().out.splitlines()[-1].strip() == example


def test_a_misspelt_type_is_told_the_nearest(capsys: Captured) -> None:
    assert API.run("types", "greeting.greet") == 2
    assert "; did you mean greetings.greet?" in capsys.readouterr().err
    assert API.run("types", "qqq") == 2
    assert "known: greetings.greet, pictures.rotate" in capsys.readouterr().err


def test_a_program_gets_the_documents(capsys: Captured) -> None:
    assert API.run("types", "--json") == 0
    assert decode_json(capsys.readouterr().out) == {"job_types": [GREET, ROTATE, COUNT, PING]}
    assert API.run("types", "greetings.greet", "--json") == 0
    assert decode_json(capsys.readouterr().out) == GREET


@pytest.mark.parametrize("answer", [{}, {"job_types": [{}]}, {"job_types": [job_type("a.b", 1)]}])
def test_another_answer_is_no_jobs_api(capsys: Captured, answer: JsonValue) -> None:
    assert FakeApi({"GET /v1/job-types": answer}).run("types") == 3
    assert "no jobs API" in capsys.readouterr().err


def test_the_running_api_tells_its_types(service: Service, capsys: Captured) -> None:
    assert run(["types", "csv.column_stats"], {"JOBS_API_URL": service["url"]}) == 0
    out = capsys.readouterr().out
    assert "  file_id     text (1 to 256 characters), required" in out
    assert "jobs submit csv.column_stats FILE --watch" in out
