"""What goes wrong is told in words, with what to do about it; never a traceback, and never the key."""

import io
import sys

import httpx
import pytest
from client_kit import FakeApi, job_document, json_answer, problem
from platform_core.json_values import JsonValue

from jobs_api.client.cli import run
from jobs_api.client.connection import open_http
from jobs_api.client.terminal import make_streams_safe

Captured = pytest.CaptureFixture[str]
KEY = "jk_a-secret-that-must-not-be-seen"


def test_the_key_is_sent_with_every_request() -> None:
    with open_http({"api_url": "http://127.0.0.1:1", "api_key": KEY}) as http:
        assert http.headers["Authorization"] == f"Bearer {KEY}"
    with open_http({"api_url": "http://127.0.0.1:1"}) as http:
        assert "Authorization" not in http.headers


@pytest.mark.parametrize(
    ("status", "key", "told"),
    [
        (401, None, "Set JOBS_API_KEY to a key of this API."),
        (401, KEY, "Is JOBS_API_KEY right?"),
        (403, KEY, "The key in JOBS_API_KEY may not do this; ask whoever runs the API for one that may."),
    ],
)
def test_who_may_not_is_told_what_to_set(capsys: Captured, status: int, key: str | None, told: str) -> None:
    api = FakeApi({"GET /v1/jobs": problem(status, "x", "No.")})
    environ = {} if key is None else {"JOBS_API_KEY": key}
    assert api.run("list", **environ) == 2
    err = capsys.readouterr().err
    assert err == f"jobs: No.\n{told}\n"


def test_who_asks_in_the_wrong_place_is_told_where_that_is(capsys: Captured) -> None:
    """With a path too many in its address the API was found, and none of what was asked for."""
    api = FakeApi({"GET /v1/jobs": problem(404, "request", "There is nothing at this address.")})
    assert api.run("list") == 2
    err = capsys.readouterr().err
    assert err == "jobs: There is nothing at this address.\nIs JOBS_API_URL right? It is http://jobs.test.\n"


@pytest.mark.parametrize(
    ("headers", "told"), [({"Retry-After": "7"}, "Try again in 7 s."), ({}, "Try again in a while.")]
)
def test_who_asks_too_often_is_told_when_to_come_back(
    capsys: Captured, headers: dict[str, str], told: str
) -> None:
    api = FakeApi({"GET /v1/jobs": problem(429, "too-many-requests", "Slower.", headers)})
    assert api.run("list") == 2
    assert capsys.readouterr().err == f"jobs: Slower.\n{told}\n"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>"),
        httpx.Response(200, text="<html>"),
        httpx.Response(302, headers={"Location": "/login"}),
        problem(401, "x", "No."),
        problem(500, "x", "Oh."),
    ],
)
def test_no_error_shows_the_key_or_a_password(capsys: Captured, answer: httpx.Response) -> None:
    api = FakeApi({"GET /v1/jobs": answer})
    assert api.run("list", JOBS_API_KEY=KEY) in {2, 3}
    assert KEY not in "".join(capsys.readouterr())
    assert api.run("list", JOBS_API_URL=f"http://ada:{KEY}@jobs.test") in {2, 3}
    assert KEY not in "".join(capsys.readouterr())


def test_a_password_in_the_address_is_sent_and_not_shown(capsys: Captured) -> None:
    api = FakeApi({"GET /v1/jobs/files/j": job_document()})
    assert api.run("show", "j", JOBS_API_URL=f"http://ada:{KEY}@jobs.test") == 0
    assert "page      http://jobs.test/jobs/files/" in capsys.readouterr().out
    assert api.requests[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"JOBS_API_KEY": "a b"}, "JOBS_API_KEY must be visible ASCII"),
        ({"JOBS_API_KEY": "schl\u00fcssel"}, "JOBS_API_KEY must be visible ASCII"),
        ({"JOBS_API_KEY": "a\nb"}, "JOBS_API_KEY must be visible ASCII"),
        ({"JOBS_API_KEY": "k", "JOBS_API_URL": "http://ada:x@jobs.test"}, "can't hold a name and a password"),
        ({"JOBS_API_URL": "http://xn--/"}, "no URL that can be used"),
        ({"JOBS_API_URL": "jobs.test"}, "JOBS_API_URL must be a URL"),
    ],
)
def test_wrong_settings_are_told_and_not_quoted(capsys: Captured, environ: dict[str, str], told: str) -> None:
    assert run(["list"], environ) == 2
    err = capsys.readouterr().err
    assert told in err
    key = environ.get("JOBS_API_KEY")
    assert key is None or len(key) == 1 or key not in err


@pytest.mark.parametrize(
    "error", [httpx.DecodingError("bad gzip"), httpx.ReadTimeout(""), httpx.ConnectError("no")]
)
def test_a_connection_that_fails_exits_3(capsys: Captured, error: httpx.RequestError) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    assert FakeApi({"GET /v1/jobs": fail}).run("list") == 3
    assert "does not answer" in capsys.readouterr().err


def test_a_message_of_the_api_plays_no_tricks_with_the_terminal(capsys: Captured) -> None:
    assert FakeApi({"GET /v1/jobs": problem(422, "x", "a\x1b[2Jb\nc")}).run("list") == 2
    assert capsys.readouterr().err == "jobs: a [2Jb\nc\n"


def test_words_that_are_no_text_are_told(capsys: Captured) -> None:
    assert FakeApi().run("list", "--type", "caf\udce9") == 2
    assert "an argument is no UTF-8 text" in capsys.readouterr().err


def test_ctrl_c_ends_any_command_quietly(capsys: Captured) -> None:
    def interrupted(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    assert FakeApi({"GET /v1/jobs": interrupted}).run("list") == 130
    assert capsys.readouterr().err == "jobs: stopped\n"


def test_ctrl_c_while_watching_leaves_the_job_alone(capsys: Captured) -> None:
    def interrupted(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    assert FakeApi({"GET /v1/jobs/files/j/events": interrupted}).run("watch", "j") == 130
    assert "the job itself goes on" in capsys.readouterr().err


def test_a_pipe_gets_utf8_and_a_closed_stream_swallows(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    make_streams_safe()
    print("ü\ud800", flush=True)
    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue() == "ü?\n".encode()
    print("nobody hears this", file=sys.stderr)
    sys.stderr.close()
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr", other)
    make_streams_safe()
    assert sys.stderr is other


def test_a_refusal_of_a_submission_names_the_field(capsys: Captured) -> None:
    errors: list[JsonValue] = [{"field": "payload.x", "detail": "a"}, {"field": "y", "detail": "b"}]
    refusal = json_answer({"detail": "two", "errors": errors}, 422)
    assert FakeApi({"POST /v1/jobs": refusal}).run("submit", "x", "--payload", "{}") == 2
    assert capsys.readouterr().err == "jobs: payload.x: a\ny: b\n"
