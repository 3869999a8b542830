"""A key held to domains where none need stand in the address: lists, statistics, events; and other scopes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from access_kit import Keys, bearer, locked_api
from event_kit import run_job
from fakeredis import FakeServer
from platform_core.job_events import job_domain
from platform_core.json_values import decode_json
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis
from service_kit import HONEST, PATIENCE, Service, context_of, json_of, running_api, submit
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from jobs_api.object_store import FileStore
from jobs_api.settings import AccessSettings

QR = job_domain("qr")
TURKIC = job_domain("turkic")


def a_job(service: Service, keys: Keys) -> str:
    """Submit a job of the domain `files`; return its id."""
    service["http"].headers.update(keys.bearer("submit"))
    job_id = submit(service)
    del service["http"].headers["Authorization"]
    return job_id


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/active"])
def test_a_list_shows_the_jobs_of_the_key_s_domains(locked: Service, keys: Keys, path: str) -> None:
    job_id = a_job(locked, keys)
    context_of(locked, job_id).publish_started()

    def listed(headers: dict[str, str]) -> list[str]:
        jobs = json_of(locked["http"].get(path, headers=headers))["jobs"]
        assert isinstance(jobs, list)
        return [str(job["job_id"]) for job in jobs if isinstance(job, dict)]

    assert listed(keys.bearer("read")) == [job_id]
    assert listed(keys.bearer("read", domains=["files", "qr"])) == [job_id]
    assert listed(keys.bearer("read", domains=["qr"])) == []
    theirs = keys.bearer("read", domains=["qr"])
    assert locked["http"].get(f"{path}?domain=files", headers=theirs).status_code == 403


def test_statistics_count_the_jobs_of_the_key_s_domains(locked: Service, keys: Keys) -> None:
    a_job(locked, keys)

    def queued(headers: dict[str, str]) -> object:
        counts = json_of(locked["http"].get("/v1/stats", headers=headers))["counts"]
        assert isinstance(counts, dict)
        return counts["queued"]

    assert queued(keys.bearer("read")) == 1
    assert queued(keys.bearer("read", domains=["qr"])) == 0
    theirs = keys.bearer("read", domains=["qr"])
    assert locked["http"].get("/v1/stats?domain=files", headers=theirs).status_code == 403


@pytest.mark.parametrize("word", ["cancel", "retry"])
def test_a_job_is_changed_by_a_key_that_may_and_sees_it(locked: Service, keys: Keys, word: str) -> None:
    path = f"/v1/jobs/files/{a_job(locked, keys)}/{word}"
    assert locked["http"].post(path).status_code == 401
    assert locked["http"].post(path, headers=keys.bearer("read", "submit")).status_code == 403
    theirs = keys.bearer("manage", domains=["qr"])
    assert locked["http"].post(path, headers=theirs).status_code == 403
    ours = keys.bearer("manage", domains=["files"])
    assert locked["http"].post(path, headers=ours).status_code in {200, 409}


def test_preferences_are_for_keys_of_every_domain(locked: Service, keys: Keys) -> None:
    path = "/v1/users/u-1/notification-preferences"
    put = {"opt_out": True}
    assert locked["http"].put(path, json=put).status_code == 401
    assert locked["http"].put(path, json=put, headers=keys.bearer("read")).status_code == 403
    refused = locked["http"].put(path, json=put, headers=keys.bearer("manage", domains=["files"]))
    assert json_of(refused)["type"] == "urn:jobs-api:domain-missing"
    assert locked["http"].get(path, headers=keys.bearer("read", domains=["files"])).status_code == 403
    assert locked["http"].put(path, json=put, headers=keys.bearer("manage")).status_code == 200
    assert json_of(locked["http"].get(path, headers=keys.bearer("read"))) == put


def test_the_link_in_a_mail_needs_no_key(locked: Service) -> None:
    assert locked["http"].get("/unsubscribe?token=x").status_code == 400
    assert locked["http"].post("/unsubscribe?token=x").status_code == 400


@pytest.mark.parametrize(
    ("domains", "query", "heard"),
    [(["qr"], "", "qr"), (["qr", "files"], "domain=qr", "qr"), ([], "domain=turkic", "turkic")],
)
def test_events_are_of_the_domains_that_the_key_sees(
    locked: Service, keys: Keys, domains: list[str], query: str, heard: str
) -> None:
    headers = keys.bearer("read", domains=domains)
    with listening(locked, query, headers) as (lines, socket):
        for domain in (TURKIC, QR):
            run_job(locked["redis"], domain, f"of-{domain}")
        first = next(line for line in lines if line.startswith("data: {") and "job_id" in line)
        assert f'"job_id":"of-{heard}"' in first
        while "job_id" not in (message := str(socket.recv(PATIENCE))):
            pass
        assert f'"job_id":"of-{heard}"' in message


def test_a_key_for_several_domains_says_which_it_wants_to_hear_of(locked: Service, keys: Keys) -> None:
    headers = keys.bearer("read", domains=["qr", "files"])
    answer = locked["http"].get("/v1/events", headers=headers)
    assert answer.status_code == 403
    assert "ask for one of files, qr" in str(json_of(answer)["detail"])
    assert locked["http"].get("/v1/events?domain=turkic", headers=headers).status_code == 403
    with pytest.raises(ConnectionClosed) as caught, talking(locked, "", headers) as socket:
        socket.recv(PATIENCE)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, "files, qr" in caught.value.rcvd.reason) == (4403, True)


def refusal(service: Service, query: str, headers: dict[str, str]) -> tuple[int, str, Headers]:
    """Open a socket, which is refused: return the status, the kind of problem and the headers."""
    with pytest.raises(InvalidStatus) as caught, talking(service, query, headers):
        pass
    answer = caught.value.response
    problem = decode_json(bytes(answer.body or b""))
    assert isinstance(problem, dict)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    return answer.status_code, str(problem["type"]).removeprefix("urn:jobs-api:"), answer.headers


def test_a_refused_socket_is_answered_as_a_refused_request(
    locked: Service, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """A bare 403, whatever the reason, would have clients with a wrong key try for ever."""
    status, word, headers = refusal(locked, "", {})
    assert (status, word) == (401, "key-missing")
    assert headers["www-authenticate"] == 'Bearer realm="jobs-api"'
    assert refusal(locked, "", bearer("x"))[:2] == (401, "key-unknown")
    assert refusal(locked, "", keys.bearer("submit"))[:2] == (403, "scope-missing")
    theirs = keys.bearer("read", domains=["qr"])
    assert refusal(locked, "domain=turkic", theirs)[:2] == (403, "domain-missing")
    # The server has a word in its log for a handshake that was left without an answer.
    assert [line.getMessage() for line in caplog.records if line.levelname == "ERROR"] == []


def test_a_socket_that_may_be_opened_later_says_when(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    few: AccessSettings = {**HONEST, "max_event_streams": 2, "max_event_streams_per_key": 1}
    with running_api(vault, files, access=few, clock=clock) as service, talking(service, "", {}):
        status, word, headers = refusal(service, "", {})
        assert (status, word, headers["retry-after"]) == (429, "too-many-streams", "5")
    few = {**HONEST, "max_event_streams": 1}
    with running_api(vault, files, access=few, clock=clock) as service, talking(service, "", {}):
        status, word, headers = refusal(service, "", {})
        assert (status, word, headers["retry-after"]) == (503, "streams-full", "5")


def test_a_socket_is_refused_for_now_while_it_is_not_known_who_asks(
    files: FileStore, clock: FakeClock
) -> None:
    memory = FakeServer(version=(7, 2))
    with locked_api(FakeRedis(memory), files, clock) as service:
        memory.connected = False
        clock.advance(3600)
        status, word, headers = refusal(service, "", bearer("x"))
        assert (status, word, headers["retry-after"]) == (503, "redis-away", "5")


def test_a_signed_in_browser_may_open_a_socket(locked: Service, keys: Keys) -> None:
    locked["http"].post("/sign-in", data={"key": keys.new("read")})
    cookie = {"Cookie": f"jobs_session={locked['http'].cookies['jobs_session']}"}
    with talking(locked, "", cookie) as socket:
        assert socket.recv(PATIENCE)


def test_a_page_of_another_site_opens_no_socket_of_an_open_api(service: Service) -> None:
    """A browser asks nobody before it opens a socket to another site, and lets the page read what comes."""
    assert refusal(service, "", {"Origin": "https://attacker.example"})[:2] == (403, "other-site")
    with talking(service, "", {"Origin": service["url"]}) as socket:
        assert socket.recv(PATIENCE)


def test_streams_end_when_their_key_is_revoked(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    text = keys.new("read")
    with (
        locked_api(vault, files, clock, heartbeat=0.05) as service,
        listening(service, "", bearer(text)) as (lines, socket),
    ):
        next(lines)
        socket.recv(PATIENCE)
        keys.revoke(text)
        list(lines)
        # What was on its way still comes; then the server says goodbye.
        with suppress(ConnectionClosed):
            list(socket)
        # 1001 would say "connect again": for ever, with a key that is refused.
        assert socket.close_code == 4401


def test_sockets_take_places_and_give_them_back(
    vault: RedisClient, files: FileStore, clock: FakeClock
) -> None:
    few: AccessSettings = {**HONEST, "max_event_streams": 2, "max_event_streams_per_key": 2}
    with running_api(vault, files, access=few, clock=clock) as service:
        with listening(service, "", {}), pytest.raises(InvalidStatus), talking(service, "", {}):
            pass
        for _ in range(5):
            with talking(service, "", {}) as socket:
                socket.recv(PATIENCE)


@contextmanager
def talking(service: Service, query: str, headers: dict[str, str]) -> Iterator[ClientConnection]:
    """Open a socket to the events."""
    address = service["url"].replace("http://", "ws://") + f"/v1/events/ws?{query}"
    with connect(
        address.rstrip("?"), additional_headers=headers, proxy=None, open_timeout=PATIENCE
    ) as socket:
        yield socket


@contextmanager
def listening(
    service: Service, query: str, headers: dict[str, str]
) -> Iterator[tuple[Iterator[str], ClientConnection]]:
    """Listen to the events both ways: as Server-Sent Events and by a socket."""
    address = f"/v1/events?{query}".rstrip("?")
    with (
        service["http"].stream("GET", address, headers=headers) as answer,
        talking(service, query, headers) as socket,
    ):
        assert answer.status_code == 200
        yield answer.iter_lines(), socket
