"""A service's tests without a server: its handler alone, and a submission on the fake Redis."""

import pytest
from platform_core.errors import JobUserError
from platform_workers.job_record_store import JobRecordStore
from platform_workers.submission import JobSubmitter
from platform_workers.testing import FakeJobRun, FakeQueue, FakeRedis
from service import GREETINGS, greet, registry


def test_a_person_is_greeted() -> None:
    run = FakeJobRun(GREETINGS)

    result = greet({"name": "Ada"}, run)

    assert result == {"result_id": "Hello, Ada!", "result_bytes": 11}
    assert run.progress == [(99, "Hello, Ada!")]


def test_digits_are_the_users_mistake() -> None:
    with pytest.raises(JobUserError, match="digits"):
        greet({"name": "R2D2"}, FakeJobRun(GREETINGS))


def test_a_greeting_waits_for_its_worker() -> None:
    redis = FakeRedis()
    queue = FakeQueue(redis)
    store = JobRecordStore(redis=redis, domain=GREETINGS)
    submitter = JobSubmitter(store=store, queue=queue, registry=registry)

    record = submitter.submit({"job_type": "greetings.greet", "payload": {"name": "Ada"}, "user_id": 1})

    assert store.load(record["job_id"]) == record
    assert len(queue.tickets) == 1
