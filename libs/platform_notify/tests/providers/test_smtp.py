"""SMTP against a local server: STARTTLS, TLS, login, and every step that can go wrong."""

import socket
from pathlib import Path
from typing import Literal

import pytest
from platform_workers.testing import FakeClock

from platform_notify.messages import MailMessage
from platform_notify.providers.base import ErrorClass, Failed, ProviderCheckError, SendResult
from platform_notify.providers.smtp import SmtpProvider
from platform_notify.providers.smtp_url import Security, SmtpEndpoint, parse_smtp_url
from platform_notify.testing import SmtpServer
from platform_notify.testing.sample_messages import sample_message
from platform_notify.testing.smtp_server import Step

PASSWORD = "pa55-word"
URLS: dict[Security, str] = {
    "none": "smtp://127.0.0.1:{port}?starttls=false",
    "starttls": "smtp://user:pa55-word@127.0.0.1:{port}?ca_bundle={ca}",
    "tls": "smtps://user:pa55-word@127.0.0.1:{port}?ca_bundle={ca}",
}


def running(tmp_path: Path, security: Security = "none") -> SmtpServer:
    login = None if security == "none" else ("user", PASSWORD)
    return SmtpServer(tmp_path / "ca.pem", security=security, login=login)


def endpoint(server: SmtpServer) -> SmtpEndpoint:
    return parse_smtp_url(URLS[server.security].format(port=server.port, ca=server.ca_bundle))


def provider(server: SmtpServer, timeout: float = 5.0) -> SmtpProvider:
    return SmtpProvider(
        {
            "server": endpoint(server),
            "sender": {"email": "jobs@example.com", "name": "Jobs"},
            "timeout": timeout,
        },
        FakeClock(),
    )


def mails(count: int) -> list[MailMessage]:
    return [sample_message(number) for number in range(count)]


def outcomes(results: list[SendResult]) -> list[str]:
    return [result["error_class"] if result["outcome"] == "failed" else "sent" for result in results]


def failure(result: SendResult) -> Failed:
    assert result["outcome"] == "failed"
    return result


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_mails_go_through_each_kind_of_line(tmp_path: Path, security: Security) -> None:
    with running(tmp_path, security) as server:
        results = provider(server).send(mails(3))
        assert outcomes(results) == ["sent"] * 3
        assert [mail["to"] for mail in server.mails] == [
            [f"person{number}@example.com"] for number in range(3)
        ]
        assert {mail["sender"] for mail in server.mails} == {"jobs@example.com"}
        assert server.connections == 1


def test_the_answer_and_the_message_id_are_kept(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        [result] = provider(server).send(mails(1))
    assert result == {
        "outcome": "sent",
        "message_ids": ["<delivery-0@example.com>"],
        "answer": "250 2.0.0 taken as 0",
    }


@pytest.mark.parametrize(
    ("step", "reply", "error_class"),
    [
        ("MAIL", "550 sender rejected", "auth"),
        ("MAIL", "550 5.7.1 Relaying denied", "auth"),
        ("MAIL", "552 5.2.2 Daily sending quota exceeded", "auth"),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", "auth"),
        ("MAIL", "501 5.1.7 bad sender address syntax", "auth"),
        ("MAIL", "552 5.3.4 Message size exceeds fixed limit", "refused"),
        ("MAIL", "552 5.2.3 Message exceeds local size limit", "refused"),
        ("MAIL", "451 try later", "server"),
        ("MAIL", "530 log in first", "auth"),
        ("RCPT", "550 no such user", "refused"),
        ("RCPT", "550 5.1.1 no such user", "refused"),
        ("RCPT", "552 5.2.2 mailbox full", "refused"),
        # About this recipient or about everybody, who knows: tried again, and the circuit stays closed.
        ("RCPT", "554 5.7.1 Relay access denied", "server"),
        ("RCPT", "550 Relaying denied", "server"),
        ("RCPT", "550 5.7.1 blocked by policy", "server"),
        ("RCPT", "530 5.7.0 log in first", "auth"),
        ("RCPT", "450 greylisted", "server"),
        ("RCPT", "421 too busy", "server"),
        ("DATA", "554 no mail today", "refused"),
        ("DATA", "451 try later", "server"),
        ("CONTENT", "552 too big", "refused"),
        ("CONTENT", "452 disk full", "server"),
        ("CONTENT", "535 not you", "auth"),
    ],
)
def test_a_reply_to_one_mail_is_about_that_mail(
    tmp_path: Path, step: Step, reply: str, error_class: ErrorClass
) -> None:
    with running(tmp_path) as server:
        server.script(step, "ok", reply)
        results = provider(server).send(mails(3))
        assert outcomes(results) == ["sent", error_class, "sent"]
        assert failure(results[1])["detail"] == reply
        assert not failure(results[1])["ambiguous"]
        assert len(server.mails) == 2


def test_a_server_that_takes_no_international_addresses_refuses_the_mail_and_not_the_sender(
    tmp_path: Path,
) -> None:
    """MAIL is told of the recipient's letters (SMTPUTF8); one such recipient must not stop all others."""
    with running(tmp_path) as server:
        server.script("MAIL", "553 5.6.7 address type not supported")
        foreign: MailMessage = {**sample_message(0), "to": "jürgen@example.com"}
        results = provider(server).send([foreign, sample_message(1)])
        assert outcomes(results) == ["refused", "sent"]


def test_a_server_that_closes_after_its_reply_is_connected_anew(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.script("RCPT", "421 closing")
        assert outcomes(provider(server).send(mails(2))) == ["server", "sent"]
        assert server.connections == 2


def test_a_server_that_goes_away_while_it_forgets_a_mail_is_connected_anew(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.script("RCPT", "550 no such user")
        server.script("RSET", "reset")
        results = provider(server).send(mails(2))
        assert outcomes(results) == ["refused", "sent"]
        assert server.connections == 2


@pytest.mark.parametrize(("step", "ambiguous"), [("MAIL", False), ("RCPT", False), ("CONTENT", True)])
def test_a_cut_line_is_ambiguous_only_once_the_mail_was_on_its_way(
    tmp_path: Path, step: Step, ambiguous: bool
) -> None:
    with running(tmp_path) as server:
        server.script(step, "reset")
        results = provider(server).send(mails(2))
        assert outcomes(results) == ["server", "sent"]
        assert failure(results[0])["ambiguous"] is ambiguous


def test_a_line_that_keeps_breaking_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.script("MAIL", *["reset"] * 10)
        assert outcomes(provider(server).send(mails(5))) == ["server"] * 5
        assert server.connections == 2


def test_a_success_between_two_breaks_counts(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.script("MAIL", "reset", "ok", "reset", "ok")
        assert outcomes(provider(server).send(mails(4))) == ["server", "sent", "server", "sent"]


@pytest.mark.parametrize(("step", "ambiguous"), [("CONNECT", False), ("RCPT", False), ("CONTENT", True)])
def test_a_hang_is_waited_for_once(tmp_path: Path, step: Step, ambiguous: bool) -> None:
    with running(tmp_path) as server:
        server.script(step, "hang", "hang")
        results = provider(server, timeout=0.2).send(mails(3))
        assert outcomes(results) == ["timeout"] * 3
        assert [failure(result)["ambiguous"] for result in results] == [ambiguous, False, False]
        assert server.connections == 1


def test_a_wrong_password_opens_the_circuit_and_is_not_shown(tmp_path: Path) -> None:
    with running(tmp_path, "starttls") as server:
        server.login = ("user", "another")
        results = provider(server).send(mails(2))
    assert outcomes(results) == ["auth", "auth"]
    for result in results:
        # The server quotes what it was sent: base64 of user and password.
        assert failure(result)["detail"] == "535 wrong: PLAIN ***"


@pytest.mark.parametrize(
    ("step", "reply", "error_class"),
    [
        ("CONNECT", "421 too busy", "server"),
        ("CONNECT", "554 no mail service here", "server"),
        ("CONNECT", "reset", "server"),
        ("STARTTLS", "454 no TLS now", "server"),
        ("STARTTLS", "reset", "server"),
        ("AUTH", "454 cannot check now", "server"),
        ("AUTH", "534 too weak", "auth"),
        ("AUTH", "reset", "server"),
    ],
)
def test_a_connection_that_fails_fails_for_all(
    tmp_path: Path, step: Step, reply: str, error_class: ErrorClass
) -> None:
    with running(tmp_path, "starttls") as server:
        server.script(step, reply)
        results = provider(server).send(mails(2))
        assert outcomes(results) == [error_class] * 2
        assert server.connections == 1
        assert not any(failure(result)["ambiguous"] for result in results)


def test_nobody_there_is_a_connect_error(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        port = server.port
    gone: SmtpEndpoint = {**parse_smtp_url("smtp://127.0.0.1"), "port": port}
    smtp = SmtpProvider(
        {"server": gone, "sender": {"email": "a@example.com", "name": ""}, "timeout": 5.0}, FakeClock()
    )
    assert outcomes(smtp.send(mails(2))) == ["connect", "connect"]


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ConnectionRefusedError(), "connect"),
        (socket.gaierror(), "connect"),
        (OSError("no route to host"), "connect"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "server"),
        (BrokenPipeError(), "server"),
    ],
)
def test_what_a_failed_connection_means(
    error: OSError, error_class: ErrorClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_where: object, **_how: object) -> None:
        raise error

    with running(tmp_path) as server:
        monkeypatch.setattr("socket.create_connection", connect)
        assert outcomes(provider(server).send(mails(2))) == [error_class] * 2


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_foreign_certificate_is_a_connect_error(
    tmp_path: Path, security: Literal["starttls", "tls"]
) -> None:
    with running(tmp_path, security) as server:
        trusting_others: SmtpEndpoint = {**endpoint(server), "ca_bundle": None}
        smtp = SmtpProvider(
            {"server": trusting_others, "sender": {"email": "a@example.com", "name": ""}, "timeout": 5.0},
            FakeClock(),
        )
        assert outcomes(smtp.send(mails(1))) == ["connect"]
        assert server.mails == []


def test_no_mail_and_no_password_goes_out_where_starttls_is_missing(tmp_path: Path) -> None:
    """Somebody on the way can take STARTTLS out of the offer; that must not uncover the password."""
    with running(tmp_path, "starttls") as server:
        server.security = "none"
        smtp = SmtpProvider(
            {
                "server": parse_smtp_url(f"smtp://user:{PASSWORD}@127.0.0.1:{server.port}"),
                "sender": {"email": "a@example.com", "name": ""},
                "timeout": 5.0,
            },
            FakeClock(),
        )
        server.script("AUTH", "250 this must not be asked")
        assert outcomes(smtp.send(mails(1))) == ["auth"]
        assert server.told("AUTH") == "250 this must not be asked"


def test_a_server_without_a_way_to_log_in_opens_the_circuit(tmp_path: Path) -> None:
    with running(tmp_path, "tls") as server:
        server.script("EHLO", "250-test server\r\n250 AUTH UNHEARD-OF")
        assert outcomes(provider(server).send(mails(1))) == ["auth"]
    with running(tmp_path, "tls") as server:
        server.login = None
        assert outcomes(provider(server).send(mails(1))) == ["auth"]


def test_an_old_server_gets_mails_without_extensions(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "ca.pem", extensions=()) as server:
        results = provider(server).send(
            [sample_message(0), {**sample_message(1), "to": "jürgen@example.com"}]
        )
        assert outcomes(results) == ["sent", "refused"]
        assert "non-ASCII" in failure(results[1])["detail"]


@pytest.mark.parametrize("reply", ["ok", "553 5.6.7 address type not supported"])
def test_a_sender_with_international_letters_that_the_server_does_not_take_kills_no_mail(
    tmp_path: Path, reply: str
) -> None:
    extensions = ("SMTPUTF8",) if reply != "ok" else ()
    with SmtpServer(tmp_path / "ca.pem", extensions=extensions) as server:
        smtp = SmtpProvider(
            {
                "server": endpoint(server),
                "sender": {"email": "jürgen@example.com", "name": ""},
                "timeout": 5.0,
            },
            FakeClock(),
        )
        server.script("MAIL", reply, reply)
        assert outcomes(smtp.send(mails(2))) == ["auth", "auth"]


def test_check_says_how_it_is_connected(tmp_path: Path) -> None:
    with running(tmp_path, "starttls") as server:
        assert provider(server).check() == (
            f"SMTP server 127.0.0.1:{server.port} answers (starttls, login accepted)."
        )
    with running(tmp_path) as server:
        assert "(none, no login)" in provider(server).check()


def test_check_tells_a_wrong_password_without_showing_it(tmp_path: Path) -> None:
    with running(tmp_path, "starttls") as server:
        server.login = ("user", "another")
        with pytest.raises(ProviderCheckError) as caught:
            provider(server).check()
    assert str(caught.value) == "The SMTP server cannot be used: 535 wrong: PLAIN ***."


def test_a_server_that_does_not_say_goodbye_costs_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.script("QUIT", "reset")
        assert outcomes(provider(server).send(mails(1))) == ["sent"]
