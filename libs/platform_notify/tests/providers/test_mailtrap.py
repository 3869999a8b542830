"""Mailtrap for real: its SDK over TLS against a local server that speaks its API."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler

import pytest
from platform_core.json_values import JsonValue
from platform_workers.testing import FakeClock
from typing_extensions import override

from platform_notify.messages import MailMessage
from platform_notify.providers.base import ErrorClass, Failed, ProviderCheckError, SendResult
from platform_notify.providers.http_notes import MAX_BODY_BYTES
from platform_notify.providers.mailtrap import MAX_BATCH, MailtrapConfig, MailtrapProvider
from platform_notify.providers.secret import Secret
from platform_notify.rate_limit import Unlimited
from platform_notify.testing import MailtrapServer
from platform_notify.testing.local_server import LocalServer
from platform_notify.testing.local_server import reset as cut
from platform_notify.testing.mailtrap_answers import (
    Answer,
    bad_gateway,
    empty,
    error,
    hang,
    items_failing,
    ok,
    rate_limited,
    reply,
    reset,
    success_false,
)
from platform_notify.testing.sample_messages import sample_message

KEY = "k3y-of-the-project"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailtrapServer]:
    with MailtrapServer(tmp_path / "ca.pem", token=KEY) as running:
        yield running


def config(server: MailtrapServer, inbox: str | None = "4015") -> MailtrapConfig:
    return {
        "api_key": Secret(KEY),
        "sandbox_inbox_id": inbox,
        "account_id": None,
        "api_host": server.host,
        "ca_bundle": server.ca_bundle,
        "sender": {"email": "jobs@example.com", "name": "Jobs"},
        "timeout": 5,
    }


def make_provider(settings: MailtrapConfig, clock: FakeClock) -> MailtrapProvider:
    return MailtrapProvider(settings, clock, permits=Unlimited(), log_permits=Unlimited())


def provider(server: MailtrapServer, inbox: str | None = "4015") -> MailtrapProvider:
    return make_provider(config(server, inbox), FakeClock())


def mails(count: int) -> list[MailMessage]:
    return [sample_message(number) for number in range(count)]


def failures(results: list[SendResult]) -> list[Failed]:
    return [result for result in results if result["outcome"] == "failed"]


def batch_size(body: JsonValue) -> int:
    requests = body.get("requests", [body]) if isinstance(body, dict) else []
    return len(requests) if isinstance(requests, list) else 0


def outcomes(results: list[SendResult]) -> list[str]:
    return [result["error_class"] if result["outcome"] == "failed" else "sent" for result in results]


@pytest.mark.parametrize(
    ("inbox", "count", "path"),
    [
        ("4015", 1, "/api/send/4015"),
        ("4015", 2, "/api/batch/4015"),
        (None, 1, "/api/send"),
        (None, 2, "/api/batch"),
    ],
)
def test_one_request_goes_to_the_right_place(
    server: MailtrapServer, inbox: str | None, count: int, path: str
) -> None:
    results = provider(server, inbox).send(mails(count))
    assert outcomes(results) == ["sent"] * count
    [request] = server.requests
    assert request["path"] == path
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["headers"]["content-type"] == "application/json"
    assert request["headers"]["user-agent"].startswith("mailtrap-python/")


def expected_mail(number: int) -> dict[str, JsonValue]:
    return {
        "from": {"email": "jobs@example.com", "name": "Jobs"},
        "to": [{"email": f"person{number}@example.com"}],
        "subject": f"Mail number {number}",
        "text": f"Text of mail {number}\n",
        "html": f"<p>HTML of mail {number}</p>\n",
        "category": "job-outcome",
        "headers": {"X-Delivery-Id": f"delivery-{number}", "Auto-Submitted": "auto-generated"},
        "custom_variables": {"delivery_id": f"delivery-{number}"},
    }


def test_the_body_of_one_mail(server: MailtrapServer) -> None:
    provider(server).send(mails(1))
    assert server.requests[0]["body"] == expected_mail(0)


def test_the_body_of_a_batch(server: MailtrapServer) -> None:
    provider(server).send(mails(3))
    assert server.requests[0]["body"] == {
        "base": {"from": {"email": "jobs@example.com", "name": "Jobs"}, "subject": "Mail number 0"},
        "requests": [expected_mail(number) for number in range(3)],
    }


def test_what_is_empty_is_left_out(server: MailtrapServer) -> None:
    nameless: MailtrapConfig = {**config(server), "sender": {"email": "jobs@example.com", "name": ""}}
    make_provider(nameless, FakeClock()).send([{**sample_message(), "category": ""}])
    body = server.requests[0]["body"]
    assert isinstance(body, dict)
    assert body["from"] == {"email": "jobs@example.com"}
    assert "category" not in body


@pytest.mark.parametrize("count", [1, 2])
def test_no_line_of_a_job_breaks_through_in_the_category(server: MailtrapServer, count: int) -> None:
    tricked: list[MailMessage] = [{**mail, "category": "a\r\nBcc: b\x00"} for mail in mails(count)]
    provider(server).send(tricked)
    assert [taken["mail"].get("category") for taken in server.mails] == ["a Bcc: b"] * count


def test_the_longest_delivery_id_is_within_mailtraps_limit(server: MailtrapServer) -> None:
    results = provider(server).send([{**sample_message(), "delivery_id": "x" * 200}])
    assert outcomes(results) == ["sent"]


def test_message_ids_come_back_in_order(server: MailtrapServer) -> None:
    results = provider(server).send(mails(3))
    ids = [result["message_ids"] for result in results if result["outcome"] == "sent"]
    assert ids == [["message-0-0"], ["message-1-0"], ["message-2-0"]]


@pytest.mark.parametrize(
    ("answer", "error_class", "detail", "retry_after", "ambiguous"),
    [
        (error(400, "'from' is required"), "refused", "HTTP 400: 'from' is required", None, False),
        (error(401), "auth", "HTTP 401: Unauthorized", None, False),
        (error(403), "auth", "HTTP 403: Forbidden", None, False),
        (error(413), "refused", "HTTP 413: Payload too large", None, False),
        (error(422), "refused", "HTTP 422: Unprocessable", None, False),
        (rate_limited("7"), "rate_limited", "HTTP 429: Too many requests", 7.0, False),
        (
            rate_limited("Fri, 02 Jan 2026 12:00:20 GMT"),
            "rate_limited",
            "HTTP 429: Too many requests",
            20.0,
            False,
        ),
        (error(500), "server", "HTTP 500: Internal server error", None, True),
        (bad_gateway(), "server", "HTTP 502: Invalid JSON", None, True),
        (reply(503, ""), "server", "HTTP 503: Empty response body", None, True),
        (reply(401, '["errors"]'), "auth", "HTTP 401: no reason given", None, False),
        (reply(400, "7"), "refused", "HTTP 400: no reason given", None, False),
        (success_false("blocked"), "refused", "HTTP 200, success false: blocked", None, False),
        (
            reply(200, '{"success":false,"message_ids":[]}'),
            "refused",
            "success false: no reason given",
            None,
            False,
        ),
        (empty(), "server", "HTTP 200 with 0 bytes nobody can read", None, True),
        (reply(200, "accepted"), "server", "HTTP 200 with 8 bytes nobody can read", None, True),
        (reply(200, "[" * 5000), "server", "HTTP 200 with 5000 bytes nobody can read", None, True),
        (
            {**reply(302, ""), "headers": {"Location": "https://elsewhere.example.com/"}},
            "unexpected",
            "HTTP 302: no reason given",
            None,
            False,
        ),
    ],
)
def test_every_answer_ends_in_its_class(
    server: MailtrapServer,
    answer: Answer,
    error_class: ErrorClass,
    detail: str,
    retry_after: float | None,
    ambiguous: bool,
) -> None:
    server.answer_next(answer)
    [result] = provider(server).send(mails(1))
    assert result == {
        "outcome": "failed",
        "error_class": error_class,
        "detail": detail,
        "retry_after": retry_after,
        "ambiguous": ambiguous,
    }
    assert len(server.requests) == 1


def test_a_hang_is_a_timeout_that_may_have_sent_the_mail(server: MailtrapServer) -> None:
    server.answer_next(hang())
    impatient: MailtrapConfig = {**config(server), "timeout": 1}
    [result] = failures(make_provider(impatient, FakeClock()).send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("timeout", True)


def test_a_reset_may_have_sent_the_mail(server: MailtrapServer) -> None:
    server.answer_next(reset())
    [result] = failures(provider(server).send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("server", True)


def test_nobody_there_is_a_connect_error(server: MailtrapServer) -> None:
    absent: MailtrapConfig = {**config(server), "api_host": "127.0.0.1:1"}
    [result] = failures(make_provider(absent, FakeClock()).send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("connect", False)
    assert "Connection refused" in result["detail"]


def test_a_server_with_a_foreign_certificate_gets_nothing(server: MailtrapServer) -> None:
    trusting_others: MailtrapConfig = {**config(server), "ca_bundle": None}
    [result] = failures(make_provider(trusting_others, FakeClock()).send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("connect", False)
    assert server.requests == []


@pytest.mark.parametrize("fault", ["plain HTTP", "alert", "reset", "closed", "hang"])
def test_a_line_that_breaks_before_tls_is_agreed_upon_carried_no_mail(
    server: MailtrapServer, fault: str
) -> None:
    """It was called unsure: with MAIL_WHEN_UNSURE=hold a wrong port number killed every mail."""

    class Rude(BaseRequestHandler):
        @override
        def handle(self) -> None:
            connection: socket.socket = self.request
            connection.recv(10_000)
            match fault:
                case "plain HTTP":
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                case "alert":
                    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
                case "reset":
                    cut(connection)
                case "hang":
                    rude.closed.wait()
                case _:
                    pass

    rude = LocalServer(Rude)
    rude.start()
    settings: MailtrapConfig = {**config(server), "api_host": f"127.0.0.1:{rude.port}", "timeout": 1}
    results = failures(make_provider(settings, FakeClock()).send(mails(2)))
    rude.stop()
    assert [(result["error_class"], result["ambiguous"]) for result in results] == [("connect", False)] * 2


def test_an_answer_without_end_is_not_read_and_the_next_one_is(server: MailtrapServer) -> None:
    """It filled the memory, which takes every mail down with it."""
    mailtrap = provider(server)
    server.answer_next(reply(200, "x" * (MAX_BODY_BYTES + 1)), reply(200, "x" * MAX_BODY_BYTES))
    [result] = failures(mailtrap.send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("server", True)
    assert "longer than 8,000,000 bytes" in result["detail"]
    [result] = failures(mailtrap.send(mails(1)))
    assert result["detail"] == "HTTP 200 with 8000000 bytes nobody can read"
    assert outcomes(mailtrap.send(mails(1))) == ["sent"]


class Ticking(FakeClock):
    """A clock that goes on by six seconds whenever it is looked at."""

    @override
    def monotonic(self) -> float:
        self.advance(6)
        return super().monotonic()


def test_an_answer_that_trickles_is_given_up_when_the_time_is_over(server: MailtrapServer) -> None:
    """Each part comes in time, and the whole never does."""
    server.answer_next(reply(200, "x" * 1_000_000))
    mailtrap = make_provider(config(server), Ticking())
    [result] = failures(mailtrap.send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("timeout", True)
    assert "longer than 10 s" in result["detail"]


def test_an_answer_that_breaks_off_may_have_sent_the_mail(server: MailtrapServer) -> None:
    server.answer_next({**reply(200, "no number\r\nshort"), "headers": {"Transfer-Encoding": "chunked"}})
    [result] = failures(provider(server).send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("server", True)


def test_a_ca_file_that_is_not_there_is_told(server: MailtrapServer, tmp_path: Path) -> None:
    lost: MailtrapConfig = {**config(server), "ca_bundle": tmp_path / "gone.pem"}
    [result] = failures(make_provider(lost, FakeClock()).send(mails(1)))
    assert result["error_class"] == "unexpected"
    assert "gone.pem" in result["detail"]


def test_a_request_without_an_answer_is_not_judged_by_the_last_one(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    server.answer_next(error(401), reset(), ok())
    assert outcomes(mailtrap.send(mails(1))) == ["auth"]
    assert outcomes(mailtrap.send(mails(1))) == ["server"]
    assert outcomes(mailtrap.send(mails(1))) == ["sent"]


def test_a_key_that_fits_no_header_is_not_shown(server: MailtrapServer) -> None:
    broken: MailtrapConfig = {**config(server), "api_key": Secret(f"{KEY}\n")}
    [result] = failures(make_provider(broken, FakeClock()).send(mails(1)))
    assert (result["error_class"], result["detail"]) == ("unexpected", "InvalidHeader")


def test_a_netrc_file_does_not_replace_the_key(
    server: MailtrapServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert outcomes(provider(server).send(mails(1))) == ["sent"]


def test_a_proxy_in_the_environment_is_not_asked(
    server: MailtrapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert outcomes(provider(server).send(mails(1))) == ["sent"]


def test_each_item_of_a_batch_has_its_own_result(server: MailtrapServer) -> None:
    server.answer_next(items_failing(1, 3))
    results = provider(server).send(mails(5))
    assert outcomes(results) == ["sent", "refused", "sent", "refused", "sent"]
    assert [mail["mail"]["subject"] for mail in server.mails] == [
        "Mail number 0",
        "Mail number 2",
        "Mail number 4",
    ]


def test_an_item_without_reasons_is_refused_all_the_same(server: MailtrapServer) -> None:
    body = '{"success":true,"responses":[{"success":true},{"success":false}]}'
    server.answer_next(reply(200, body))
    taken, refused = provider(server).send(mails(2))
    assert taken == {"outcome": "sent", "message_ids": [], "answer": "accepted"}
    assert failures([refused])[0]["detail"] == "success false: no reason given"


def test_a_batch_with_too_few_answers_is_a_broken_server(server: MailtrapServer) -> None:
    server.answer_next(reply(200, '{"success":true,"responses":[{"success":true,"message_ids":["a"]}]}'))
    results = failures(provider(server).send(mails(3)))
    assert [(result["error_class"], result["ambiguous"]) for result in results] == [("server", True)] * 3


def test_five_hundred_mails_are_one_request_and_one_more_is_two(server: MailtrapServer) -> None:
    results = provider(server).send(mails(MAX_BATCH + 1))
    assert outcomes(results) == ["sent"] * (MAX_BATCH + 1)
    assert [request["path"] for request in server.requests] == ["/api/batch/4015", "/api/send/4015"]


@pytest.mark.parametrize(
    "whole",
    [
        error(413),
        error(400, "one of them is bad"),
        success_false(),
        reply(200, '{"success":false,"responses":[]}'),
    ],
)
def test_a_batch_refused_as_a_whole_is_halved_until_the_rest_gets_through(
    server: MailtrapServer, whole: Answer
) -> None:
    """Eight mails, one of them bad: whoever asks for all eight is refused, and so is each half with it."""
    server.answer_next(whole, whole, ok(), whole, ok(), error(400, "this one"))
    results = provider(server).send(mails(8))
    assert outcomes(results) == ["sent"] * 3 + ["refused"] + ["sent"] * 4
    taken = [mail["mail"]["subject"] for mail in server.mails]
    assert taken == [f"Mail number {number}" for number in range(8) if number != 3]
    sizes = [batch_size(request["body"]) for request in server.requests]
    assert sizes == [8, 4, 2, 2, 1, 1, 4]


@pytest.mark.parametrize(
    ("count", "answers", "expected"),
    [
        (500, [error(400), ok()], ["sent"] + ["no_time"] * 499),
        (500, [error(400), error(400, "this one")], ["refused"] + ["no_time"] * 499),
        (2, [error(400), ok()], ["sent", "no_time"]),
        (500, [error(400), rate_limited("3")], ["rate_limited"] * 500),
    ],
)
def test_a_slow_halving_finds_out_about_one_mail_in_each_call(
    server: MailtrapServer, count: int, answers: list[Answer], expected: list[str]
) -> None:
    """Else the same batch would be refused, and put back, for ever."""
    server.answer_next(*answers)
    assert outcomes(provider(server).send(mails(count), 0.0)) == expected
    assert len(server.requests) == 2


def test_halving_has_a_limit_and_kills_no_mail_it_did_not_try_alone(server: MailtrapServer) -> None:
    server.answer_always(error(400))
    results = provider(server).send(mails(200))
    assert set(outcomes(results)) == {"refused", "server"}
    untried = [result for result in failures(results) if result["error_class"] == "server"]
    assert len(server.requests) <= 80
    assert not any(result["ambiguous"] for result in untried)
    assert all("not tried alone" in result["detail"] for result in untried)


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [(error(401), "auth"), (rate_limited("3"), "rate_limited"), (hang(), "timeout")],
)
def test_an_outage_is_met_once_and_counts_for_all(
    server: MailtrapServer, answer: Answer, error_class: ErrorClass
) -> None:
    server.answer_next(answer)
    impatient: MailtrapConfig = {**config(server), "timeout": 1}
    results = failures(make_provider(impatient, FakeClock()).send(mails(MAX_BATCH + 3)))
    assert {result["error_class"] for result in results} == {error_class}
    assert len(results) == MAX_BATCH + 3
    assert len(server.requests) == 1
    # What was never sent cannot have been delivered.
    assert not any(result["ambiguous"] for result in results[MAX_BATCH:])


def test_the_connection_is_held(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    for _ in range(5):
        mailtrap.send(mails(2))
    assert server.connections == 1


def test_a_connection_that_was_idle_for_long_is_not_trusted(server: MailtrapServer) -> None:
    clock = FakeClock()
    mailtrap = make_provider(config(server), clock)
    mailtrap.send(mails(1))
    clock.advance(60)
    mailtrap.send(mails(1))
    assert server.connections == 1
    clock.advance(61)
    mailtrap.send(mails(1))
    assert server.connections == 2


def test_each_thread_has_a_connection_of_its_own(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    results: list[SendResult] = []

    def send() -> None:
        results.extend(mailtrap.send(mails(1)))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(results) == ["sent"] * 3
    assert server.connections == 3


def test_close_closes_what_other_threads_hold(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    mailtrap.send(mails(1))
    closer = threading.Thread(target=mailtrap.close)
    closer.start()
    closer.join()
    mailtrap.send(mails(1))
    assert server.connections == 2


@pytest.mark.parametrize(("inbox", "mode"), [("4015", "sandbox inbox 4015"), (None, "production")])
def test_check_sends_nothing(server: MailtrapServer, inbox: str | None, mode: str) -> None:
    sentence = provider(server, inbox).check()
    assert sentence == f"Mailtrap at {server.host} answers and takes the key ({mode})."
    assert server.mails == []
    assert server.requests[0]["body"] == {}


def test_check_takes_a_success_for_one(server: MailtrapServer) -> None:
    server.answer_next(reply(200, '{"success":true,"message_ids":[]}'))
    assert "takes the key" in provider(server).check()


def test_check_tells_a_wrong_key(server: MailtrapServer) -> None:
    wrong: MailtrapConfig = {**config(server), "api_key": Secret("wrong")}
    with pytest.raises(ProviderCheckError, match="HTTP 401: Unauthorized"):
        make_provider(wrong, FakeClock()).check()


@pytest.mark.parametrize("inbox", ["", "12a", "../send", "٣"])
def test_an_inbox_is_a_number(server: MailtrapServer, inbox: str) -> None:
    with pytest.raises(ValueError, match="number"):
        provider(server, inbox)


@pytest.mark.parametrize(
    ("inbox", "host"), [("1", "sandbox.api.mailtrap.io"), (None, "send.api.mailtrap.io")]
)
def test_without_another_host_it_is_mailtraps_own(
    server: MailtrapServer, inbox: str | None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proved without a request to the world: no name is looked up but the expected one."""
    asked: list[str] = []

    def look_up(name: str, *_rest: object, **_more: object) -> list[object]:
        asked.append(name)
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    own: MailtrapConfig = {**config(server, inbox), "api_host": None, "ca_bundle": None}
    assert outcomes(make_provider(own, FakeClock()).send(mails(1))) == ["connect"]
    assert asked == [host]
