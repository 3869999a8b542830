"""What the local servers share: a certificate, threads that end with the server, and rude goodbyes."""

import socket
import ssl
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import trustme
from typing_extensions import override

HOST = "127.0.0.1"
_POLL_SECONDS = 0.01


def make_certificate(ca_path: Path) -> ssl.SSLContext:
    """Make a CA and a certificate for 127.0.0.1.

    Args:
        ca_path: where to write the CA (PEM), for the client under test.

    Returns:
        What the server needs to speak TLS.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(ca_path)
    return context


def reset(connection: socket.socket) -> None:
    """Cut a connection the hard way, so that the other side sees a reset and no goodbye."""
    # On, for 0 seconds: close at once and send RST (see socket(7), SO_LINGER).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    # A TLS socket would say goodbye before it closes; the plain one beneath does not.
    socket.socket(fileno=connection.detach()).close()


class LocalServer(ThreadingTCPServer):
    """A server on 127.0.0.1 whose threads, connections and port are gone once it is closed.

    Attributes:
        port: where it listens.
        accepted: how many connections were made.
        closed: set when the server closes; what a hanging handler waits for.
    """

    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True

    def __init__(self, handler: type[BaseRequestHandler], port: int = 0) -> None:
        super().__init__((HOST, port), handler)
        self.port: int = self.server_address[1]
        self.accepted = 0
        self.closed = threading.Event()
        self._connections: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,))

    def start(self) -> None:
        """Begin to serve, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of hanging handlers, cut what is open, wait for every thread."""
        self.closed.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def track(self, connection: socket.socket) -> None:
        """Remember a connection, so that it is cut when the server closes."""
        self._connections.add(connection)

    @override
    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and remember it."""
        accepted: tuple[socket.socket, tuple[str, int]] = super().get_request()
        self.accepted += 1
        self.track(accepted[0])
        return accepted

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: a client that goes away is what many tests are about."""
