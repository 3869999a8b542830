"""A certificate for 127.0.0.1 and the CA to trust it by, made anew for each test server."""

import socket
import ssl
from pathlib import Path

import trustme

HOST = "127.0.0.1"


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
