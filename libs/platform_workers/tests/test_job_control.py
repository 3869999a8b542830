"""Cancelling and running again by hand, from outside the worker."""

from datetime import UTC, datetime, timedelta

import pytest
from builders import make_record
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.job_types import JobStatusLiteral
from rq import Queue
from rq.job import Job

from platform_workers.errors import (
    JobNotFoundError,
    OutcomeAlreadyRecordedError,
    RedisUnavailableError,
    StaleAttemptError,
    TransitionRefusedError,
)
from platform_workers.job_control import JobControl, make_job_control
from platform_workers.job_queue import AttemptName, AttemptTicket, RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import read_log
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeQueue, FakeRedis


class Desk:
    """A control with a queue that records."""

    def __init__(self, redis: RedisClient, clock: FakeClock) -> None:
        self.queue = FakeQueue(redis)
        self.queues: list[str] = []
        self.logger = FakeLogger()
        self.control = JobControl(redis=redis, queue_of=self.find, clock=clock, logger=self.logger)

    def find(self, name: str) -> FakeQueue:
        self.queues.append(name)
        return self.queue


@pytest.fixture
def desk(redis: RedisClient, clock: FakeClock) -> Desk:
    return Desk(redis, clock)


def name_of(domain: JobDomain, run: int, attempt: int) -> AttemptName:
    return {"domain": domain, "job_id": "job-1", "run": run, "attempt": attempt}


def test_a_cancelled_jobs_attempts_are_taken_back(desk: Desk, store: JobRecordStore) -> None:
    """The one that runs, and the one that waits for its time or for the pause after a failed one."""
    store.save({**make_record(), "attempt_count": 1, "queue": "gpu"})
    assert desk.control.cancel(store.domain, "job-1") == {
        "status": "cancelled", "attempt_count": 1, "run": 1,
    }  # fmt: skip
    assert desk.queue.withdrawn == [name_of(store.domain, 1, 1), name_of(store.domain, 1, 2)]
    assert desk.queues == ["gpu"]
    record = store.load("job-1")
    assert record is not None
    assert record["status"] == "cancelled"


def test_cancelling_twice_is_no_fault_and_tells_the_worker_again(
    desk: Desk, store: JobRecordStore, redis: RedisClient
) -> None:
    store.save(make_record())
    desk.control.cancel(store.domain, "job-1")
    assert desk.control.cancel(store.domain, "job-1")["status"] == "cancelled"
    assert len(desk.queue.withdrawn) == 4
    assert len(redis.xrange("shop:events:log")) == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_job_is_not_cancelled(desk: Desk, store: JobRecordStore, status: JobStatusLiteral) -> None:
    store.save(make_record(status=status))
    with pytest.raises(OutcomeAlreadyRecordedError) as caught:
        desk.control.cancel(store.domain, "job-1")
    assert caught.value.status == status
    assert desk.queue.withdrawn == []


def test_a_job_of_a_teams_own_type_is_cancelled_too(
    desk: Desk, redis: RedisClient, domain: JobDomain
) -> None:
    redis.hset("shop:job:job-1", {"status": "processing", "user_id": "7"})
    desk.control.cancel(domain, "job-1")
    assert redis.hgetall("shop:job:job-1")["status"] == "cancelled"
    with pytest.raises(DecodeError, match="queue"):
        desk.control.rerun(domain, "job-1")


@pytest.mark.parametrize("field", ["attempt_count", "run"])
def test_a_broken_record_is_named_before_anything_is_written(
    desk: Desk, store: JobRecordStore, redis: RedisClient, field: str
) -> None:
    store.save(make_record())
    redis.hset("shop:job:job-1", {field: "many"})
    before = redis.hgetall("shop:job:job-1")
    with pytest.raises(DecodeError, match=field):
        desk.control.cancel(store.domain, "job-1")
    assert redis.hgetall("shop:job:job-1") == before


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_running_again_needs_no_handler(
    desk: Desk, store: JobRecordStore, status: JobStatusLiteral, clock: FakeClock
) -> None:
    store.save(
        {
            **make_record(status=status), "run": 2, "attempt_count": 3, "priority": "low",
            "timeout_seconds": 77, "queue": "gpu",
        }
    )  # fmt: skip
    assert desk.control.rerun(store.domain, "job-1") == {"status": "queued", "attempt_count": 0, "run": 3}
    ticket: AttemptTicket = {**name_of(store.domain, 3, 1), "timeout_seconds": 77, "priority": "low"}
    assert desk.queue.tickets == [(ticket, None)]
    assert desk.queues == ["gpu"]


def test_an_older_record_does_not_tell_its_time_limit(desk: Desk, store: JobRecordStore) -> None:
    store.save(make_record(status="failed"))
    desk.control.rerun(store.domain, "job-1")
    assert [ticket["timeout_seconds"] for ticket, _ in desk.queue.tickets] == [600]


@pytest.mark.parametrize("status", ["queued", "processing", "completed"])
def test_what_cannot_run_again_enqueues_nothing(
    desk: Desk, store: JobRecordStore, status: JobStatusLiteral
) -> None:
    store.save(make_record(status=status))
    with pytest.raises(TransitionRefusedError) as caught:
        desk.control.rerun(store.domain, "job-1")
    assert caught.value.status == status
    assert desk.queue.tickets == []


def test_two_who_ask_at_once_get_one_run(
    desk: Desk, store: JobRecordStore, redis: RedisClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either has asked. The second is refused only once the run has gone on."""
    store.save(make_record(status="failed"))
    seen = redis.hmget("shop:job:job-1", ["status", "user_id", "run", "attempt_count", "queue", "priority"])
    first = desk.control.rerun(store.domain, "job-1")
    with monkeypatch.context() as patch:
        patch.setattr(redis, "hmget", lambda key, fields: dict(seen))
        assert desk.control.rerun(store.domain, "job-1") == first
        desk.control.cancel(store.domain, "job-1")
        with pytest.raises(StaleAttemptError):
            desk.control.rerun(store.domain, "job-1")
    assert redis.hgetall("shop:job:job-1")["run"] == "2"
    assert [line["message"] for line in read_log(redis, store.domain, "job-1")] == [
        "run 2 was asked for", "cancelled",
    ]  # fmt: skip


@pytest.mark.parametrize("job_id", ["nobody", "a:b"])
def test_a_job_that_is_not_there(desk: Desk, domain: JobDomain, job_id: str) -> None:
    for act in (desk.control.cancel, desk.control.rerun):
        with pytest.raises((JobNotFoundError, DecodeError)):
            act(domain, job_id)


def test_an_outage_after_the_record_was_cancelled_is_logged(
    desk: Desk, store: JobRecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is cancelled; its worker finds out at the next renewal."""

    def lose_redis(name: AttemptName) -> None:
        raise RedisUnavailableError("gone")

    store.save(make_record())
    monkeypatch.setattr(desk.queue, "withdraw", lose_redis)
    assert desk.control.cancel(store.domain, "job-1")["status"] == "cancelled"
    assert desk.logger.events("warning") == ["jobs.attempt_not_withdrawn"]


def enqueue(redis: RedisClient, store: JobRecordStore, attempt: int, run_at: datetime | None) -> AttemptName:
    name = name_of(store.domain, 1, attempt)
    store.save(make_record())
    RqJobQueue(redis=redis, name="default").enqueue(
        {**name, "timeout_seconds": 9, "priority": "normal" if attempt == 1 else "low"},
        store.save_call(make_record(), mode="save", message=""),
        run_at=run_at,
    )
    return name


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("run_at", [None, datetime(2100, 1, 1, tzinfo=UTC)])
def test_a_cancelled_job_leaves_nothing_in_rq(
    redis: RedisClient, store: JobRecordStore, attempt: int, run_at: datetime | None
) -> None:
    """Attempt 1 is of normal, attempt 2 of low priority here: they wait in different queues."""
    enqueue(redis, store, attempt, run_at)
    make_job_control(redis=redis).cancel(store.domain, "job-1")
    if attempt == 2:
        # The record waits for attempt 1: only attempts 0 and 1 are taken back.
        RqJobQueue(redis=redis, name="default").withdraw(name_of(store.domain, 1, 2))
    assert [key for key in redis.keys("rq:*") if key != "rq:queues"] == []


def test_an_attempt_that_ends_while_it_is_taken_back(redis: RedisClient, store: JobRecordStore) -> None:
    """RQ reads who runs it, then looks each of them up, and stumbled where one was done in between.

    The job was cancelled, and whoever had asked for that was told of a fault.
    """
    enqueue(redis, store, 1, None)
    redis.connection.zadd("rq:executions:shop-job-1-1-1", {"just ended": 4e9})
    make_job_control(redis=redis).cancel(store.domain, "job-1")
    record = store.load("job-1")
    assert record is not None
    assert record["status"] == "cancelled"
    assert [key for key in redis.keys("rq:*") if key != "rq:queues"] == []


def test_two_who_cancel_at_once(
    redis: RedisClient, store: JobRecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the attempt, and the second one no longer when it looks closer: as after a double click."""
    enqueue(redis, store, 1, None)

    def be_slower(_queue: Queue, job: Job | str, pipeline: object = None) -> None:
        if isinstance(job, Job):
            redis.delete(job.key)

    monkeypatch.setattr(Queue, "remove", be_slower)
    make_job_control(redis=redis).cancel(store.domain, "job-1")
    record = store.load("job-1")
    assert record is not None
    assert record["status"] == "cancelled"


def test_a_running_attempts_worker_is_told(redis: RedisClient, store: JobRecordStore) -> None:
    name = enqueue(redis, store, 1, None)
    with redis.subscription() as heard:
        heard.listen_to(channels=["rq:pubsub:w1"])
        while redis.publish("rq:pubsub:w1", "are you there?") == 0:
            pass
        for worker in ({}, {"worker_name": "w1"}):
            redis.hset("rq:job:shop-job-1-1-1", {"status": "started", **worker})
            RqJobQueue(redis=redis, name="default").withdraw(name)
        messages = [heard.next_message(0.2) for _ in range(10)]
    commands = [message["data"] for message in messages if message and b"stop" in message["data"]]
    assert commands == [b'{"command": "stop-job", "job_id": "shop-job-1-1-1"}']


def test_an_attempt_that_has_ended_is_left_alone(redis: RedisClient, store: JobRecordStore) -> None:
    name = enqueue(redis, store, 1, None)
    redis.hset("rq:job:shop-job-1-1-1", {"status": "finished"})
    RqJobQueue(redis=redis, name="default").withdraw(name)
    assert redis.keys("rq:job:shop-job-1-1-1") != []


def test_an_attempt_is_taken_back_whole_or_not_at_all(
    redis: RedisClient, store: JobRecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis died between the two: it was in no queue any more, and RQ's record of it had no time to live."""
    name = enqueue(redis, store, 1, None)

    def break_off(*_: object, **__: object) -> None:
        raise RedisUnavailableError("gone")

    monkeypatch.setattr("redis.client.Pipeline.execute", break_off)
    with pytest.raises(RedisUnavailableError):
        RqJobQueue(redis=redis, name="default").withdraw(name)
    assert redis.lrange("rq:queue:default", 0, -1) == ["shop-job-1-1-1"]
    assert redis.keys("rq:job:shop-job-1-1-1") != []


def test_without_redis_an_attempt_cannot_be_taken_back(domain: JobDomain) -> None:
    redis = FakeRedis()
    queue = RqJobQueue(redis=redis, name="default")
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        queue.withdraw(name_of(domain, 1, 1))


def test_by_default_the_clock_on_the_wall_is_used(redis: RedisClient, store: JobRecordStore) -> None:
    store.save(make_record())
    make_job_control(redis=redis).cancel(store.domain, "job-1")
    record = store.load("job-1")
    assert record is not None
    assert datetime.now(UTC) - record["updated_at"] < timedelta(minutes=1)
