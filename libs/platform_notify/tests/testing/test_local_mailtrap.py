"""The local Mailtrap keeps Mailtrap's rules, so that what passes here passes there."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from platform_core.json_values import JsonObject, JsonValue, decode_json

from platform_notify.testing import MailtrapServer
from platform_notify.testing.mailtrap_answers import (
    Answer,
    bad_gateway,
    empty,
    error,
    hang,
    items_failing,
    ok,
    parse_answer,
    rate_limited,
    reset,
    success_false,
)
from platform_notify.testing.mailtrap_api import judge
from platform_notify.testing.mailtrap_server import main

MAIL: JsonObject = {
    "from": {"email": "jobs@example.com"},
    "to": [{"email": "a@example.com"}, {"email": "b@example.com"}],
    "subject": "hello",
    "text": "hello",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailtrapServer]:
    with MailtrapServer(tmp_path / "ca.pem") as running:
        yield running


def post(
    server: MailtrapServer, path: str, body: str | JsonValue, key: str = "Bearer key"
) -> requests.Response:
    data = body if isinstance(body, str) else None
    json = None if isinstance(body, str) else body
    return requests.post(
        f"https://{server.host}{path}",
        data=data,
        json=json,
        headers={"Authorization": key},
        verify=str(server.ca_bundle),
        timeout=5,
    )


def test_production_answers_with_an_id_for_each_recipient(server: MailtrapServer) -> None:
    answer = post(server, "/api/send", MAIL)
    assert (answer.status_code, answer.text) == (
        200,
        '{"success":true,"message_ids":["message-0-0","message-0-1"]}',
    )


def test_the_sandbox_answers_with_one_id(server: MailtrapServer) -> None:
    answer = post(server, "/api/send/4015", MAIL)
    assert answer.text == '{"success":true,"message_ids":["message-0-0"]}'
    assert [taken["inbox"] for taken in server.mails] == ["4015"]


def test_a_base_fills_in_what_a_request_leaves_out(server: MailtrapServer) -> None:
    own: JsonObject = {"subject": "mine", "to": [{"email": "c@example.com"}]}
    body: JsonObject = {"base": MAIL, "requests": [{}, own, {"subject": ""}, 7]}
    answer = decode_json(post(server, "/api/batch", body).content)
    assert isinstance(answer, dict)
    responses = answer["responses"]
    assert isinstance(responses, list)
    assert [isinstance(item, dict) and item["success"] for item in responses] == [True, True, False, False]
    assert [taken["mail"]["subject"] for taken in server.mails] == ["hello", "mine"]


@pytest.mark.parametrize("key", ["", "Bearer ", "Basic key", "Bearer"])
def test_without_a_key_nothing_is_taken(server: MailtrapServer, key: str) -> None:
    assert post(server, "/api/send", MAIL, key).status_code == 401
    assert server.mails == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/send/abc", {}, 404),
        ("/api/sends", {}, 404),
        ("/api/send", "no json", 400),
        ("/api/send", [], 400),
        ("/api/send", {}, 400),
        ("/api/batch", {}, 400),
        ("/api/batch", {"requests": []}, 400),
        ("/api/batch", {"requests": [{}] * 501}, 400),
        ("/api/batch", {"base": 7, "requests": [{}]}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: MailtrapServer, path: str, body: str | JsonValue, status: int
) -> None:
    answer = post(server, path, body)
    assert answer.status_code == status
    assert answer.text.startswith('{"success":false,"errors":["')
    assert server.requests[0]["status"] == status


@pytest.mark.parametrize(
    "change",
    [
        {"from": None},
        {"from": {"email": "nobody"}},
        {"subject": ""},
        {"text": "", "html": ""},
        {"to": []},
        {"to": [{"email": "nobody"}]},
        {"to": [{"email": "a@example.com"}] * 1001},
        {"category": "c" * 256},
        {"custom_variables": {"a": "é" * 500}},
        {"custom_variables": {"a": 7}},
        {"headers": {"a": None}},
    ],
)
def test_a_mail_beyond_the_rules_is_refused(change: JsonObject) -> None:
    verdict = judge("/api/send", {**MAIL, **change}, [], 0)
    assert verdict["status"] == 400
    assert verdict["mails"] == []


def test_a_body_beyond_the_limit_is_refused_unread(server: MailtrapServer) -> None:
    session = requests.Session()
    request = requests.Request("POST", f"https://{server.host}/api/send", data="short").prepare()
    request.headers["Content-Length"] = "50000001"
    answer = session.send(request, verify=str(server.ca_bundle), timeout=5)
    assert answer.status_code == 413
    assert server.requests == []
    session.close()


def test_answers_come_in_order_and_then_as_usual(server: MailtrapServer) -> None:
    server.answer_always(error(503))
    server.answer_next(error(400), rate_limited("3"))
    answers = [post(server, "/api/send", MAIL) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [400, 429, 503, 503]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "3", None, None]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("ok", ok()),
        ("400", error(400)),
        ("418", error(418)),
        ("429", error(429)),
        ("429:7", rate_limited("7")),
        ("502", bad_gateway()),
        ("success-false", success_false()),
        ("empty", empty()),
        ("hang", hang()),
        ("reset", reset()),
        ("items:0,3", items_failing(0, 3)),
    ],
)
def test_each_answer_has_a_word(text: str, answer: Answer) -> None:
    assert parse_answer(text) == answer


@pytest.mark.parametrize("text", ["", "fine", "ok:1", "reset:1", "items", "items:a", "400:1", "hang:2"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no such answer|invalid literal"):
        parse_answer(text)


def test_its_help_lists_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "429:SECONDS" in capsys.readouterr().out


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "platform_notify.testing.mailtrap_server", "--token", "key"]
    command += ["--ca-out", str(tmp_path / "ca.pem"), "--log", str(tmp_path / "log"), "--delay", "0.01"]
    command += ["--answer", "400", "--answer", "429:7", "--answer", "ok"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        settings = dict(word.split("=", 1) for word in process.stdout.readline().split())
        statuses = [
            requests.post(
                f"https://{settings['MAILTRAP_API_HOST']}/api/send/1",
                json=MAIL,
                headers={"Authorization": "Bearer key"},
                verify=settings["MAILTRAP_CA_BUNDLE"],
                timeout=5,
            ).status_code
            for _ in range(4)
        ]
        process.terminate()
    assert statuses == [400, 429, 200, 200]
    assert process.returncode == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 4
    assert "Bearer" not in "".join(lines)
    record = decode_json(lines[3])
    assert isinstance(record, dict)
    assert (record["path"], record["status"], record["body"]) == ("/api/send/1", 200, MAIL)
