"""What the library does, one idea at a time. Read these first."""

from typing import TypedDict

from platform_core.job_events import decode_job_event, default_events_channel, job_domain

from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.job_context import make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.submission import JobSubmitter
from platform_workers.testing import FakeQueue, FakeRedis

SHOP = job_domain("shop")


class GreetPayload(TypedDict):
    """What a greeting needs."""

    name: str


def greet(payload: GreetPayload, job: JobRun) -> JobResult:
    """A handler: decoded payload in, where the result is found out."""
    job.publish_progress(50, f"greeting {payload['name']}")
    return {"result_id": "greeting-1", "result_bytes": 5}


def test_a_submitted_job_waits_in_the_store_and_in_the_queue() -> None:
    """Submission writes the record and enqueues the first attempt in one transaction."""
    redis = FakeRedis()
    registry = HandlerRegistry(domain=SHOP)
    registry.register("shop.greet", GreetPayload, greet)
    store = JobRecordStore(redis=redis, domain=SHOP)
    queue = FakeQueue(redis)

    record = JobSubmitter(store=store, queue=queue, registry=registry).submit(
        {"job_type": "shop.greet", "payload": {"name": "Ada"}, "user_id": 7}
    )

    assert store.load(record["job_id"]) == record
    assert record["status"] == "queued"
    assert len(queue.tickets) == 1


def test_a_context_moves_the_record_and_tells_the_world_in_one_step() -> None:
    """Whoever hears an event finds the store in the state the event speaks of."""
    redis = FakeRedis()
    redis.hset("shop:job:job-1", {"status": "queued"})
    context = make_job_context(
        redis=redis,
        domain=SHOP,
        events_channel=default_events_channel(SHOP),
        job_id="job-1",
        user_id=7,
        queue_name="default",
    )

    context.publish_started()
    context.publish_completed(result_id="greeting-1", result_bytes=5)

    assert redis.hgetall("shop:job:job-1")["status"] == "completed"
    types = [decode_job_event(entry["fields"]["event"])["type"] for entry in redis.xrange("shop:events:log")]
    assert types == ["shop.job.started.v1", "shop.job.completed.v1"]
