"""Mails over SMTP (RFC 5321), with the standard library's client.

One connection serves one batch: servers drop idle connections, and a batch per connection needs no lock.
"""

import re
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import TypedDict

from platform_core.clock import Clock

from platform_notify.messages import MailMessage
from platform_notify.providers.base import (
    SENDING_SECONDS,
    ErrorClass,
    Failed,
    ProviderCheckError,
    SenderAddress,
    SendResult,
    failed,
    one_by_one,
    refusal,
    sent,
    wire_address,
)
from platform_notify.providers.mime import compose, is_international, message_id
from platform_notify.providers.secret import Secret
from platform_notify.providers.smtp_url import SmtpEndpoint

_OK = 250
_RECIPIENT_OK = (250, 251)
_CLOSING = 421
_PERMANENT = 500
# RFC 4954 section 6: authentication required, mechanism too weak, credentials invalid, encryption required.
_AUTH_REPLIES = frozenset({530, 534, 535, 538})
# RFC 3463: X.3.4 and X.2.3, the message is too large.
_TOO_LARGE = re.compile(r"5\.(3\.4|2\.3)\b")
# RFC 3463: X.7.Y, a rule of the server. RFC 5321 has no code of its own for "I do not relay for you".
_POLICY = re.compile(r"5\.7\.[0-9]+\b|relay", re.IGNORECASE)
# How many connections in a row may break before the rest of the batch is left for later.
_MAX_BREAKS = 2


class SmtpConfig(TypedDict):
    """How to send.

    Attributes:
        server: see `parse_smtp_url`.
        sender: who the mails come from.
        timeout: seconds to wait for a connection and for each answer.
    """

    server: SmtpEndpoint
    sender: SenderAddress
    timeout: float


class SmtpProvider:
    """Hands each mail of a batch to the server, over one connection."""

    def __init__(self, config: SmtpConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""
        return "smtp"

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        """Send the mails; one result each, in order.

        Where the server does not answer or no connection can be made, the rest of the batch fails alike at
        once: waiting a timeout for each would hold up everybody.
        """
        batch = _Batch(self._config)
        try:
            return one_by_one(messages, lambda message: self._send_one(batch, message), self._clock, seconds)
        finally:
            batch.close()

    def check(self) -> str:
        """Connect and log in.

        Raises:
            ProviderCheckError: no connection, no TLS, or the login was refused.
        """
        server = self._config["server"]
        batch = _Batch(self._config)
        client = batch.connect()
        batch.close()
        if not isinstance(client, smtplib.SMTP):
            raise ProviderCheckError(f"The SMTP server cannot be used: {client['detail']}.")
        login = "no login" if server["login"] is None else "login accepted"
        return f"SMTP server {server['host']}:{server['port']} answers ({server['security']}, {login})."

    def close(self) -> None:
        """Nothing is held open between batches."""

    def _send_one(self, batch: "_Batch", message: MailMessage) -> SendResult:
        refused = refusal(message)
        if refused is not None:
            return refused
        sender = self._config["sender"]
        return batch.deliver(message, compose(message, sender, self._clock.now(), "\r\n"))


class _Batch:
    """One connection, made when first needed and made anew when it breaks."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config
        self._client: smtplib.SMTP | None = None
        self._outage: Failed | None = None
        self._breaks = 0
        self._secrets: list[Secret] = []
        login = config["server"]["login"]
        if login is not None:
            password = login["password"]
            # The first is what AUTH PLAIN sends, in base64: a server may quote it back.
            self._secrets = [Secret(f"\0{login['username']}\0{password.reveal()}"), password]

    def deliver(self, message: MailMessage, text: bytes) -> SendResult:
        """Give one mail to the server."""
        client = self.connect()
        if not isinstance(client, smtplib.SMTP):
            return client
        # A mail can only be half delivered once its content is on the way.
        content_on_its_way = False
        try:
            refused = self._announce(client, message, text)
            if refused is not None:
                return refused
            content_on_its_way = True
            code, answer = client.data(text)
        except smtplib.SMTPDataError as error:
            return self._refused(client, error.smtp_code, error.smtp_error, _reply_class(error.smtp_code))
        except OSError as error:
            return self._broken(error, ambiguous=content_on_its_way)
        if code != _OK:
            return self._refused(client, code, answer, _reply_class(code))
        self._breaks = 0
        return sent([message_id(message, self._config["sender"])], f"{code} {_words(answer)}")

    def connect(self) -> smtplib.SMTP | Failed:
        """Give the connection, made and logged in if there is none; or why there is none."""
        if self._outage is not None:
            return self._outage
        if self._client is not None:
            return self._client
        server = self._config["server"]
        try:
            self._client = client = self._open(server)
            client.ehlo_or_helo_if_needed()
            if server["security"] == "starttls":
                client.starttls(context=_tls(server))
            if server["login"] is not None:
                client.login(server["login"]["username"], server["login"]["password"].reveal())
        except OSError as error:
            self._drop()
            self._outage = failed(_connect_class(error), _error_words(error), secrets=self._secrets)
            return self._outage
        return client

    def close(self) -> None:
        """Say goodbye, if somebody is there."""
        if self._client is not None:
            with suppress(OSError):
                self._client.quit()
        self._drop()

    def _open(self, server: SmtpEndpoint) -> smtplib.SMTP:
        host, port, timeout = server["host"], server["port"], self._config["timeout"]
        if server["security"] == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=_tls(server))
        return smtplib.SMTP(host, port, timeout=timeout)

    def _announce(self, client: smtplib.SMTP, message: MailMessage, text: bytes) -> Failed | None:
        sender = self._config["sender"]
        options: list[str] = [f"size={len(text)}"] if client.has_extn("size") else []
        if is_international(message, sender):
            if not client.has_extn("smtputf8"):
                whose: ErrorClass = "auth" if wire_address(message["to"]).isascii() else "refused"
                return failed(whose, "the server cannot take an address with non-ASCII characters")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        code, answer = client.mail(wire_address(sender["email"]), options)
        if code != _OK:
            about_mail = not wire_address(message["to"]).isascii() or _TOO_LARGE.match(_words(answer))
            error_class = _reply_class(code) if about_mail else _sender_class(code)
            return self._refused(client, code, answer, error_class)
        code, answer = client.rcpt(wire_address(message["to"]))
        if code not in _RECIPIENT_OK:
            return self._refused(client, code, answer, _recipient_class(code, _words(answer)))
        return None

    def _refused(
        self, client: smtplib.SMTP, code: int, answer: bytes | str, error_class: ErrorClass
    ) -> Failed:
        """Turn a reply into a result, and make the connection ready for the next mail."""
        try:
            if code == _CLOSING:
                self._drop()
            else:
                client.rset()
        except OSError:
            self._drop()
        return failed(error_class, f"{code} {_words(answer)}", secrets=self._secrets)

    def _broken(self, error: OSError, *, ambiguous: bool) -> Failed:
        self._drop()
        self._breaks += 1
        error_class: ErrorClass = "timeout" if _is_timeout(error) else "server"
        if error_class == "timeout" or self._breaks >= _MAX_BREAKS:
            self._outage = failed(error_class, _error_words(error), secrets=self._secrets)
        return failed(error_class, _error_words(error), secrets=self._secrets, ambiguous=ambiguous)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


def _tls(server: SmtpEndpoint) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server["ca_bundle"])


def _connect_class(error: OSError) -> ErrorClass:
    match error:
        case smtplib.SMTPAuthenticationError():
            return _reply_class(error.smtp_code)
        case smtplib.SMTPResponseException():
            return "server"
        # The server offers no STARTTLS or no login that we know: every mail would fail, and none may be lost.
        case smtplib.SMTPNotSupportedError():
            return "auth"
        case smtplib.SMTPServerDisconnected():
            return "timeout" if _is_timeout(error) else "server"
        case smtplib.SMTPException():
            return "auth"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "server"
        case _:
            return "timeout" if _is_timeout(error) else "connect"


def _reply_class(code: int) -> ErrorClass:
    if code in _AUTH_REPLIES:
        return "auth"
    return "refused" if code >= _PERMANENT else "server"


def _sender_class(code: int) -> ErrorClass:
    """Judge a reply to MAIL: it knows nothing but who sends, so every mail would get the same."""
    return "auth" if code >= _PERMANENT else "server"


def _recipient_class(code: int, words: str) -> ErrorClass:
    """Judge a reply to RCPT.

    "I do not relay" may be about this one recipient or about everybody: it must neither kill each mail at
    once nor, said of one, stop all others. So the mail is tried again at the usual times.
    """
    usual = _reply_class(code)
    return "server" if usual == "refused" and _POLICY.search(words) else usual


def _is_timeout(error: OSError) -> bool:
    # smtplib raises its own error while it handles the socket's.
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _error_words(error: OSError) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_words(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"


def _words(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
