"""Who may do what, on the running API: keys, scopes, domains, and the API without any key."""

from datetime import timedelta

import httpx
import pytest
from access_kit import Keys, bearer, key_id_of, locked_api
from fakeredis import FakeServer
from litestar import Litestar, get, websocket
from litestar.connection import WebSocket
from litestar.datastructures import State
from litestar.testing import TestClient
from platform_core.clock import SystemClock
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from service_kit import HONEST, Service, json_of, running_api, submit

from jobs_api.access.key_ring import KeyRing
from jobs_api.access.key_store import KeyStore, SessionStore
from jobs_api.access.keys import Scope
from jobs_api.access.places import StreamPlaces
from jobs_api.access.rates import TokenBuckets
from jobs_api.http.access import READS_ALL, check_declarations, declarations
from jobs_api.http.gate import Gate, GateParts, is_loopback
from jobs_api.http.problems import ProblemError, problem_response
from jobs_api.object_store import FileStore
from jobs_api.wiring import assemble_api

JOB = {"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": "0" * 32}}


@pytest.fixture
def app(files: FileStore) -> Litestar:
    return assemble_api(
        FakeRedis(),
        files,
        max_upload_bytes=1,
        heartbeat_seconds=1,
        access=HONEST,
        local=True,
        clock=FakeClock(),
    )["app"]


NEEDS: list[tuple[str, str, Scope]] = [
    ("GET", "/v1/jobs/files/x", "read"),
    ("HEAD", "/v1/jobs/files/x", "read"),
    ("GET", "/v1/jobs/files/x/log", "read"),
    ("GET", "/v1/jobs/files/x/result", "read"),
    ("GET", "/v1/jobs/files/x/deliveries", "read"),
    ("GET", "/v1/jobs/files/x/events", "read"),
    ("GET", "/v1/files/x", "read"),
    ("GET", "/jobs/files/x", "read"),
    ("GET", "/v1/job-types", "read"),
    ("GET", "/schema/openapi.json", "read"),
    ("POST", "/v1/jobs", "submit"),
    ("POST", "/v1/files", "submit"),
]


def test_every_route_says_who_may_use_it(app: Litestar) -> None:
    """One that says nothing would be open or closed by accident: such an application is not built."""
    found = list(declarations(app))
    assert len(found) > 15
    assert all(need is not None for _, _, need in found)
    for path, method, need in found:
        if path.startswith("/v1/"):
            assert need in ({"read"} if method in {"GET", "HEAD", "WEBSOCKET"} else {"submit", "manage"}), (
                path
            )
    open_ones = {path for path, _, need in found if need in {"anyone", "probe"}}
    assert open_ones <= {"/", "/healthz", "/readyz", "/sign-in", "/sign-out", "/unsubscribe"}


def test_an_application_with_a_silent_route_is_not_built() -> None:
    @get("/told", opt={"access": "read"})
    async def told() -> None: ...

    @get("/silent", opt={"access": "everybody"})
    async def silent() -> None: ...

    @websocket("/whisper")
    async def whisper(socket: WebSocket[object, object, State]) -> None: ...

    with pytest.raises(LookupError, match="GET /silent, WEBSOCKET /whisper"):
        check_declarations(Litestar([told, silent, whisper], openapi_config=None))


@pytest.mark.parametrize(("method", "path", "need"), NEEDS)
def test_each_route_needs_its_scope_and_no_other(
    locked: Service, keys: Keys, method: str, path: str, need: Scope
) -> None:
    def ask(headers: dict[str, str] | None = None) -> httpx.Response:
        return locked["http"].request(method, path, headers=headers)

    nobody = ask()
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == 'Bearer realm="jobs-api"'
    others: list[Scope] = [scope for scope in ("read", "submit", "manage") if scope != need]
    refused = ask(keys.bearer(*others))
    assert refused.status_code == 403
    assert f'scope="{need}"' in refused.headers["www-authenticate"]
    assert ask(keys.bearer(need)).status_code not in {401, 403}
    if method != "HEAD" and not path.startswith("/jobs/"):
        assert json_of(nobody)["type"] == "urn:jobs-api:key-missing"
        assert refused.headers["content-type"] == "application/problem+json"
        assert json_of(refused)["type"] == "urn:jobs-api:scope-missing"
        assert f"the scope `{need}`" in str(json_of(refused)["detail"])


def test_no_key_is_needed_to_ask_whether_it_lives(locked: Service) -> None:
    assert locked["http"].get("/healthz").status_code == 200
    assert json_of(locked["http"].get("/readyz"))["status"] == "degraded"


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("Bearer jobs_0123456789ab_" + "x" * 43, "key-unknown"),
        ("Bearer", "key-unknown"),
        ("Bearer \xe9", "key-unknown"),
        ("Basic am9iczp4", "key-unknown"),
        ("", "key-unknown"),
    ],
)
def test_what_is_no_key_is_refused(locked: Service, header: str, word: str) -> None:
    answer = locked["http"].get("/v1/jobs/files/x", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert json_of(answer)["type"] == f"urn:jobs-api:{word}"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "xxx" not in answer.text


def test_the_scheme_is_written_in_any_case(locked: Service, keys: Keys) -> None:
    text = keys.new("read")
    answer = locked["http"].get("/v1/jobs/files/x", headers={"Authorization": f"bEARER  {text}"})
    assert answer.status_code == 404


def test_the_secret_of_another_key_is_of_no_use(locked: Service, keys: Keys) -> None:
    first, second = keys.new("read"), keys.new("read")
    mixed = first[:18] + second[18:]
    assert locked["http"].get("/v1/jobs/files/x", headers=bearer(mixed)).status_code == 401


def test_a_revoked_key_is_refused_two_seconds_later(locked: Service, keys: Keys) -> None:
    text = keys.new("read")
    assert locked["http"].get("/v1/jobs/files/x", headers=bearer(text)).status_code == 404
    keys.revoke(text)
    answer = locked["http"].get("/v1/jobs/files/x", headers=bearer(text))
    assert (answer.status_code, json_of(answer)["type"]) == (401, "urn:jobs-api:key-revoked")
    assert locked["http"].get("/v1/jobs/files/x").status_code == 401


def test_an_expired_key_is_refused(locked: Service, keys: Keys, clock: FakeClock) -> None:
    text = keys.new("read", lasts=timedelta(days=1))
    assert locked["http"].get("/v1/jobs/files/x", headers=bearer(text)).status_code == 404
    clock.advance(86_400)
    answer = locked["http"].get("/v1/jobs/files/x", headers=bearer(text))
    assert (answer.status_code, json_of(answer)["type"]) == (401, "urn:jobs-api:key-expired")


def test_a_used_key_is_noted(locked: Service, keys: Keys) -> None:
    text = keys.new("read")
    locked["http"].get("/v1/jobs/files/x", headers=bearer(text))
    assert list(keys.store.last_uses()) == [key_id_of(text)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/turkic/x",
        "/v1/jobs/turkic/x/log",
        "/v1/jobs/turkic/x/result",
        "/v1/jobs/turkic/x/deliveries",
        "/v1/jobs/turkic/x/events",
        "/v1/jobs/%2E%2E/x",
        "/v1/jobs/Files/x",
        "/v1/jobs/files/x?domain=turkic",
        "/v1/jobs/files/x?domain=files&domain=turkic",
    ],
)
def test_a_key_for_some_domains_sees_no_other(locked: Service, keys: Keys, path: str) -> None:
    """Also where there is no such job: that it is not there is told to those alone who may see it."""
    text = keys.new("read", domains=["files", "qr"])
    answer = locked["http"].get(path, headers=bearer(text))
    assert answer.status_code == 403
    assert json_of(answer)["type"] == "urn:jobs-api:domain-missing"
    assert "other domains (files, qr)" in str(json_of(answer)["detail"])
    assert locked["http"].get("/v1/jobs/files/x", headers=bearer(text)).status_code == 404
    assert locked["http"].get("/jobs/turkic/x", headers=bearer(text)).status_code == 403


def test_a_key_for_some_domains_submits_to_no_other(locked: Service, keys: Keys) -> None:
    ours, theirs = (
        keys.bearer("submit", domains=["files"]),
        keys.bearer("submit", domains=["qr"]),
    )
    assert locked["http"].post("/v1/jobs", json=JOB, headers=ours).status_code == 201
    answer = locked["http"].post("/v1/jobs", json=JOB, headers=theirs)
    assert (answer.status_code, json_of(answer)["type"]) == (403, "urn:jobs-api:domain-missing")
    # The domain in the body counts, whatever the default is.
    answer = locked["http"].post("/v1/jobs", json={**JOB, "domain": "qr"}, headers=ours)
    assert answer.status_code == 403
    assert len(locked["redis"].keys("files:job:*:log")) == 1


def test_a_key_for_some_domains_is_told_their_job_types_alone(locked: Service, keys: Keys) -> None:
    def types(headers: dict[str, str]) -> object:
        return json_of(locked["http"].get("/v1/job-types", headers=headers))["job_types"]

    assert types(keys.bearer("read", domains=["qr"])) == []
    assert types(keys.bearer("read", domains=["files", "qr"])) == types(keys.bearer("read")) != []


def test_what_belongs_to_no_domain_needs_a_key_for_every_domain(keys: Keys, vault: RedisClient) -> None:
    """As a user's preferences: whoever is held to one team's jobs must not stop another team's mails."""
    clock = SystemClock()
    parts: GateParts = {
        "ring": KeyRing(KeyStore(vault), local=False, clock=clock, logger=FakeLogger()),
        "sessions": SessionStore(vault),
        "buckets": TokenBuckets(0, clock=clock),
        "places": StreamPlaces(in_all=1, for_one=1),
        "origins": (),
        "clock": clock,
    }

    @get("/wishes", opt=READS_ALL)
    async def wishes() -> str:
        return "told"

    app = Litestar([wishes], middleware=[Gate(parts).around], openapi_config=None)
    app.exception_handlers[ProblemError] = lambda _request, error: problem_response(error.problem)
    limited, whole = keys.bearer("read", domains=["files"]), keys.bearer("read")
    with TestClient(app) as client:
        refused = client.get("/wishes", headers=limited)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:jobs-api:domain-missing")
        assert client.get("/wishes", headers=whole).text == "told"


def test_without_redis_nobody_is_let_in(files: FileStore) -> None:
    memory, clock = FakeServer(version=(7, 2)), FakeClock()
    client = FakeRedis(memory)
    text = Keys(client, clock).new("read")
    memory.connected = False
    with locked_api(client, files, clock) as service:
        answer = service["http"].get("/v1/files/x", headers=bearer(text))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert service["http"].get("/healthz").status_code == 200
        memory.connected = True
        assert service["http"].get("/v1/files/x", headers=bearer(text)).status_code == 404


def test_an_open_api_asks_for_keys_as_soon_as_there_is_one(
    vault: RedisClient, keys: Keys, files: FileStore, clock: FakeClock
) -> None:
    with running_api(vault, files, clock=clock) as service:
        assert service["http"].get("/v1/files/x").status_code == 404
        text = keys.new("read")
        clock.advance(2)
        assert service["http"].get("/v1/files/x").status_code == 401
        keys.revoke(text)
        assert service["http"].get("/v1/files/x").status_code == 401


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", "10.0.0.1", "[::2]", ""])
def test_an_open_api_answers_to_its_own_names_alone(service: Service, host: str) -> None:
    """A page of another site can make its own name lead to 127.0.0.1, and would read what it likes here."""
    answer = service["http"].get("/v1/files/x", headers={"Host": host})
    assert (answer.status_code, json_of(answer)["type"]) == (403, "urn:jobs-api:not-local")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:80", "127.0.0.1:1", "127.8.9.1", "[::1]", "[::1]:8080"]
)
def test_the_names_of_this_machine_are_known(service: Service, host: str) -> None:
    assert service["http"].get("/v1/files/x", headers={"Host": host}).status_code == 404


def test_an_open_api_takes_nothing_from_pages_of_other_sites(service: Service) -> None:
    """A browser sends a plain form anywhere without asking; it says from where."""

    def post(origin: str) -> int:
        headers = {"Origin": origin, "Content-Type": "text/plain"}
        return service["http"].post("/v1/files", content=b"x", headers=headers).status_code

    assert post("https://attacker.example") == 403
    assert post("null") == 403
    assert post(service["url"]) == 201
    assert service["http"].get("/v1/files/x", headers={"Origin": "https://a.example"}).status_code == 404


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("jobs.example", False), ("::ffff:10.0.0.1", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_a_key_never_comes_back(locked: Service, keys: Keys, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither in an answer nor in a log, whatever goes wrong with it."""
    texts = [keys.new("read"), keys.new("submit"), "jobs_0123456789ab_" + "S" * 43]
    said = ""
    for text in texts:
        for path in (
            "/v1/jobs/files/x",
            "/v1/files/x",
            "/nowhere",
            "/jobs/files/x",
            f"/v1/files/{'x' * 9000}",
        ):
            answer = locked["http"].get(path, headers=bearer(text))
            said += answer.text + str(answer.headers)
        said += locked["http"].post("/v1/jobs", content=b"{", headers=bearer(text)).text
    said += "".join(capfd.readouterr())
    assert all(text.split("_", 2)[2] not in said for text in texts)


def test_an_upload_without_a_key_is_refused_before_it_is_read(locked: Service) -> None:
    answer = locked["http"].post("/v1/files", content=b"x" * 1_000_000)
    assert answer.status_code == 401


def test_a_worker_s_job_stays_readable(locked: Service, keys: Keys) -> None:
    """What one key submits another reads, if its domains allow it."""
    locked["http"].headers.update(keys.bearer("read", "submit"))
    job_id = submit(locked)
    del locked["http"].headers["Authorization"]
    reader = keys.bearer("read", domains=["files"])
    assert locked["http"].get(f"/v1/jobs/files/{job_id}", headers=reader).status_code == 200
