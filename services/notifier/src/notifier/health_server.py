"""`/healthz`, `/readyz` and `/metrics` over HTTP, on a port of its own."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from typing_extensions import override

REQUEST_SECONDS: Final = 10
"""How long a client may take to ask."""


class Page(NamedTuple):
    """An answer: status, content type, content."""

    status: int
    content_type: str
    content: bytes


class HealthServer:
    """Serves pages from functions, each in a thread of its own.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        pages: by path, what makes the page.
    """

    def __init__(self, *, host: str, port: int, pages: dict[str, Callable[[], Page]]) -> None:
        """Take the port.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        self._server = _Server((host, port), pages)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """Return the port that was taken."""
        return self._server.server_port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and give the port back."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that never goes away must not hold up the end of the process.
    block_on_close = False

    def __init__(self, address: tuple[str, int], pages: dict[str, Callable[[], Page]]) -> None:
        super().__init__(address, _Handler)
        self.pages = pages

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the client went away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log no request: they come every few seconds."""

    @override
    def version_string(self) -> str:
        return "notifier"

    def _answer(self) -> None:
        pages = self.server.pages if isinstance(self.server, _Server) else {}
        make = pages.get(urlsplit(self.path).path)
        page = Page(404, "text/plain; charset=utf-8", b"There is no such page.\n") if make is None else make()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.content)
