"""A local TLS server that speaks Mailtrap's API for sending and for its log, for tests and end-to-end runs.

In a test: `with MailtrapServer(tmp_path / "ca.pem") as server:`, then point a provider at `server.host` and
`server.ca_bundle`. As a process of its own: `mailtrap_server`.
"""

import socket
import ssl
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import parse_qs, urlsplit

from platform_core.clock import SystemClock
from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, decode_json, encode_json
from typing_extensions import override

from platform_notify.testing.local_server import HOST, LocalServer, make_certificate, reset
from platform_notify.testing.mailtrap_answers import Answer, error, ok
from platform_notify.testing.mailtrap_api import ReceivedMail, judge, read_log

_MAX_BODY_BYTES = 50_000_000


class RecordedRequest(TypedDict):
    """A request as it came.

    Attributes:
        path: with the inbox id, if there was one.
        headers: names in lower case.
        body: the JSON body; None if it was none.
        status: what was answered; 0 for nothing.
    """

    path: str
    headers: dict[str, str]
    body: JsonValue
    status: int


class MailtrapServer:
    """Mailtrap on 127.0.0.1, in a thread of its own; a context manager.

    Attributes:
        host: `127.0.0.1:port`, the value of `MAILTRAP_API_HOST`.
        ca_bundle: the CA to trust, the value of `MAILTRAP_CA_BUNDLE`.
        requests: what came, in order.
        mails: what was taken, in order.
    """

    def __init__(
        self,
        ca_bundle: Path,
        *,
        port: int = 0,
        token: str | None = None,
        delay: float = 0.0,
        log: Path | None = None,
    ) -> None:
        """Bind the port.

        Args:
            ca_bundle: where to write the CA.
            port: 0 for any that is free.
            token: the one key that is taken; None takes any.
            delay: seconds to wait before each answer.
            log: a file that gets one JSON line for each request, without its key.
        """
        self.ca_bundle = ca_bundle
        self.requests: list[RecordedRequest] = []
        self.mails: list[ReceivedMail] = []
        self._token = token
        self._delay = delay
        self._log = log
        self._answers: deque[Answer] = deque()
        self._log_answers: deque[Answer] = deque()
        self._usual = ok()
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._server = _Server(self, make_certificate(ca_bundle), port)
        self.host = f"{HOST}:{self._server.port}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of hanging requests and stop."""
        self._server.stop()

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._server.accepted

    def answer_next(self, *answers: Answer) -> None:
        """Give these answers to the next requests, one each; after them the usual one."""
        with self._lock:
            self._answers.extend(answers)

    def answer_always(self, answer: Answer) -> None:
        """Change the usual answer, which is `ok()` at first."""
        with self._lock:
            self._usual = answer

    def answer_log_next(self, *answers: Answer) -> None:
        """Give these answers to the next questions to the email log, one each."""
        with self._lock:
            self._log_answers.extend(answers)

    def take(self, path: str, headers: dict[str, str], content: bytes) -> Answer:
        """Note a request and say what to answer; for the server's threads."""
        with self._lock:
            answer = self._answers.popleft() if self._answers else self._usual
            body = _body(content)
            mails: list[ReceivedMail] = []
            if answer["kind"] == "judge" or answer["taking"]:
                judged, mails = self._judge(path, headers, body, answer)
                answer = answer if answer["taking"] else judged
            self._note(path, headers, body, answer)
            self.mails += mails
        # Not a sleep: closing the server ends it.
        self._server.closed.wait(self._delay)
        return answer

    def show_log(self, path: str, headers: dict[str, str]) -> Answer:
        """Answer a question to the email log; for the server's threads."""
        with self._lock:
            answer = self._log_answers.popleft() if self._log_answers else ok()
            if answer["kind"] == "judge":
                address = urlsplit(path)
                verdict = read_log(address.path, parse_qs(address.query), self.mails)
                answer = {
                    **answer,
                    "kind": "reply",
                    "status": verdict["status"],
                    "body": encode_json(verdict["body"]),
                }
                if not self._is_key(headers):
                    answer = error(401)
            self._note(path, headers, None, answer)
        return answer

    def _is_key(self, headers: dict[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and bool(token) and token == (self._token or token)

    def _note(self, path: str, headers: dict[str, str], body: JsonValue, answer: Answer) -> None:
        status = answer["status"] if answer["kind"] == "reply" else 0
        self._record({"path": path, "headers": headers, "body": body, "status": status})

    def _record(self, request: RecordedRequest) -> None:
        self.requests.append(request)
        if self._log is not None:
            headers: JsonObject = {
                name: value for name, value in request["headers"].items() if name != "authorization"
            }
            line: JsonObject = {
                "path": request["path"],
                "status": request["status"],
                "headers": headers,
                "body": request["body"],
            }
            with self._log.open("a", encoding="utf-8") as file:
                file.write(encode_json(line) + "\n")

    def _judge(
        self, path: str, headers: dict[str, str], body: JsonValue, answer: Answer
    ) -> tuple[Answer, list[ReceivedMail]]:
        if not self._is_key(headers):
            return error(401), []
        verdict = judge(path, body, answer["failing"], len(self.mails), self._clock.now())
        said: Answer = {
            **answer,
            "kind": "reply",
            "status": verdict["status"],
            "body": encode_json(verdict["body"]),
        }
        return said, verdict["mails"]


class _Server(LocalServer):
    def __init__(self, mailtrap: MailtrapServer, tls: ssl.SSLContext, port: int) -> None:
        super().__init__(_Handler, port)
        self.mailtrap = mailtrap
        self._tls = tls

    @override
    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        # The handshake waits for the handler's thread, so that a silent client holds up nobody.
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.track(secured)
        return secured, address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet, sent at once: answers in two would cost 40 ms each.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer one request."""
        server = self.server
        assert isinstance(server, _Server)
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MAX_BODY_BYTES:
            self.close_connection = True
            self._say(error(413))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._give(server, server.mailtrap.take(self.path, headers, self.rfile.read(length)))

    def do_GET(self) -> None:
        """Answer one question to the email log."""
        server = self.server
        assert isinstance(server, _Server)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._give(server, server.mailtrap.show_log(self.path, headers))

    def _give(self, server: _Server, answer: Answer) -> None:
        match answer["kind"]:
            case "hang":
                server.closed.wait()
                self.close_connection = True
            case "reset":
                connection: socket.socket = self.connection
                reset(connection)
                self.close_connection = True
            case _:
                self._say(answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def _say(self, answer: Answer) -> None:
        body = answer["body"].encode()
        self.send_response(answer["status"])
        for name, value in {"Content-Type": "application/json", **answer["headers"]}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _body(content: bytes) -> JsonValue:
    try:
        return decode_json(content)
    except DecodeError:
        return None
