"""A service's test without a server: the fake Redis runs the real scripts."""

from platform_workers.job_record_store import JobRecordStore
from platform_workers.submission import JobSubmitter
from platform_workers.testing import FakeQueue, FakeRedis
from service import GREETINGS, registry


def test_a_greeting_waits_for_its_worker() -> None:
    redis = FakeRedis()
    queue = FakeQueue(redis)
    store = JobRecordStore(redis=redis, domain=GREETINGS)
    submitter = JobSubmitter(store=store, queue=queue, registry=registry)

    record = submitter.submit({"job_type": "greetings.greet", "payload": {"name": "Ada"}, "user_id": 1})

    assert store.load(record["job_id"]) == record
    assert len(queue.tickets) == 1
