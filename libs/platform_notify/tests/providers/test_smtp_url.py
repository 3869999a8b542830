"""SMTP_URL says where and how; a wrong one is refused without a word of what is in it."""

from pathlib import Path

import pytest
from platform_core.errors import DecodeError

from platform_notify.providers.smtp_url import Security, parse_smtp_url

PASSWORD = "s3cret-w0rd"


@pytest.mark.parametrize(
    ("url", "host", "port", "security"),
    [
        ("smtp://localhost", "localhost", 25, "none"),
        ("smtp://localhost:1025/", "localhost", 1025, "none"),
        ("smtp://mail.example.com?starttls=true", "mail.example.com", 587, "starttls"),
        ("smtp://u:p@mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://u:p@mail.example.com?starttls=false", "mail.example.com", 25, "none"),
        ("smtps://u:p@mail.example.com", "mail.example.com", 465, "tls"),
        ("smtps://[::1]:2465", "::1", 2465, "tls"),
    ],
)
def test_where_and_how(url: str, host: str, port: int, security: Security) -> None:
    server = parse_smtp_url(url)
    assert (server["host"], server["port"], server["security"]) == (host, port, security)
    assert server["ca_bundle"] is None


def test_user_and_password_are_unquoted() -> None:
    login = parse_smtp_url("smtp://me%40example.com:p%2Fq%3A@host")["login"]
    assert login is not None
    assert (login["username"], login["password"].reveal()) == ("me@example.com", "p/q:")
    assert parse_smtp_url("smtp://host")["login"] is None


def test_a_private_ca_can_be_named() -> None:
    assert parse_smtp_url("smtps://host?ca_bundle=/etc/ca.pem")["ca_bundle"] == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        f"smtp://u:{PASSWORD}@host:99999",
        f"smtp://u:{PASSWORD}@[broken",
        f"smtp://u:{PASSWORD}@host/path",
        f"smtp://u:{PASSWORD}@host#part",
        f"smtp://u:{PASSWORD}@host?tls=yes",
        f"smtp://u:{PASSWORD}@host?starttls=maybe",
        f"smtps://u:{PASSWORD}@host?starttls=true",
        f"smtp://:{PASSWORD}@host",
        "smtp://u@host",
        f"smtp://u:{PASSWORD}é@host",
        f"smtp://u:{PASSWORD}%C3%A9@host",
    ],
)
def test_a_wrong_url_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_smtp_url(url)
    assert caught.value.path == "SMTP_URL"
    assert PASSWORD not in str(caught.value)


def test_the_error_names_the_setting() -> None:
    with pytest.raises(DecodeError, match=r"^MY_URL: expected"):
        parse_smtp_url("nothing", "MY_URL")
