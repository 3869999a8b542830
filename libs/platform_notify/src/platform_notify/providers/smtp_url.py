"""`SMTP_URL`: one text that says where the SMTP server is and how to speak to it.

`smtp://user:password@mail.example.com:587` uses STARTTLS, `smtps://` TLS from the first byte. After the `?`:
`starttls=true|false` (default: true if there is a password) and `ca_bundle=/path/to/ca.pem` (a private CA).
"""

from pathlib import Path
from typing import Literal, TypedDict
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from platform_core.errors import DecodeError

from platform_notify.providers.secret import Secret

Security = Literal["none", "starttls", "tls"]

# RFC 6409 for submission with STARTTLS, RFC 8314 for TLS from the first byte.
_DEFAULT_PORTS: dict[Security, int] = {"none": 25, "starttls": 587, "tls": 465}


class SmtpLogin(TypedDict):
    """How to log in."""

    username: str
    password: Secret


class SmtpEndpoint(TypedDict):
    """Where the server is and how to speak to it.

    Attributes:
        host: name or address.
        port: TCP port.
        security: `starttls` and `tls` are required, never only hoped for.
        login: None to send without logging in.
        ca_bundle: the only CAs to trust (PEM); None for the system's.
    """

    host: str
    port: int
    security: Security
    login: SmtpLogin | None
    ca_bundle: Path | None


def parse_smtp_url(url: str, name: str = "SMTP_URL") -> SmtpEndpoint:
    """Read an SMTP URL.

    Args:
        url: the text; user and password percent-encoded.
        name: what to call it in the error.

    Raises:
        DecodeError: no such URL. The message never holds a part of it: it has a password inside.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DecodeError(name, "URL with a valid host and port", "str") from None
    host = parts.hostname or ""
    if parts.scheme not in {"smtp", "smtps"} or not host or not url.isascii():
        raise DecodeError(name, "smtp://host or smtps://host in ASCII", "str")
    if parts.path not in {"", "/"} or parts.fragment:
        raise DecodeError(name, "URL without a path", "str")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= {"starttls", "ca_bundle"}:
        raise DecodeError(name, "no option but starttls and ca_bundle", "str")
    login = _login(parts, name)
    security = _security(parts.scheme, options.get("starttls"), login, name)
    ca_bundle = options.get("ca_bundle")
    return {
        "host": host,
        "port": _DEFAULT_PORTS[security] if port is None else port,
        "security": security,
        "login": login,
        "ca_bundle": None if ca_bundle is None else Path(ca_bundle),
    }


def _login(parts: SplitResult, name: str) -> SmtpLogin | None:
    if parts.username is None:
        return None
    username = unquote(parts.username)
    password = unquote(parts.password or "")
    # smtplib cannot send other characters when it logs in.
    if not username or not password or not (username + password).isascii():
        raise DecodeError(name, "user and password, both in ASCII, or neither", "str")
    return {"username": username, "password": Secret(password)}


def _security(scheme: str, starttls: str | None, login: SmtpLogin | None, name: str) -> Security:
    if scheme == "smtps":
        if starttls is not None:
            raise DecodeError(name, "no starttls option with smtps://", "str")
        return "tls"
    match starttls:
        case None:
            return "none" if login is None else "starttls"
        case "true":
            return "starttls"
        case "false":
            return "none"
        case _:
            raise DecodeError(name, "starttls=true or starttls=false", "str")
