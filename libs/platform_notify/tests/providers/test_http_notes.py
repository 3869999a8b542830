"""The transport tells how far a request came; what it makes of answers is tested with Mailtrap's."""

import gc
import socket
import warnings
from contextlib import closing, suppress
from pathlib import Path

import pytest
import requests
from platform_workers.testing import FakeClock

from platform_notify.providers.http_notes import NotingAdapter
from platform_notify.testing import MailtrapServer


def test_what_is_known_of_one_request_says_nothing_about_the_next(tmp_path: Path) -> None:
    with MailtrapServer(tmp_path / "ca.pem") as server, requests.Session() as session:
        adapter, url = NotingAdapter(FakeClock(), 10.0), f"https://{server.host}/api/send"
        session.mount("https://", adapter)
        told: list[bool] = []
        with pytest.raises(requests.exceptions.SSLError):
            session.post(url, timeout=5)
        told.append(adapter.in_handshake)
        with pytest.raises(OSError, match=r"gone\.pem"):
            session.post(url, timeout=5, verify=str(tmp_path / "gone.pem"))
        told.append(adapter.in_handshake)
        answer = session.post(url, timeout=5, json={}, verify=str(server.ca_bundle))
        told.append(adapter.in_handshake)
        assert told == [True, False, False]
        assert adapter.note is not None
        assert answer.content == adapter.note["body"]


def test_a_connection_that_is_reset_before_tls_leaves_no_socket_open() -> None:
    """A server that stops. A warning of the interpreter told of it, in a test of something else."""
    adapter = NotingAdapter(FakeClock(), 10.0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = socket.create_connection(listener.getsockname())
        with closing(connection), suppress(OSError):
            adapter._tls.wrap_socket(connection, server_hostname="localhost")
            raise AssertionError("there is nobody to speak TLS with")
        gc.collect()
    assert told == []
    assert adapter.in_handshake
