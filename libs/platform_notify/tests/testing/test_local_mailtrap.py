"""The local Mailtrap keeps Mailtrap's rules, so that what passes here passes there."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
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

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
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
    verdict = judge("/api/send", {**MAIL, **change}, [], 0, NOW)
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


def get(server: MailtrapServer, query: str, *, key: str = "Bearer key", account: str = "7") -> JsonObject:
    answer = requests.get(
        f"https://{server.host}/api/accounts/{account}/email_logs?{query}",
        headers={"Authorization": key},
        verify=str(server.ca_bundle),
        timeout=5,
    )
    value = decode_json(answer.content)
    assert isinstance(value, dict)
    return {"status": answer.status_code, **value}


def logged(server: MailtrapServer, query: str) -> list[JsonValue]:
    messages = get(server, query)["messages"]
    assert isinstance(messages, list)
    return [message["to"] for message in messages if isinstance(message, dict)]


def test_the_log_lists_what_was_sent_for_real_newest_first(server: MailtrapServer) -> None:
    post(server, "/api/send/4015", MAIL)
    post(server, "/api/send", MAIL)
    post(server, "/api/send", {**MAIL, "to": [{"email": "C@example.com"}]})
    assert logged(server, "") == ["C@example.com", "a@example.com", "b@example.com"]
    to = "filters[to][operator]=ci_equal&filters[to][value]"
    assert logged(server, f"{to}=c@example.com") == ["C@example.com"]
    assert logged(server, f"{to}[]=A@example.com&{to.partition('&')[2]}[]=x@example.com") == ["a@example.com"]
    assert logged(server, "filters[sent_after]=2999-01-01T00:00:00Z") == []
    assert logged(server, "filters[nonsense]=1") == logged(server, "")


def test_the_log_gives_a_page_at_a_time(server: MailtrapServer) -> None:
    for _ in range(3):
        post(server, "/api/batch", {"base": MAIL, "requests": [{} for _ in range(25)]})
    first = get(server, "")
    cursor = first["next_page_cursor"]
    assert first["total_count"] == 150
    assert len(logged(server, "")) == 100
    second = get(server, f"search_after={cursor}")
    assert second["next_page_cursor"] is None
    assert len(logged(server, f"search_after={cursor}")) == 50


def test_the_log_is_not_for_everybody(tmp_path: Path) -> None:
    with MailtrapServer(tmp_path / "ca.pem", token="key") as server:
        assert get(server, "", key="Bearer other")["status"] == 401
        assert get(server, "", account="x")["status"] == 404


def test_a_mail_can_be_taken_although_the_answer_says_otherwise(server: MailtrapServer) -> None:
    server.answer_next(parse_answer("taken-500"))
    assert post(server, "/api/send", MAIL).status_code == 500
    assert len(server.mails) == 1
    assert parse_answer("taken-hang") == {**hang(), "taking": True}
