"""Events over HTTP on the running service: who comes back misses nothing, who is slow slows nobody."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from event_kit import (
    LAST,
    Told,
    by_domain,
    completed,
    kept,
    listening,
    new_job,
    publish_only,
    run_job,
    run_last,
    told,
    up_to_last,
)
from fakeredis import FakeServer
from platform_core.job_events import DIGITS, TURKIC, default_events_log, job_domain
from platform_core.json_values import JsonObject, decode_json
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger, FakeRedis
from service_kit import PATIENCE, Service, json_of, losing, running_api, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from jobs_api.http.event_streams import code_of_end
from jobs_api.http.query import user_id_of
from jobs_api.object_store import FileStore
from jobs_api.registry import FILES

SHOP = job_domain("shop")


@pytest.fixture
def service(redis: RedisClient, files: FileStore) -> Iterator[Service]:
    """An API of the test's own: one that remembers another test's logs would tell that they are gone."""
    with running_api(redis, files) as running:
        yield running


def history(redis: RedisClient) -> None:
    """Publish jobs of three domains and two users, side by side; the last one in the end."""
    jobs = [
        new_job(redis, FILES, "a", 7),
        new_job(redis, TURKIC, "b", 8),
        new_job(redis, DIGITS, "c", 7),
        new_job(redis, FILES, "b", 8),
    ]
    for job in jobs:
        job.publish_started()
    for step in range(2):
        for job in jobs:
            job.publish_progress(step)
    jobs[2].publish_failed("user", "bad row")
    for job in (jobs[0], jobs[1], jobs[3]):
        job.publish_completed(result_id="r", result_bytes=1)


# -- reconnecting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [{}, {"domain": "turkic"}, {"user_id": "8"}, {"domain": "files"}])
def test_from_every_point_of_a_history_the_rest_comes_once_and_whole(
    service: Service, redis: RedisClient, wanted: dict[str, str]
) -> None:
    domain = job_domain(wanted.get("domain", "files"))
    with listening(service, wanted) as stream:
        heard = [next(stream)]
        history(redis)
        run_last(redis, domain, 8)
        heard += up_to_last(stream)
    assert heard[0]["name"] == ""
    assert {message["name"] for message in heard[1:]} >= {"started", "progress", "completed"}
    for place in range(1, len(heard)):
        # As a browser keeps it: an event without an id leaves the last one as it was.
        last_id = [message["id"] for message in heard[:place] if message["id"]][-1]
        with listening(service, wanted, last_id) as stream:
            again = up_to_last(stream)
        assert by_domain(again) == by_domain(heard[place:]), f"after {last_id}"


def test_what_happens_while_a_client_is_away_and_comes_back_is_told_once(
    service: Service, redis: RedisClient
) -> None:
    """Events go on all the while, so replay and live meet at a different place each time."""
    stop = threading.Event()
    count = 0

    def publish_on() -> None:
        nonlocal count
        while not stop.is_set():
            run_job(redis, (FILES, TURKIC, DIGITS)[count % 3], f"j{count}")
            count += 1
        run_last(redis, FILES)

    with listening(service) as stream:
        last_id = next(stream)["id"]
    publisher = threading.Thread(target=publish_on)
    publisher.start()
    heard: list[Told] = []
    for _ in range(30):
        with listening(service, last_event_id=last_id) as stream:
            for message in stream:
                heard.append(message)
                last_id = message["id"] or last_id
                if len(kept(heard)) % 7 == 3:
                    break
    stop.set()
    publisher.join(PATIENCE)
    with listening(service, last_event_id=last_id) as stream:
        heard += up_to_last(stream)
    names = [f"j{number}" for number in range(count)] + [LAST]
    assert [job for _, job, name in kept(heard) if name == "completed"] == names
    assert [job for _, job, name in kept(heard) if name == "started"] == names


def test_an_id_in_the_address_does_as_one_in_the_header_and_the_header_wins(
    service: Service, redis: RedisClient
) -> None:
    with listening(service, {"last_event_id": ""}) as stream:
        first = next(stream)["id"]
    run_job(redis, FILES, "a")
    with listening(service, {"last_event_id": first}) as stream:
        second = next(message for message in stream if message["name"])
    assert (second["name"], second["data"]["job_id"]) == ("started", "a")
    run_last(redis, FILES)
    with listening(service, {"last_event_id": first}, second["id"]) as stream:
        assert kept(up_to_last(stream))[0] == ("files", "a", "completed")


def test_a_dash_asks_for_all_there_is(service: Service, redis: RedisClient) -> None:
    run_job(redis, TURKIC, "a")
    run_last(redis, FILES)
    with listening(service, last_event_id="-") as stream:
        assert [job for _, job, _ in kept(up_to_last(stream))] == ["a", "a", LAST, LAST]


def test_what_the_log_has_lost_is_told_as_a_gap(service: Service, redis: RedisClient) -> None:
    with listening(service) as stream:
        first = next(stream)["id"]
    run_job(redis, FILES, "a")
    with listening(service, last_event_id=first) as stream:
        seen = next(stream)["id"]
        run_last(redis, FILES)
        # The process itself has read it all: else it might meet the gap too, and tell what is lost live.
        up_to_last(stream)
    redis.connection.xtrim(default_events_log(FILES), maxlen=1, approximate=False)
    with listening(service, {"domain": "files"}, seen) as stream:
        heard = up_to_last(stream)
    assert [message["name"] for message in heard if message["name"]] == ["gap", "completed"]
    assert heard[0]["data"] == {"domain": "files", "reason": "trimmed"}


def test_an_id_of_a_log_that_is_gone_is_told_and_events_go_on(service: Service, redis: RedisClient) -> None:
    wait_for_hub(service, redis)
    with listening(service, {"domain": "files"}, "files=999999999999999-0") as stream:
        gap = next(stream)
        assert (gap["name"], gap["data"]) == ("gap", {"domain": "files", "reason": "reset"})
        run_last(redis, FILES)
        assert [job for _, job, _ in kept(up_to_last(stream))] == [LAST, LAST]


# -- who hears what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "jobs"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"domain": "files"}, ["a", "b"]),
        ({"user_id": "8"}, ["b", "d"]),
        ({"job_id": "c"}, ["c"]),
        ({"domain": "files", "user_id": "8"}, ["b"]),
        ({"domain": "turkic", "user_id": "8", "job_id": "d"}, ["d"]),
    ],
)
def test_a_client_hears_what_it_asked_for_live_and_again(
    service: Service, redis: RedisClient, wanted: dict[str, str], jobs: list[str]
) -> None:
    wait_for_hub(service, redis)
    with listening(service, wanted) as live:
        first = next(live)["id"]
        run_job(redis, FILES, "a", 7)
        run_job(redis, FILES, "b", 8)
        run_job(redis, TURKIC, "c", 7)
        run_job(redis, TURKIC, "d", 8)
        live_jobs = [message["data"]["job_id"] for message in taken(live, len(jobs) * 3)]
    assert live_jobs == [job for job in jobs for _ in range(3)]
    with listening(service, wanted, first) as again:
        heard = taken(again, len(jobs) * 2)
    assert [message["data"]["job_id"] for message in heard] == [job for job in jobs for _ in range(2)]


def taken(stream: Iterator[Told], count: int) -> list[Told]:
    return [next(stream) for _ in range(count)]


def wait_for_hub(service: Service, redis: RedisClient) -> None:
    """Let an event pass: then the hub has come to the present end of the logs."""
    with listening(service) as stream:
        next(stream)
        run_last(redis, FILES)
        up_to_last(stream)


def test_an_outcome_of_a_service_that_writes_no_log_is_told_without_an_id(
    service: Service, redis: RedisClient
) -> None:
    with listening(service) as stream:
        next(stream)
        publish_only(redis, completed(SHOP, "foreign"))
        run_job(redis, FILES, "own")
        publish_only(redis, completed(FILES, LAST, 8))
        heard = up_to_last(stream)
    assert [(job, name) for _, job, name in kept(heard)] == [
        ("foreign", "completed"),
        ("own", "started"),
        ("own", "completed"),
        (LAST, "completed"),
    ]
    assert [bool(message["id"]) for message in heard] == [False, True, False, True, False]


def test_a_metrics_event_is_told_live(service: Service, redis: RedisClient) -> None:
    with listening(service, {"domain": "trainer", "user_id": "7"}) as stream:
        next(stream)
        redis.publish(
            "trainer:events",
            '{"type":"trainer.metrics.completed.v1","job_id":"t-1","user_id":7,'
            '"test_loss":0.5,"test_ppl":1.5,"artifact_path":"/a"}',
        )
        heard = next(stream)
    assert (heard["id"], heard["name"], heard["data"]["test_loss"]) == ("", "metrics", 0.5)


def test_events_come_in_the_order_in_which_they_were_published(service: Service, redis: RedisClient) -> None:
    """The log is read ahead of the subscription; an outcome must not overtake the progress before it."""
    with listening(service) as stream:
        next(stream)
        for number in range(30):
            run_job(redis, FILES, f"j{number}")
        run_last(redis, FILES)
        heard = up_to_last(stream)
    names = [f"j{number}" for number in range(30)] + [LAST]
    assert [(message["data"]["job_id"], message["name"]) for message in heard] == [
        (job, name) for job in names for name in ("started", "progress", "completed")
    ]


# -- many, slow, gone ---------------------------------------------------------------------------------------


def test_fifty_clients_share_one_subscription(files: FileStore) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis()).client()
        stack.callback(redis.close)
        service = stack.enter_context(running_api(redis, files))
        limits = httpx.Limits(max_connections=60)
        http = httpx.Client(base_url=service["url"], trust_env=False, timeout=PATIENCE, limits=limits)
        stack.enter_context(http)
        mine: Service = {**service, "http": http}
        streams = [stack.enter_context(listening(mine)) for _ in range(50)]
        for stream in streams:
            next(stream)
        assert len(redis.connection.client_list(_type="pubsub")) == 1
        assert redis.connection.pubsub_numpat() == 1
        run_last(redis, FILES)
        assert all(len(up_to_last(stream)) == 3 for stream in streams)


def test_a_client_that_does_not_read_slows_nobody_and_misses_progress_alone(
    service: Service, redis: RedisClient
) -> None:
    port = int(service["url"].rpartition(":")[2])
    deaf = socket.socket()
    deaf.settimeout(PATIENCE)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with deaf, deaf.makefile("r", encoding="utf-8") as lines, listening(service) as fast:
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert any(line.startswith("id: ") for line in lines)
        next(fast)
        # 16 MB: buffers, what is being written and what waits hold about half of it.
        for number in range(400):
            run_job(redis, FILES, f"j{number}", said="x" * 40_000)
        run_last(redis, FILES)
        # The quick one has everything while the other has not read a thing.
        heard = up_to_last(fast)
        assert len(heard) == 3 * 401
        late = up_to_last(told(without_chunks(lines)))
    assert kept(late) == kept(heard)
    assert len(late) < len(heard)


def without_chunks(lines: Iterator[str]) -> Iterator[str]:
    """Give the lines of a chunked body without the chunks' sizes."""
    for line in lines:
        text = line.rstrip("\r\n")
        if not all(character in "0123456789abcdef" for character in text) or not text:
            # An empty line that ends a chunk comes after the empty line that ends an event.
            yield text


def test_redis_restarts_while_clients_listen_and_nothing_is_missed(files: FileStore, tmp_path: Path) -> None:
    server = EmbeddedRedis(folder=tmp_path / "redis", append_only=True)
    server.start()
    redis, other = server.client(), server.client()
    with running_api(redis, files, heartbeat=0.1) as service, listening(service) as stream:
        heard = [next(stream)]
        job = new_job(other, FILES, "a")
        job.publish_started()
        heard.append(next(message for message in stream if message["name"]))
        server.kill()
        server.start()
        # Before the API has noticed anything: what is published now is heard by nobody.
        job.publish_completed(result_id="r", result_bytes=1)
        run_job(other, TURKIC, "b")
        run_last(other, FILES)
        heard += up_to_last(stream)
    redis.close()
    other.close()
    server.stop()
    assert sorted(kept(heard)) == sorted(
        [
            (domain, job_id, name)
            for domain, job_id in (("files", "a"), ("turkic", "b"), ("files", LAST))
            for name in ("started", "completed")
        ]
    )


def test_while_redis_is_away_streams_wait_and_go_on(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    redis, clock = FakeRedis(memory), FakeClock()
    # The time stands still, so it is still known that no key is needed.
    with running_api(redis, files, heartbeat=0.05, clock=clock, prepare=losing(memory)) as service:
        with service["http"].stream("GET", "/v1/events") as response:
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": waiting for Redis"
            memory.connected = True
            stream = told(lines)
            first = next(stream)["id"]
            run_last(redis, FILES)
            up_to_last(stream)
            memory.connected = False
        with service["http"].stream("GET", "/v1/events", headers={"Last-Event-ID": first}) as response:
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith(": w")) == ": waiting for Redis"
            memory.connected = True
            assert [name for _, _, name in kept(up_to_last(told(lines)))] == ["started", "completed"]


def test_a_quiet_stream_tells_where_it_is(redis: RedisClient, files: FileStore) -> None:
    """So that the id of a client that hears little does not grow so old that the log has lost it."""
    with (
        running_api(redis, files, heartbeat=0.05) as service,
        listening(service, {"user_id": "99"}) as stream,
    ):
        first = next(stream)["id"]
        run_job(redis, FILES, "other")
        later = next(message for message in stream if message["id"] != first)
        assert (later["name"], later["data"]) == ("", {})
        assert later["id"].startswith("files=")


def test_a_server_that_stops_ends_its_streams(redis: RedisClient, files: FileStore) -> None:
    with ExitStack() as stack:
        with running_api(redis, files) as service:
            http = stack.enter_context(
                httpx.Client(base_url=service["url"], trust_env=False, timeout=PATIENCE)
            )
            mine: Service = {**service, "http": http}
            stream = stack.enter_context(listening(mine))
            first = next(stream)
            by_socket = stack.enter_context(talking(service))
            assert next(messages(by_socket))["event"] == "position"
        assert list(stream) == []
        assert first["name"] == ""
        with pytest.raises(ConnectionClosed) as closed:
            by_socket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in {1001, 1012}


def test_a_server_that_waits_for_redis_stops_too(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    redis, clock = FakeRedis(memory), FakeClock()
    with ExitStack() as stack:
        with running_api(redis, files, heartbeat=0.05, clock=clock, prepare=losing(memory)) as service:
            http = stack.enter_context(
                httpx.Client(base_url=service["url"], trust_env=False, timeout=PATIENCE)
            )
            response = stack.enter_context(http.stream("GET", "/v1/events"))
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": waiting for Redis"
        assert list(told(lines)) == []


# -- refusals -----------------------------------------------------------------------------------------------

REFUSED = [
    ("domain=Files", "domain"),
    ("job_id=a:b", "job_id"),
    ("user_id=seven", "user_id"),
    ("user_id=9999999999999999999", "user_id"),
    ("last_event_id=files", "last_event_id"),
    ("last_event_id=files=1-1,files=2-2", "last_event_id"),
    ("colour=red", "colour"),
    ("domain=files&domain=turkic", "domain"),
]


@pytest.mark.parametrize("address", ["/v1/events", "/v1/jobs"])
@pytest.mark.parametrize("user_id", ["9999999999999999999", "1" * 20, "00" + "1" * 5000])
def test_a_user_id_beyond_its_bound_is_told_the_bound(
    shared_service: Service, address: str, user_id: str
) -> None:
    """From twenty digits on it was told that it is no number."""
    answer = shared_service["http"].get(address, params={"user_id": user_id})
    assert (answer.status_code, json_of(answer)["detail"]) == (
        422,
        "user_id: expected int <= 9223372036854775807, found int",
    )


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("-007", -7), ("0", 0), ("-9223372036854775808", -(2**63))]
)
def test_a_user_id_is_a_number_of_64_bits(text: str, number: int) -> None:
    assert user_id_of(text) == number


@pytest.mark.parametrize(("query", "field"), REFUSED)
def test_a_wrong_parameter_is_refused_and_named(shared_service: Service, query: str, field: str) -> None:
    answer = shared_service["http"].get(f"/v1/events?{query}")
    problem = json_of(answer)
    assert answer.status_code == 422
    assert problem["type"] == "urn:jobs-api:invalid-fields"
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert isinstance(errors[0], dict)
    assert errors[0]["field"] == field


def test_a_wrong_last_event_id_is_refused_and_named(shared_service: Service) -> None:
    answer = shared_service["http"].get("/v1/events", headers={"Last-Event-ID": "17"})
    assert answer.status_code == 422
    assert str(json_of(answer)["detail"]).startswith("Last-Event-ID: expected the id of an event")


def test_head_opens_no_stream(service: Service) -> None:
    answer = service["http"].head("/v1/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"


# -- by WebSocket -------------------------------------------------------------------------------------------


@contextmanager
def talking(service: Service, query: str = "") -> Iterator[ClientConnection]:
    address = service["url"].replace("http://", "ws://") + "/v1/events/ws"
    with connect(f"{address}?{query}" if query else address, proxy=None, open_timeout=PATIENCE) as client:
        yield client


def messages(client: ClientConnection) -> Iterator[JsonObject]:
    while True:
        message = decode_json(client.recv(PATIENCE))
        assert isinstance(message, dict)
        yield message


def test_a_socket_tells_the_same_as_json_and_resumes(service: Service, redis: RedisClient) -> None:
    with talking(service, "domain=files") as client:
        stream = messages(client)
        first = next(stream)
        assert set(first) == {"id", "event"}
        assert first["event"] == "position"
        run_job(redis, FILES, "a")
        heard = [next(stream) for _ in range(3)]
    assert [message["event"] for message in heard] == ["started", "progress", "completed"]
    assert ["id" in message for message in heard] == [True, False, True]
    assert heard[1]["data"] == {
        "type": "files.job.progress.v1",
        "domain": "files",
        "job_id": "a",
        "user_id": 7,
        "progress": 50,
        "message": "",
    }
    with talking(service, f"domain=files&last_event_id={heard[0]['id']}") as client:
        stream = messages(client)
        assert next(stream) == heard[2]
    redis.connection.xtrim(default_events_log(FILES), maxlen=0, approximate=False)
    with talking(service, f"domain=files&last_event_id={heard[0]['id']}") as client:
        gap = next(messages(client))
        assert (gap["event"], gap["data"]) == ("gap", {"domain": "files", "reason": "trimmed"})


@pytest.mark.parametrize(("query", "field"), REFUSED)
def test_a_socket_with_a_wrong_parameter_is_closed_with_its_name(
    shared_service: Service, query: str, field: str
) -> None:
    with talking(shared_service, query) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4422
        assert closed.value.rcvd.reason.startswith(f"{field}: expected ")


def test_what_a_client_says_by_socket_is_not_heard_and_has_its_bounds(
    service: Service, redis: RedisClient
) -> None:
    with talking(service) as client:
        stream = messages(client)
        next(stream)
        client.send("hello")
        client.send(b"\x00")
        run_last(redis, FILES)
        assert next(stream)["event"] == "started"
        client.send("x" * 2000)
        assert close_code(stream) == 1009
    with talking(service) as client:
        for _ in range(60):
            client.send("hello")
        assert close_code(messages(client)) == 1008


def test_what_nobody_foresaw_closes_a_socket_and_is_logged() -> None:
    """Else a fault of ours would look like a client that has gone."""
    logger = FakeLogger()

    async def fail() -> int | None:
        raise KeyError("x")

    async def code() -> int | None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        return code_of_end(task, logger)

    assert asyncio.run(code()) == 1011
    assert logger.lines == [
        {"level": "error", "event": "http.unexpected", "fields": {"error": "KeyError('x')"}}
    ]


def close_code(stream: Iterator[JsonObject]) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        for _ in stream:
            pass
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_a_socket_waits_for_redis_and_a_client_may_leave_at_any_time(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    redis, clock = FakeRedis(memory), FakeClock()
    # The time stands still, so it is still known that no key is needed.
    with running_api(redis, files, heartbeat=0.05, clock=clock, prepare=losing(memory)) as service:
        with talking(service) as client:
            assert next(messages(client)) == {"event": "waiting"}
        with talking(service) as client:
            memory.connected = True
            assert any(message["event"] == "position" for message in messages(client))
        server = service["server"]
        wait_until(lambda: not server.server_state.connections)
