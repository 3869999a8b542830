"""Opens the page that a link to stop mails leads to, as whoever gets a mail does; that changes nothing."""

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, TypedDict
from urllib.parse import urlsplit

LINK_SECONDS: Final = 5.0
"""How long to wait for the page."""

_NO_ANSWER: Final = (OSError, HTTPException)


class LinkAnswer(TypedDict):
    """What came of it.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        detail: what to say where that tells nothing.
    """

    status: int
    detail: str


def open_page(url: str) -> LinkAnswer:
    """Ask for a page, and follow no redirection.

    Args:
        url: an http or https URL.
    """
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        status = connection.getresponse().status
    except _NO_ANSWER as error:
        return {"status": 0, "detail": str(error) or type(error).__name__}
    finally:
        connection.close()
    return {"status": status, "detail": f"it answers with status {status}"}


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        return HTTPSConnection(host, port, timeout=LINK_SECONDS, context=ssl.create_default_context())
    return HTTPConnection(host, port, timeout=LINK_SECONDS)
