"""A local SMTP server for tests, with the faults real ones have.

It speaks just enough of RFC 5321 for one client at a time in a thread each: STARTTLS, TLS, AUTH PLAIN and
LOGIN, SIZE, SMTPUTF8. Each step can be told to answer otherwise, to hang, or to cut the connection.
"""

import base64
import socket
import threading
from collections import defaultdict, deque
from contextlib import closing, suppress
from pathlib import Path
from socketserver import BaseRequestHandler
from types import TracebackType
from typing import BinaryIO, Literal, Self, TypedDict

from typing_extensions import override

from platform_notify.providers.smtp_url import Security
from platform_notify.testing.local_server import LocalServer, make_certificate, reset

Step = Literal["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "CONTENT", "RSET", "QUIT"]
"""What can be told to go wrong; `DATA` is the command, `CONTENT` the mail itself."""


class SmtpMail(TypedDict):
    """A mail that was taken.

    Attributes:
        sender: the address of MAIL FROM.
        to: the addresses of RCPT TO.
        content: the mail, with the dots taken back out, lines ending in CR LF.
    """

    sender: str
    to: list[str]
    content: bytes


class SmtpServer:
    """An SMTP server on 127.0.0.1, in a thread of its own; a context manager.

    Attributes:
        port: where it listens.
        ca_bundle: the CA to trust.
        mails: what was taken, in order.
    """

    def __init__(
        self,
        ca_bundle: Path,
        *,
        security: Security = "none",
        login: tuple[str, str] | None = None,
        extensions: tuple[str, ...] = ("SIZE", "SMTPUTF8", "8BITMIME"),
    ) -> None:
        """Bind a free port.

        Args:
            ca_bundle: where to write the CA.
            security: whether it offers STARTTLS or speaks TLS from the first byte.
            login: the one user and password; None to ask for none.
            extensions: what it offers besides STARTTLS and AUTH.
        """
        self.ca_bundle = ca_bundle
        self.mails: list[SmtpMail] = []
        self.login = login
        self.security = security
        self.extensions = extensions
        self.tls = make_certificate(ca_bundle)
        self._script: defaultdict[Step, deque[str]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port = self._server.port

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of hanging clients and stop."""
        self._server.stop()

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._server.accepted

    def script(self, step: Step, *replies: str) -> None:
        """Answer the next times this step comes otherwise.

        Args:
            step: when.
            replies: one for each time: a reply line such as `550 no such user`, `hang`, `reset`, or `ok` for
                the usual answer.
        """
        with self._lock:
            self._script[step].extend(replies)

    def told(self, step: Step) -> str:
        """Take the next scripted reply; for the server's threads."""
        with self._lock:
            replies = self._script[step]
            return replies.popleft() if replies else "ok"

    def keep(self, mail: SmtpMail) -> None:
        """Keep a mail; for the server's threads."""
        with self._lock:
            self.mails.append(mail)


class _Server(LocalServer):
    def __init__(self, smtp: SmtpServer) -> None:
        super().__init__(_Handler)
        self.smtp = smtp


class _CutError(Exception):
    """The connection was cut on purpose."""


class _Handler(BaseRequestHandler):
    """One client's conversation."""

    @override
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        connection: socket.socket = self.request
        _Conversation(server, connection).run()


class _Conversation:
    def __init__(self, server: _Server, connection: socket.socket) -> None:
        self._server = server
        self._smtp = smtp = server.smtp
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._secure = False
        self._logged_in = smtp.login is None
        self._sender = ""
        self._to: list[str] = []

    def run(self) -> None:
        """Talk until the client has enough or a scripted fault ends it."""
        with suppress(_CutError, OSError), closing(self):
            if self._smtp.security == "tls":
                self._start_tls()
            talking = self._answer("CONNECT", "220 test server")
            while talking:
                line = self._lines.readline().decode("utf-8", "replace").strip()
                talking = bool(line) and self._obey(line)

    def close(self) -> None:
        """Let go of the connection, whichever it is by now."""
        self._lines.close()
        self._connection.close()

    def _obey(self, line: str) -> bool:
        """Answer one command; False at the end of the conversation."""
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO":
                self._answer("EHLO", self._offer())
            case "STARTTLS":
                if self._answer("STARTTLS", "220 go ahead"):
                    self._start_tls()
            case "AUTH":
                self._log_in(rest)
            case "QUIT":
                self._answer("QUIT", "221 goodbye")
                return False
            case command:
                self._handle_mail(command, rest)
        return True

    def _handle_mail(self, command: str, rest: str) -> None:
        match command:
            case "MAIL":
                self._answer("MAIL", "250 sender ok" if self._logged_in else "530 log in first")
                self._sender, self._to = _address(rest), []
            case "RCPT":
                if self._answer("RCPT", "250 recipient ok"):
                    self._to.append(_address(rest))
            case "DATA":
                if self._answer("DATA", "354 go on, end with a dot"):
                    self._take(_content(self._lines))
            case "RSET":
                self._answer("RSET", "250 forgotten")
            case _:
                self._say("502 no such command")

    def _offer(self) -> str:
        words = ["test server", *self._smtp.extensions]
        if self._smtp.security == "starttls" and not self._secure:
            words.append("STARTTLS")
        if self._smtp.login is not None:
            words.append("AUTH PLAIN")
        return "\r\n".join([*(f"250-{word}" for word in words[:-1]), f"250 {words[-1]}"])

    def _log_in(self, rest: str) -> None:
        expected = "\0".join(("", *(self._smtp.login or ())))
        given = base64.b64decode(rest.removeprefix("PLAIN ")).decode()
        if given == expected:
            self._logged_in = self._answer("AUTH", "235 welcome")
        else:
            # Some servers quote what they were sent; a client must not log that.
            self._answer("AUTH", f"535 wrong: {rest}")

    def _take(self, content: bytes) -> None:
        if self._answer("CONTENT", f"250 2.0.0 taken as {len(self._smtp.mails)}"):
            self._smtp.keep({"sender": self._sender, "to": self._to, "content": content})

    def _start_tls(self) -> None:
        self._connection = self._smtp.tls.wrap_socket(self._connection, server_side=True)
        self._server.track(self._connection)
        self._lines.close()
        self._lines = self._connection.makefile("rb")
        self._secure = True

    def _answer(self, step: Step, usual: str) -> bool:
        """Say the usual reply or the scripted one; tell whether it was the usual one."""
        told = self._smtp.told(step)
        match told:
            case "ok":
                self._say(usual)
            case "hang":
                self._server.closed.wait()
                raise _CutError
            case "reset":
                reset(self._connection)
                raise _CutError
            case _:
                self._say(told)
        return told == "ok"

    def _say(self, reply: str) -> None:
        self._connection.sendall(reply.encode() + b"\r\n")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _content(lines: BinaryIO) -> bytes:
    """Read a mail up to the line with a dot alone; take out the doubled dots (RFC 5321, 4.5.2)."""
    content: list[bytes] = []
    while (line := lines.readline()) != b".\r\n":
        if not line:
            raise _CutError
        content.append(line.removeprefix(b"."))
    return b"".join(content)
