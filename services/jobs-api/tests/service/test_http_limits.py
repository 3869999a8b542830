"""Limits with clear answers: rates, event streams, addresses, headers; proxies and other sites."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from access_kit import Keys, bearer, locked_api
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock
from service_kit import HONEST, PATIENCE, Service, context_of, json_of, running_api, submit, wait_until

from jobs_api.object_store import FileStore
from jobs_api.settings import AccessSettings

SLOW: AccessSettings = {**HONEST, "max_requests_per_second": 3}
FEW: AccessSettings = {**HONEST, "max_event_streams": 3, "max_event_streams_per_key": 2}
SITE = "https://app.example"


def test_too_many_requests_are_told_when_to_come_back(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    with running_api(vault, files, access=SLOW, clock=clock) as service:
        answers = [service["http"].get("/v1/files/x") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert answers[3].headers["retry-after"] == "1"
        assert json_of(answers[3])["type"] == "urn:jobs-api:too-many-requests"
        assert service["http"].get("/healthz").status_code == 200
        page = service["http"].get("/jobs/files/x")
        assert (page.status_code, page.headers["retry-after"]) == (429, "1")
        assert "Too many requests" in page.text
        clock.advance(1)
        assert service["http"].get("/v1/files/x").status_code == 404


def test_each_key_has_a_rate_of_its_own_and_guessing_counts(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    first, second = keys.bearer("read"), keys.bearer("read")
    with locked_api(vault, files, clock, SLOW) as service:

        def ask(headers: dict[str, str]) -> int:
            return service["http"].get("/v1/files/x", headers=headers).status_code

        assert [ask(first) for _ in range(4)] == [404, 404, 404, 429]
        assert ask(second) == 404
        guesses = [ask(bearer(f"jobs_{number:012x}_" + "x" * 43)) for number in range(4)]
        assert guesses == [401, 401, 401, 429]
        # Signing in is guessing too, and from the same address.
        assert service["http"].post("/sign-in", data={"key": "x"}).status_code == 429
        assert ask(second) == 404


@contextmanager
def stream(service: Service, job_id: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Open a stream of a job's events and wait for its first bytes."""
    with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events", headers=headers) as answer:
        pieces = answer.iter_bytes()
        if answer.status_code == 200:
            next(pieces)
        else:
            answer.read()
        # What is left of the pieces is held: the stream would be closed without them.
        yield answer


def test_event_streams_are_counted_and_given_back(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    first, second = keys.bearer("read", "submit"), keys.bearer("read")
    with locked_api(vault, files, clock, FEW) as service:
        service["http"].headers.update(first)
        job_id = submit(service)
        del service["http"].headers["Authorization"]
        with ExitStack() as open_streams:

            def opened(headers: dict[str, str]) -> httpx.Response:
                return open_streams.enter_context(stream(service, job_id, headers))

            assert [opened(first).status_code for _ in range(2)] == [200, 200]
            too_many = opened(first)
            assert (too_many.status_code, too_many.headers["retry-after"]) == (429, "5")
            assert json_of(too_many)["type"] == "urn:jobs-api:too-many-streams"
            assert opened(second).status_code == 200
            full = opened(second)
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            assert json_of(full)["type"] == "urn:jobs-api:streams-full"

        def there_is_room() -> bool:
            with stream(service, job_id, first) as answer:
                return answer.status_code == 200

        wait_until(there_is_room)
        # Refused, answered without a body, and ended by the outcome: each gives its place back.
        for _ in range(5):
            assert service["http"].get("/v1/jobs/files/nope/events", headers=first).status_code == 404
            assert service["http"].head(f"/v1/jobs/files/{job_id}/events", headers=first).status_code == 200
        context = context_of(service, job_id)
        context.publish_started()
        context.publish_failed("user", "x")
        for _ in range(5):
            ended = service["http"].get(f"/v1/jobs/files/{job_id}/events", headers=first)
            assert ended.status_code == 200


def test_a_stream_ends_when_its_key_is_revoked(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    text = keys.new("read", "submit")
    with locked_api(vault, files, clock, heartbeat=0.05) as service:
        service["http"].headers.update(bearer(text))
        job_id = submit(service)
        with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events") as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: state"
            keys.revoke(text)
            assert "event: completed" not in list(lines)


def test_a_stream_of_an_open_api_ends_when_keys_are_needed(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    with running_api(vault, files, clock=clock, heartbeat=0.05) as service:
        job_id = submit(service)
        with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events") as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: state"
            keys.new("read")
            clock.advance(2)
            list(lines)


def raw(service: Service, request: bytes) -> bytes:
    """Send bytes as they are; return all that comes back."""
    port = int(service["url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


def test_an_address_that_is_too_long_is_told(service: Service) -> None:
    answer = service["http"].get("/v1/files/x", params={"x": "y" * 9000})
    assert (answer.status_code, json_of(answer)["type"]) == (414, "urn:jobs-api:address-too-long")


def test_headers_that_are_too_large_are_told(service: Service) -> None:
    answer = service["http"].get("/v1/files/x", headers={"X-Much": "y" * 33_000})
    assert (answer.status_code, json_of(answer)["type"]) == (431, "urn:jobs-api:headers-too-large")


@pytest.mark.parametrize("piece", [b"X: " + b"y" * 1000 + b"\r\n", b"y" * 1000])
def test_headers_without_end_take_no_memory(service: Service, piece: bytes) -> None:
    """One endless header, or endlessly many: the connection is closed with an answer."""
    start = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-First: "
    answer = raw(service, start + b"\r\n" * (piece[:1] == b"X") + piece * 120)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"urn:jobs-api:headers-too-large" in answer


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", b"HTTP/1.1 408 "),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he", b"HTTP/1.1 200 "),
    ],
)
def test_who_never_ends_a_head_is_let_go(
    vault: RedisClient, files: FileStore, monkeypatch: pytest.MonkeyPatch, start: bytes, told: bytes
) -> None:
    """Some thousand such connections, and nobody else gets one. An upload may take longer than a head."""
    monkeypatch.setattr("jobs_api.server.HEAD_SECONDS", 0.2)
    upload = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    with running_api(vault, files) as service:
        port = int(service["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as slow:
            slow.sendall(upload + b"a")
            answer = raw(service, start)
            assert answer[: len(told)] == told
            assert bool(answer) == bool(told)
            slow.sendall(b"b")
            assert slow.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_second_head_that_never_ends_is_let_go(
    vault: RedisClient, files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_api.server.HEAD_SECONDS", 0.2)
    with running_api(vault, files) as service:
        port = int(service["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
            connection.sendall(b"GET /he")
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
            assert connection.recv(1000) == b""


WRONG_HOSTS = [
    b"localhost:99999", b"localhost:abc", b"localhost:-1", b"localhost:80:80", b"[::1", b"[::1]:70000",
    b"me@localhost", b"localhost\r\nHost: other",
]  # fmt: skip


@pytest.mark.parametrize("host", WRONG_HOSTS)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/stats", "/v1/job-types", "/schema", "/healthz"])
def test_a_host_that_is_none_is_refused(service: Service, host: bytes, path: str) -> None:
    """The address of a request is made of it: whatever looked at that address answered with a 500."""
    request = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path.encode(), host)
    assert raw(service, request).startswith(b"HTTP/1.1 400 ")


def test_who_leaves_before_its_body_was_sent_is_no_fault_of_ours(
    service: Service, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It was logged as an error that nobody had foreseen."""
    port = int(service["url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
    wait_until(lambda: service["http"].get("/healthz").status_code == 200)
    assert "http.unexpected" not in "".join(capfd.readouterr()) + caplog.text


def test_what_is_no_http_is_told_once(service: Service) -> None:
    answer = raw(service, b"\x16\x03\x01" + b"y" * 70_000)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_large_body_is_no_large_head(service: Service) -> None:
    """Two uploads on one connection, each larger than a head may be."""
    one = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n%s\r\n" + b"z" * 200_000
    answer = raw(service, one % b"" + one % b"Connection: close\r\n")
    assert answer.count(b"HTTP/1.1 201 ") == 2


def test_nobody_is_believed_about_the_client_s_address(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    def codes(service: Service) -> list[int]:
        return [
            service["http"].get("/v1/files/x", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(4)
        ]

    with running_api(vault, files, access=SLOW, clock=clock) as service:
        assert codes(service)[3] == 429
    with running_api(vault, files, access=SLOW, clock=clock, trusted_proxies=["127.0.0.1"]) as service:
        assert codes(service)[3] == 404


def test_one_address_of_version_6_is_as_good_as_its_neighbours(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    with running_api(vault, files, access=SLOW, clock=clock, trusted_proxies=["127.0.0.1"]) as service:
        codes = [
            service["http"].get("/v1/files/x", headers={"X-Forwarded-For": f"2001:db8:1:2::{n}"}).status_code
            for n in range(4)
        ]
    assert codes[3] == 429


def test_other_sites_are_told_nothing_unless_set(service: Service) -> None:
    answer = service["http"].get("/healthz", headers={"Origin": SITE})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = service["http"].options(
        "/v1/jobs", headers={"Origin": SITE, "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in preflight.headers if name.startswith("access-control-")]


def test_a_site_that_is_set_may_call_with_a_key(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    access: AccessSettings = {**HONEST, "cors_origins": (SITE,)}
    with locked_api(vault, files, clock, access) as service:

        def preflight(origin: str, method: str = "POST", header: str = "authorization") -> httpx.Response:
            headers = {
                "Origin": origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": header,
            }
            return service["http"].options("/v1/jobs", headers=headers)

        told = preflight(SITE)
        assert told.status_code == 204
        assert told.headers["access-control-allow-origin"] == SITE
        assert "access-control-allow-credentials" not in told.headers
        for refused in (
            preflight("https://other.example"),
            preflight("https://app.example.attacker.example"),
            preflight(SITE, method="DELETE"),
            preflight(SITE, header="x-other"),
        ):
            assert refused.status_code == 400
            assert "access-control-allow-origin" not in refused.headers
        # A refusal can be read by the site too, so that it can say what is missing.
        for headers, status in ((keys.bearer("read"), 404), ({}, 401)):
            answer = service["http"].get("/v1/files/x", headers={**headers, "Origin": SITE})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SITE)
        other = service["http"].get("/v1/files/x", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_a_site_that_is_set_may_call_an_open_api(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    access: AccessSettings = {**HONEST, "cors_origins": (SITE,)}
    with running_api(vault, files, access=access, clock=clock) as service:
        answer = service["http"].post("/v1/files", content=b"x", headers={"Origin": SITE})
        assert answer.status_code == 201
