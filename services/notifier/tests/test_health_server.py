"""The health page over HTTP."""

import socket
from collections.abc import Iterator

import pytest
from notifier_kit import get

from notifier.health_server import HealthServer, Page


def fail() -> Page:
    raise ZeroDivisionError


@pytest.fixture
def health() -> Iterator[HealthServer]:
    server = HealthServer(
        host="127.0.0.1",
        port=0,
        pages={"/healthz": lambda: Page(200, "text/plain", b"fine"), "/broken": fail},
    )
    server.start()
    yield server
    server.stop()


def test_pages_are_served_and_others_are_not_there(health: HealthServer) -> None:
    assert get(health.port, "/healthz") == (200, "fine")
    assert get(health.port, "/healthz?verbose=1") == (200, "fine")
    assert get(health.port, "/healthz", "HEAD") == (200, "")
    assert get(health.port, "/etc/passwd") == (404, "There is no such page.\n")
    assert get(health.port, "/healthz", "POST")[0] == 501


def test_a_broken_page_breaks_no_other(health: HealthServer) -> None:
    with pytest.raises(OSError, match="closed connection"):
        get(health.port, "/broken")
    assert get(health.port, "/healthz") == (200, "fine")


def test_a_port_that_is_taken_is_refused(health: HealthServer) -> None:
    with pytest.raises(OSError, match="in use"):
        HealthServer(host="127.0.0.1", port=health.port, pages={})


def test_its_port_is_free_after_the_stop() -> None:
    server = HealthServer(host="127.0.0.1", port=0, pages={})
    port = server.port
    server.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
