"""Submission: all faults are found before anything is written; then record and attempt appear together."""

from datetime import UTC, datetime

import pytest
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue
from test_handlers import ResizePayload, resize

from platform_workers.errors import JobExistsError, RedisUnavailableError, UnknownJobTypeError
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_queue import RqJobQueue, attempt_id
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.submission import JobRequest, JobSubmitter, make_submitter
from platform_workers.testing import FakeClock, FakeQueue, FakeRedis

REQUEST: JobRequest = {"job_type": "image.resize", "payload": {"width": 3}, "user_id": 7}
INTENT: JsonValue = {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}, "later": [1]}


@pytest.fixture
def registry(domain: JobDomain) -> HandlerRegistry:
    registry = HandlerRegistry(domain=domain)
    registry.register("image.resize", ResizePayload, resize, max_attempts=2, timeout_seconds=9)
    return registry


def test_a_minimal_request_makes_a_whole_record(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry, clock: FakeClock
) -> None:
    queue = FakeQueue(redis, "images")
    record = JobSubmitter(store=store, queue=queue, registry=registry, clock=clock).submit(REQUEST)
    assert store.load(record["job_id"]) == record
    assert record["status"] == "queued"
    assert (record["queue"], record["max_attempts"], record["priority"]) == ("images", 2, "normal")
    ticket, run_at = queue.tickets[0]
    assert run_at is None
    assert ticket == {
        "domain": "shop", "job_id": record["job_id"], "run": 1, "attempt": 1, "timeout_seconds": 9,
        "urgent": False,
    }  # fmt: skip


def test_everything_asked_for_is_stored_as_given(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry, clock: FakeClock
) -> None:
    queue = FakeQueue(redis)
    later = datetime(2026, 2, 1, tzinfo=UTC)
    context: JsonValue = {"user_id": "user-1", "email": "me@example.com", "team": {"a": 1}}
    record = JobSubmitter(store=store, queue=queue, registry=registry, clock=clock).submit(
        {
            **REQUEST, "priority": "high", "run_after": later, "max_attempts": 5, "context": context,
            "notifications": INTENT,
        }
    )  # fmt: skip
    loaded = store.load(record["job_id"])
    assert loaded is not None
    assert loaded.get("context") == context
    assert loaded.get("notifications") == INTENT
    assert loaded.get("run_after") == later
    assert loaded["max_attempts"] == 5
    ticket, run_at = queue.tickets[0]
    assert ticket["urgent"]
    assert run_at == later


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        ({**REQUEST, "payload": {"width": "x"}}, "$.payload.width"),
        ({**REQUEST, "context": {"email": "no address"}}, "$.context.email"),
        (
            {**REQUEST, "notifications": {"email": {"enabled": True, "on": ["NEVER"]}}},
            "$.notifications.email.on[0]",
        ),
        ({**REQUEST, "max_attempts": 0}, "$.max_attempts"),
        ({**REQUEST, "user_id": 2**63}, "$.user_id"),
    ],
)
def test_a_fault_is_named_and_nothing_is_written(
    request_: JobRequest, path: str, redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    queue = FakeQueue(redis)
    with pytest.raises(DecodeError) as caught:
        JobSubmitter(store=store, queue=queue, registry=registry).submit(request_)
    assert caught.value.path == path
    assert queue.tickets == []
    assert redis.keys("*") == []


def test_a_type_without_a_handler_is_refused(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    with pytest.raises(UnknownJobTypeError, match=r"known: image\.resize"):
        JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry).submit(
            {**REQUEST, "job_type": "image.rotate"}
        )
    assert redis.keys("*") == []


def test_an_id_that_is_taken_is_refused(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    submitter = JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry, new_id=lambda: "same")
    submitter.submit(REQUEST)
    with pytest.raises(JobExistsError, match="same"):
        submitter.submit(REQUEST)


def test_on_rq_the_record_and_the_attempt_appear_together(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    submitter = make_submitter(redis=redis, queue_name="images", registry=registry)
    first = submitter.submit(REQUEST)["job_id"]
    urgent = submitter.submit({**REQUEST, "priority": "high"})["job_id"]
    later = submitter.submit({**REQUEST, "run_after": datetime(2100, 1, 1, tzinfo=UTC)})["job_id"]
    waiting = redis.connection.lrange("rq:queue:images", 0, -1)
    assert waiting == [f"shop-{urgent}-1-1".encode(), f"shop-{first}-1-1".encode()]
    assert redis.zrange("rq:scheduled:images", 0, -1) == [f"shop-{later}-1-1"]
    assert RqJobQueue(redis=redis, name="images").name == "images"
    assert store.count() == 3


def test_without_redis_there_is_no_job(domain: JobDomain, registry: HandlerRegistry) -> None:
    redis = FakeRedis()
    store = JobRecordStore(redis=redis, domain=domain)
    submitter = JobSubmitter(store=store, queue=RqJobQueue(redis=redis, name="q"), registry=registry)
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        submitter.submit(REQUEST)
    redis.server.connected = True
    assert redis.keys("*") == []


def test_an_attempt_has_one_name() -> None:
    assert attempt_id(
        {
            "domain": JobDomain("shop"), "job_id": "j", "run": 2, "attempt": 3, "timeout_seconds": 1,
            "urgent": False,
        }
    ) == "shop-j-2-3"  # fmt: skip
