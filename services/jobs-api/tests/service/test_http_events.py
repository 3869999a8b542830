"""Following a job by Server-Sent Events: nothing is missed, nobody is slowed, the stream ends by itself."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from fakeredis import FakeServer
from platform_core.job_types import job_key
from platform_core.json_values import JsonObject, decode_json
from platform_workers.event_history import EventHistory
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger, FakeRedis
from service_kit import PATIENCE, Service, context_of, running_api, submit, wait_until
from typing_extensions import override

from jobs_api.client.server_events import ServerEvent, parse_server_events
from jobs_api.event_feed import EventFeed
from jobs_api.event_hub import EventHub
from jobs_api.http.events import Follower
from jobs_api.job_records import FoundJob, JobRecords
from jobs_api.object_store import FileStore
from jobs_api.registry import FILES


@contextmanager
def following(service: Service, job_id: str) -> Iterator[Iterator[ServerEvent]]:
    """Open the stream of a job's events."""
    with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield parse_server_events(response.iter_lines())


def data_of(event: ServerEvent) -> JsonObject:
    value = decode_json(event["data"])
    assert isinstance(value, dict)
    return value


def test_the_state_comes_first_then_every_event_and_the_outcome_ends_it(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    with following(service, job_id) as events:
        first = next(events)
        assert (first["name"], data_of(first)["status"]) == ("state", "queued")
        context.publish_started()
        context.publish_progress(50, "half", payload={"file": 3})
        context.publish_completed(result_id="r-1", result_bytes=12)
        rest = list(events)
    assert [event["name"] for event in rest] == ["started", "progress", "completed", "state"]
    assert data_of(rest[1]) == {
        "type": "files.job.progress.v1",
        "domain": "files",
        "job_id": job_id,
        "user_id": 7,
        "progress": 50,
        "message": "half",
        "payload": {"file": 3},
    }
    assert data_of(rest[3])["status"] == "completed"


def test_a_finished_job_is_told_at_once(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("user", "bad row")
    with following(service, job_id) as events:
        told = list(events)
    assert [(event["name"], data_of(event)["status"]) for event in told] == [("state", "failed")]


def test_another_jobs_events_are_not_heard(service: Service) -> None:
    mine, other = submit(service), submit(service)
    with following(service, mine) as events:
        next(events)
        context_of(service, other).publish_started()
        context_of(service, mine).publish_started()
        assert data_of(next(events))["job_id"] == mine


def test_a_metrics_event_of_the_job_is_passed_on(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    for name, text in redis.hgetall(job_key(FILES, job_id)).items():
        redis.hset("trainer:job:t-1", {name: text})
    with service["http"].stream("GET", "/v1/jobs/trainer/t-1/events") as response:
        events = parse_server_events(response.iter_lines())
        next(events)
        redis.publish(
            "trainer:events",
            '{"type":"trainer.metrics.completed.v1","job_id":"t-1","user_id":7,'
            '"test_loss":0.5,"test_ppl":1.5,"artifact_path":"/a"}',
        )
        heard = next(events)
    assert heard["name"] == "metrics"
    assert data_of(heard)["test_loss"] == 0.5


def test_a_retry_is_told_within_the_heartbeat_though_it_publishes_nothing(
    redis: RedisClient, files: FileStore
) -> None:
    with running_api(redis, files, heartbeat=0.05) as service:
        job_id = submit(service)
        with following(service, job_id) as events:
            next(events)
            redis.hset(job_key(FILES, job_id), {"error": "it will be tried again"})
            assert data_of(next(events))["error"] == "it will be tried again"


def test_a_quiet_stream_gives_signs_of_life(redis: RedisClient, files: FileStore) -> None:
    with running_api(redis, files, heartbeat=0.05) as service:
        job_id = submit(service)
        with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events") as response:
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": still here"


def test_a_job_that_vanishes_ends_the_stream(redis: RedisClient, files: FileStore) -> None:
    with running_api(redis, files, heartbeat=0.05) as service:
        job_id = submit(service)
        with following(service, job_id) as events:
            next(events)
            redis.delete(job_key(FILES, job_id))
            assert list(events) == []


def test_an_outcome_during_an_outage_of_redis_is_told_afterwards(files: FileStore) -> None:
    server = EmbeddedRedis(append_only=False)
    server.start()
    client = server.client()
    with running_api(client, files) as service:
        job_id = submit(service)
        record = client.hgetall(job_key(FILES, job_id))
        with following(service, job_id) as events:
            next(events)
            server.kill()
            server.start()
            wait_until(lambda: _answers(client))
            client.hset(job_key(FILES, job_id), {**record, "status": "failed", "error": "while away"})
            told = list(events)
    client.close()
    server.stop()
    assert (told[-1]["name"], data_of(told[-1])["status"]) == ("state", "failed")


def _answers(client: RedisClient) -> bool:
    try:
        client.ping()
    except Exception:
        return False
    return True


def test_a_client_that_does_not_read_slows_nobody(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    port = int(service["url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(f"GET /v1/jobs/files/{job_id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        deaf.recv(10)
        with following(service, job_id) as events:
            next(events)
            context.publish_started()
            for step in range(3000):
                context.publish_progress(step * 100 // 3000, "x" * 500)
            context.publish_completed(result_id="r", result_bytes=1)
            assert list(events)[-1]["name"] == "state"


def test_a_server_that_stops_ends_its_streams_first(redis: RedisClient, files: FileStore) -> None:
    opened, ended = threading.Event(), threading.Event()
    with running_api(redis, files) as service:
        job_id = submit(service)

        def follow() -> None:
            with (
                httpx.Client(base_url=service["url"], trust_env=False, timeout=PATIENCE) as http,
                http.stream("GET", f"/v1/jobs/files/{job_id}/events") as response,
            ):
                told = []
                for event in parse_server_events(response.iter_lines()):
                    told.append(event)
                    opened.set()
            if [event["name"] for event in told] == ["state"]:
                ended.set()

        follower = threading.Thread(target=follow)
        follower.start()
        wait_until(opened.is_set)
    follower.join(PATIENCE)
    assert ended.is_set()


def test_while_redis_is_away_the_stream_stays_and_says_so(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    with running_api(FakeRedis(memory), files, heartbeat=0.05) as service:
        job_id = submit(service)
        with service["http"].stream("GET", f"/v1/jobs/files/{job_id}/events") as response:
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith("data:"))
            memory.connected = False
            assert next(line for line in lines if line.startswith(": waiting")) == ": waiting for Redis"
            memory.connected = True
            assert next(line for line in lines if line.startswith(": still")) == ": still here"


def test_what_happens_while_the_record_is_read_is_not_missed(redis: RedisClient, service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)

    class SlowRecords(JobRecords):
        """Reads the record, and gives it only after the job has gone on to its end."""

        read = 0

        @override
        def load(self, domain: str, job_id: str) -> FoundJob:
            found = super().load(domain, job_id)
            self.read += 1
            if self.read == 1:
                context.publish_started()
                context.publish_completed(result_id="r", result_bytes=1)
            return found

    async def told() -> list[str | None]:
        history = EventHistory(redis)
        hub = EventHub(EventFeed(LiveEvents(redis), history, clock=FakeClock()), history, logger=FakeLogger())
        hub.start()
        follower = Follower(hub, SlowRecords(redis), FILES, job_id, heartbeat_seconds=60)
        async with asyncio.timeout(PATIENCE):
            names = [message.event async for message in follower.messages()]
        await hub.stop()
        return [name for name in names if name is not None]

    names = asyncio.run(told())
    assert names[0] == "state"
    assert names[-1] == "state"


def test_who_follows_too_slowly_is_told_the_state_and_goes_on(redis: RedisClient, service: Service) -> None:
    """A queue of one is full with the second event: what is passed over the record tells."""
    job_id = submit(service)
    context = context_of(service, job_id)

    async def names() -> list[str | None]:
        history = EventHistory(redis)
        feed = EventFeed(LiveEvents(redis), history, clock=FakeClock())
        hub = EventHub(feed, history, logger=FakeLogger(), queue_length=1)
        feed.connect()
        hub._tell_found(feed.positions)
        told: list[str | None] = []
        async with asyncio.timeout(PATIENCE):
            async for message in Follower(hub, JobRecords(redis), FILES, job_id, 60).messages():
                told.append(message.event)
                if told == [None, "state"]:
                    context.publish_started()
                    for _ in range(2):
                        redis.xadd("files:events:log", _last_entry(redis), max_length=100)
                    feed.look_soon()
                    hub._tell([*feed.next(PATIENCE), *feed.next(0)], feed.positions)
                elif told == [None, "state", "state"]:
                    context.publish_failed("user", "bad row")
                    hub._tell(feed.next(PATIENCE), feed.positions)
        await hub.stop()
        return told

    assert asyncio.run(names()) == [None, "state", "state", "failed", "state"]


def _last_entry(redis: RedisClient) -> dict[str, str]:
    return redis.xrange("files:events:log")[-1]["fields"]
