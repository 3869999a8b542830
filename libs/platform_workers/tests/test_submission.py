"""Submission: all faults are found before anything is written; then record and attempt appear together."""

from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.job_types import JobRecord
from platform_core.json_values import JsonValue
from test_handlers import ResizePayload, resize
from typing_extensions import override

from platform_workers.errors import (
    IdempotencyConflictError,
    JobExistsError,
    RedisUnavailableError,
    UnknownJobTypeError,
)
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_queue import AttemptName, RqJobQueue, attempt_id
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.submission import (
    JobRequest,
    JobSubmitter,
    Submission,
    idempotent_job_id,
    make_submitter,
)
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeQueue, FakeRedis

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
        "priority": "normal",
    }  # fmt: skip


@pytest.mark.parametrize("user_id", [2**63 - 1, -(2**63), 0])
def test_every_number_of_64_bits_is_a_user(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry, user_id: int
) -> None:
    submitter = JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry)
    record = submitter.submit({**REQUEST, "user_id": user_id})
    loaded = store.load(record["job_id"])
    assert loaded is not None
    assert loaded["user_id"] == user_id


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
    assert ticket["priority"] == "high"
    assert run_at == later


@pytest.mark.parametrize("years", [0, 1, 100, 2025])
def test_a_time_that_has_come_is_not_waited_for(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry, years: int
) -> None:
    """RQ's scheduler looks for times since 1970 alone: a job from before that waited for ever."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    run_after = now.replace(year=2026 - years)
    queue = RqJobQueue(redis=redis, name="images")
    submitter = JobSubmitter(store=store, queue=queue, registry=registry, clock=FakeClock(now))
    job_id = submitter.submit({**REQUEST, "run_after": run_after})["job_id"]
    assert redis.connection.lrange("rq:queue:images", 0, -1) == [f"shop-{job_id}-1-1".encode()]
    assert redis.zrange("rq:scheduled:images", 0, -1) == []
    loaded = store.load(job_id)
    assert loaded is not None
    assert loaded.get("run_after") == run_after


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
        ({**REQUEST, "user_id": -(2**63) - 1}, "$.user_id"),
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
    assert submitter.registry is registry
    first = submitter.submit(REQUEST)["job_id"]
    urgent = submitter.submit({**REQUEST, "priority": "high"})["job_id"]
    later = submitter.submit({**REQUEST, "run_after": datetime(2100, 1, 1, tzinfo=UTC), "priority": "high"})[
        "job_id"
    ]
    low = submitter.submit({**REQUEST, "priority": "low"})["job_id"]
    waiting = redis.connection.lrange("rq:queue:images", 0, -1)
    assert waiting == [f"shop-{urgent}-1-1".encode(), f"shop-{first}-1-1".encode()]
    assert redis.zrange("rq:scheduled:images", 0, -1) == [f"shop-{later}-1-1"]
    assert RqJobQueue(redis=redis, name="images").name == "images"
    assert redis.connection.lrange("rq:queue:images:low", 0, -1) == [f"shop-{low}-1-1".encode()]
    assert redis.hgetall(f"shop:job:{low}")["queue"] == "images"
    # RQ's scheduler reads it when the time has come.
    assert redis.hmget(f"rq:job:shop-{later}-1-1", ["enqueue_at_front"]) == {"enqueue_at_front": "1"}
    assert store.count() == 4


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
    name: AttemptName = {"domain": JobDomain("shop"), "job_id": "j", "run": 2, "attempt": 3}
    assert attempt_id(name) == "shop-j-2-3"


def test_a_repeat_under_the_same_key_finds_the_first_job(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    queue = FakeQueue(redis)
    submitter = JobSubmitter(store=store, queue=queue, registry=registry)
    full: JobRequest = {
        **REQUEST, "context": {"user_id": "u", "email": "me@example.com"}, "notifications": INTENT,
        "run_after": datetime(2026, 2, 1, tzinfo=UTC),
    }  # fmt: skip
    first = submitter.submit_once(full, "order-7")
    again = submitter.submit_once({**full, "context": {"email": "me@example.com", "user_id": "u"}}, "order-7")
    assert first["is_new"]
    assert again == {"record": first["record"], "is_new": False}
    assert first["record"]["job_id"] == idempotent_job_id(registry.domain, "order-7")
    assert (store.count(), len(queue.tickets)) == (1, 1)


def test_the_default_priority_may_be_written_or_left_out(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    submitter = JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry)
    submitter.submit_once(REQUEST, "order-7")
    assert not submitter.submit_once({**REQUEST, "priority": "normal"}, "order-7")["is_new"]


OTHERS: list[JobRequest] = [
    {**REQUEST, "payload": {"width": 4}},
    {**REQUEST, "user_id": 8},
    {**REQUEST, "priority": "high"},
    {**REQUEST, "max_attempts": 1},
    {**REQUEST, "run_after": datetime(2026, 2, 1, tzinfo=UTC)},
    {**REQUEST, "context": {}},
    {**REQUEST, "notifications": {}},
]


@pytest.mark.parametrize("other", OTHERS)
def test_the_same_key_for_something_else_is_a_conflict(
    other: JobRequest, redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    queue = FakeQueue(redis)
    submitter = JobSubmitter(store=store, queue=queue, registry=registry)
    submitter.submit_once(REQUEST, "order-7")
    with pytest.raises(IdempotencyConflictError, match="asked for something else"):
        submitter.submit_once(other, "order-7")
    assert (store.count(), len(queue.tickets)) == (1, 1)


def test_another_key_is_another_job(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    submitter = JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry)
    assert submitter.submit_once(REQUEST, "order-7")["is_new"]
    assert submitter.submit_once(REQUEST, "order-8")["is_new"]
    assert submitter.submit_once({**REQUEST, "payload": {"width": 3}}, "order-9")["is_new"]
    assert store.count() == 3


def test_a_fault_is_found_before_the_key_is_used(
    redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    submitter = JobSubmitter(store=store, queue=FakeQueue(redis), registry=registry)
    with pytest.raises(DecodeError):
        submitter.submit_once({**REQUEST, "payload": {}}, "order-7")
    assert redis.keys("*") == []
    assert submitter.submit_once(REQUEST, "order-7")["is_new"]


@pytest.mark.parametrize("fake_queue", [True, False])
def test_a_repeat_that_comes_in_between_makes_no_second_job(
    fake_queue: bool, redis: RedisClient, store: JobRecordStore, registry: HandlerRegistry
) -> None:
    rival = make_submitter(redis=redis, queue_name="images", registry=registry)
    queue = FakeQueue(redis) if fake_queue else RqJobQueue(redis=redis, name="images")

    class Slow(JobRecordStore):
        """Finds no record, and before it is made another one is faster."""

        looks = 0

        @override
        def load(self, job_id: str) -> JobRecord | None:
            found = super().load(job_id)
            if not self.looks:
                rival.submit_once(REQUEST, "order-7")
            self.looks += 1
            return found

    slow = JobSubmitter(
        store=Slow(redis=redis, domain=registry.domain),
        queue=queue,
        registry=registry,
    )
    assert not slow.submit_once(REQUEST, "order-7")["is_new"]
    assert store.count() == 1
    assert redis.connection.llen("rq:queue:images") == 1


def test_many_repeats_at_once_make_one_job(
    server: EmbeddedRedis, real_redis: RedisClient, registry: HandlerRegistry
) -> None:
    several = 8
    ready, came = Barrier(several), list[Submission]()

    def repeat() -> None:
        client = server.client()
        submitter = make_submitter(redis=client, queue_name="images", registry=registry)
        ready.wait()
        came.append(submitter.submit_once(REQUEST, "order-7"))
        client.close()

    threads = [Thread(target=repeat) for _ in range(several)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(submission["is_new"] for submission in came) == 1
    assert len({submission["record"]["job_id"] for submission in came}) == 1
    assert real_redis.connection.llen("rq:queue:images") == 1
    assert real_redis.keys("rq:job:*") == [f"rq:job:shop-{came[0]['record']['job_id']}-1-1"]
