"""What each answer of Mailtrap means, and each way of not answering."""

import http.client
from datetime import UTC, datetime

import pytest
import requests
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError, ProtocolError, ReadTimeoutError

from platform_notify.providers.base import ErrorClass
from platform_notify.providers.http_notes import EndlessAnswerError, SlowAnswerError
from platform_notify.providers.mailtrap_faults import (
    fault_of_answer,
    fault_of_unread,
    fault_without_answer,
    is_success,
)
from platform_notify.providers.secret import Secret

NOW = datetime(2026, 10, 21, 7, 28, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "error_class", "ambiguous"),
    [
        (302, "unexpected", False),
        (400, "refused", False),
        (401, "auth", False),
        (402, "auth", False),
        (403, "auth", False),
        (404, "auth", False),
        (407, "auth", False),
        (408, "timeout", True),
        (409, "auth", False),
        (413, "refused", False),
        (415, "auth", False),
        (422, "refused", False),
        (425, "server", False),
        (429, "rate_limited", False),
        (451, "auth", False),
        (499, "auth", False),
        (500, "server", True),
        (502, "server", True),
        (503, "server", True),
        (504, "server", True),
        (599, "server", True),
    ],
)
def test_what_a_status_means(status: int, error_class: ErrorClass, ambiguous: bool) -> None:
    fault = fault_of_answer(
        {"status": status, "retry_after": "9", "body": b""}, ["why", "key"], NOW, [Secret("key")]
    )
    assert fault == {
        "outcome": "failed",
        "error_class": error_class,
        "detail": f"HTTP {status}: why; ***",
        "retry_after": 9.0,
        "ambiguous": ambiguous,
    }


def test_an_answer_without_words_says_so() -> None:
    fault = fault_of_answer({"status": 500, "retry_after": None, "body": b""}, [], NOW, [])
    assert fault["detail"] == "HTTP 500: no reason given"
    assert fault["retry_after"] is None


@pytest.mark.parametrize(
    ("status", "success"), [(199, False), (200, True), (204, True), (299, True), (300, False)]
)
def test_a_success_is_a_2xx(status: int, success: bool) -> None:
    assert is_success({"status": status, "retry_after": None, "body": b""}) is success


@pytest.mark.parametrize(
    ("body", "error_class", "detail", "ambiguous"),
    [
        (b"", "server", "HTTP 200 with 0 bytes nobody can read", True),
        (b"hello", "server", "HTTP 200 with 5 bytes nobody can read", True),
        (b"\xff\xfe", "server", "HTTP 200 with 2 bytes nobody can read", True),
        (b"[1]", "server", "HTTP 200 with 3 bytes nobody can read", True),
        (b'{"success":true}', "server", "HTTP 200 with 16 bytes nobody can read", True),
        (b'{"success":0}', "server", "HTTP 200 with 13 bytes nobody can read", True),
        (b'{"success":false,"errors":["no","key"]}', "refused", "HTTP 200, success false: no; ***", False),
        (b'{"success":false,"errors":"no"}', "refused", "HTTP 200, success false: no", False),
        (b'{"success":false}', "refused", "HTTP 200, success false: no reason given", False),
        (b'{"success":false,"errors":[]}', "refused", "HTTP 200, success false: no reason given", False),
    ],
)
def test_what_a_success_nobody_understands_means(
    body: bytes, error_class: ErrorClass, detail: str, ambiguous: bool
) -> None:
    fault = fault_of_unread({"status": 200, "retry_after": None, "body": body}, [Secret("key")])
    assert (fault["error_class"], fault["detail"], fault["ambiguous"]) == (error_class, detail, ambiguous)


def caused(error: Exception, *causes: Exception) -> Exception:
    """Chain exceptions as `raise ... from` does."""
    for outer, inner in zip((error, *causes), causes, strict=False):
        outer.__cause__ = inner
    return error


CONNECTION = HTTPSConnection("host")


@pytest.mark.parametrize(
    ("error", "error_class", "ambiguous"),
    [
        (requests.ConnectTimeout(), "connect", False),
        (
            caused(
                requests.ConnectionError(), NewConnectionError(CONNECTION, "no"), ConnectionRefusedError("no")
            ),
            "connect",
            False,
        ),
        (requests.exceptions.SSLError("EOF"), "server", True),
        (requests.ReadTimeout(), "timeout", True),
        (
            caused(
                requests.ConnectionError(),
                ReadTimeoutError(HTTPSConnectionPool("host"), "/", "slow"),
                TimeoutError("slow"),
            ),
            "timeout",
            True,
        ),
        (
            caused(requests.ConnectionError(), ProtocolError("cut"), http.client.RemoteDisconnected("cut")),
            "server",
            True,
        ),
        (EndlessAnswerError("long"), "server", True),
        (SlowAnswerError("slow"), "timeout", True),
        (requests.TooManyRedirects(), "unexpected", False),
        (requests.exceptions.InvalidURL(), "unexpected", False),
        (TypeError("odd"), "unexpected", False),
    ],
)
def test_what_no_answer_means(error: Exception, error_class: ErrorClass, ambiguous: bool) -> None:
    fault = fault_without_answer(error)
    assert (fault["error_class"], fault["ambiguous"]) == (error_class, ambiguous)
    assert fault["detail"].startswith(type(error).__name__)
    assert fault["retry_after"] is None


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.SSLError("wrong version number"),
        requests.exceptions.SSLError("certificate verify failed"),
        caused(requests.ConnectionError(), ProtocolError("cut"), ConnectionResetError("cut")),
        requests.ReadTimeout(),
    ],
)
def test_before_tls_is_agreed_upon_nothing_was_sent(error: Exception) -> None:
    fault = fault_without_answer(error, in_handshake=True)
    assert (fault["error_class"], fault["ambiguous"]) == ("connect", False)


def test_the_words_of_the_system_are_told_and_those_of_the_libraries_are_not() -> None:
    """A library may quote the request, and with it the key."""
    header = requests.exceptions.InvalidHeader("bad header value: 'Bearer key'")
    assert fault_without_answer(header)["detail"] == "InvalidHeader"
    refused = caused(
        requests.ConnectionError("Bearer key"), ConnectionRefusedError(111, "Connection refused")
    )
    detail = fault_without_answer(refused)["detail"]
    assert detail == "ConnectionError <- ConnectionRefusedError: [Errno 111] Connection refused"
