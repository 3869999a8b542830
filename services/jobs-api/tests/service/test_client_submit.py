"""`jobs submit`: the body it makes, jobs that take no file, keys for repeats, types that are misspelt."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from client_kit import FakeApi, job_document, json_answer, problem
from platform_core.json_values import JsonObject, JsonValue, decode_json
from service_kit import CSV, Service

from jobs_api.client.cli import run

Captured = pytest.CaptureFixture[str]


def type_document(name: str, domain: str = "files") -> JsonValue:
    return {
        "job_type": name,
        "domain": domain,
        "max_attempts": 3,
        "timeout_seconds": 60,
        "payload_schema": {},
    }


def an_api(**routes: httpx.Response) -> FakeApi:
    """An API that takes jobs of two types."""
    types = [type_document("csv.row_count"), type_document("greetings.greet", "greetings")]
    return FakeApi(
        {
            "GET /v1/job-types": {"job_types": types},
            "POST /v1/files": {"file_id": "f-1", "name": "data.csv", "bytes": 3},
            "POST /v1/jobs": json_answer(job_document(1, status="queued"), 201),
            **{name.replace("_", " /v1/"): route for name, route in routes.items()},
        }
    )


def asked(api: FakeApi) -> list[str]:
    return [f"{request.method} {request.url.path}" for request in api.requests]


def posted(api: FakeApi) -> list[httpx.Request]:
    return [request for request in api.requests if request.method == "POST"]


def body_of(api: FakeApi) -> JsonObject:
    body = decode_json(posted(api)[-1].content)
    assert isinstance(body, dict)
    return body


def test_a_job_without_a_file_uploads_none(capsys: Captured) -> None:
    api = an_api()
    code = api.run(
        "submit", "greetings.greet", "--payload", '{"name": "Ada", "times": 1}', "--option", "times:=3"
    )
    assert code == 0
    assert asked(api)[:2] == ["GET /v1/job-types", "POST /v1/jobs"]
    assert body_of(api) == {
        "job_type": "greetings.greet",
        "domain": "greetings",
        "user_id": 1,
        "payload": {"name": "Ada", "times": 3},
    }
    out, err = capsys.readouterr()
    assert out == f"files/{1:032x}\n"
    assert "uploaded" not in err


def test_a_payload_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"name": "Grace"}')
    api = an_api()
    assert api.run("submit", "greetings.greet", "--payload", f"@{file}") == 0
    assert body_of(api)["payload"] == {"name": "Grace"}


def test_a_file_goes_with_a_payload(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a\n1")
    api = an_api()
    assert api.run("submit", "csv.row_count", str(file), "--payload", '{"has_header": false}') == 0
    assert body_of(api)["payload"] == {"has_header": False, "file_id": "f-1"}


def test_what_a_job_may_be_asked_for_goes_into_the_body() -> None:
    api = an_api()
    code = api.run(
        "submit", "greetings.greet", "--payload", "{}", "--priority", "high", "--max-attempts", "5",
        "--run-after", "2100-01-01T12:00:00+02:00", "--idempotency-key", "order-1",
    )  # fmt: skip
    assert code == 0
    body = body_of(api)
    assert body["priority"] == "high"
    assert body["max_attempts"] == 5
    assert body["run_after"] == "2100-01-01T10:00:00.000000+00:00"
    assert posted(api)[-1].headers["Idempotency-Key"] == "order-1"


def test_a_job_may_wait_for_so_long_from_now() -> None:
    api = an_api()
    api.run("submit", "greetings.greet", "--payload", "{}", "--run-after", "2h")
    wait = datetime.fromisoformat(str(body_of(api)["run_after"])) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=55) < wait <= timedelta(hours=2)
    assert "Idempotency-Key" not in api.requests[-1].headers


def test_a_repeat_is_told(capsys: Captured) -> None:
    api = an_api(POST_jobs=json_answer(job_document(1), 200))
    assert api.run("submit", "greetings.greet", "--payload", "{}", "--idempotency-key", "k") == 0
    out, err = capsys.readouterr()
    assert out == f"files/{1:032x}\n"
    assert f"submitted  greetings.greet as job {1:032x}, before" in err


def submit_file(service: Service, file: Path, key: str) -> int:
    words = ["submit", "csv.row_count", str(file), "--idempotency-key", key, "--priority", "high"]
    return run(words, {"JOBS_API_URL": service["url"]})


def test_the_same_file_under_the_same_key_is_one_job(
    service: Service, tmp_path: Path, capsys: Captured
) -> None:
    """A file that is uploaded anew has another id, and was another request: a 409 for every repeat."""
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)
    assert submit_file(service, file, "k") == 0
    first = capsys.readouterr().out
    assert submit_file(service, file, "k") == 0
    again, err = capsys.readouterr()
    assert again == first
    assert re.search(r"submitted  csv\.row_count as job [0-9a-f]{32}, before\n", err)
    assert service["redis"].connection.llen("rq:queue:files") == 1


def test_another_file_under_the_same_key_is_refused(
    service: Service, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)
    submit_file(service, file, "k")
    file.write_bytes(CSV + b"3,z\n")
    assert submit_file(service, file, "k") == 2
    assert "the idempotency key was used before" in capsys.readouterr().err


def conflict(location: str) -> httpx.Response:
    return problem(409, "idempotency-conflict", "That key was used before.", {"Location": location})


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"GET /v1/jobs/files/j": job_document()},
        {"GET /v1/jobs/files/j": job_document(payload={"file_id": 1})},
        {"GET /v1/jobs/files/j": job_document(payload={"file_id": "gone"})},
        {"GET /v1/jobs/files/j": job_document(payload={"file_id": "f"}), "HEAD /v1/files/f": {}},
    ],
)
def test_what_can_not_be_compared_stays_a_conflict(
    tmp_path: Path, capsys: Captured, routes: dict[str, JsonValue]
) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)
    for location in ("/v1/jobs/files/j", "https://elsewhere/v1/jobs/files/j", ""):
        api = an_api(POST_jobs=conflict(location))
        api.routes |= routes
        assert api.run("submit", "csv.row_count", str(file), "--idempotency-key", "k") == 2
        assert capsys.readouterr().err == "jobs: That key was used before.\n"
        assert {request.url.host for request in api.requests} == {"jobs.test"}


def test_a_conflict_without_a_file_is_told(capsys: Captured) -> None:
    api = an_api(POST_jobs=conflict("/v1/jobs/files/j"))
    assert api.run("submit", "greetings.greet", "--payload", "{}", "--idempotency-key", "k") == 2
    assert asked(api)[-1] == "POST /v1/jobs"


def test_a_misspelt_type_is_told_before_anything_is_uploaded(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a\n1")
    api = an_api()
    assert api.run("submit", "csv.rowcount", str(file)) == 2
    assert asked(api) == ["GET /v1/job-types"]
    assert "did you mean csv.row_count?" in capsys.readouterr().err


def test_a_key_that_may_only_submit_submits(capsys: Captured) -> None:
    """Such a key may not ask for the types: the API judges the type itself then."""
    api = FakeApi(
        {
            "GET /v1/job-types": problem(403, "forbidden", "The key has not the scope read."),
            "POST /v1/jobs": json_answer(job_document(1, status="queued"), 201),
        }
    )
    assert api.run("submit", "csv.row_count", "--payload", "{}", JOBS_API_KEY="k") == 0
    assert "domain" not in body_of(api)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "FILE is missing (or --payload"),
        (["--payload", "{"], "'{' is no JSON"),
        (["--payload", "[]"], "a payload is a JSON object"),
        (["--payload", "@gone.json"], "gone.json: No such file"),
        (["--payload", "{}", "--idempotency-key", "a b"], "1 to 255 visible ASCII characters"),
        (["--payload", "{}", "--priority", "urgent"], "invalid choice: 'urgent'"),
        (["--payload", "{}", "--run-after", "soon"], "expected a time"),
        (["--payload", "{}", "--max-attempts", "0"], "expected a number from 1"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(capsys: Captured, words: list[str], told: str) -> None:
    api = an_api()
    assert api.run("submit", "greetings.greet", *words) == 2
    assert told in capsys.readouterr().err
    assert api.requests == []


def test_a_payload_file_that_is_no_json_is_told(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "payload.json"
    file.write_text("{")
    assert an_api().run("submit", "x", "--payload", f"@{file}") == 2
    assert "the file is no JSON" in capsys.readouterr().err


def test_a_file_name_that_is_no_text_is_sent_as_one(tmp_path: Path, capsys: Captured) -> None:
    """On Linux a name is any bytes; as it is it would fit into no address."""
    file = tmp_path / "caf\udce9.csv"
    file.write_text("a\n1")
    api = an_api()
    assert api.run("submit", "csv.row_count", str(file)) == 0
    assert api.requests[1].url.params["name"] == "caf\ufffd.csv"
