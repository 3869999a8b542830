"""One call is one atomic step: record, indexes, job log, durable log and channel move together or not."""

from datetime import datetime, timedelta

import pytest
from builders import make_record
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, decode_job_event, default_events_channel

from platform_workers.errors import (
    JobNotFoundError,
    LeaseLostError,
    OutcomeAlreadyRecordedError,
    RedisUnavailableError,
    StaleAttemptError,
)
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import read_log
from platform_workers.job_transitions import GUARD_EXPIRED, guard_attempt, guard_lease
from platform_workers.redis import RedisClient
from platform_workers.redis.replies import LiveMessage
from platform_workers.testing import FakeClock, FakeRedis


def make_context(
    redis: RedisClient, domain: JobDomain, clock: FakeClock, *, lease_token: str = ""
) -> JobContext:
    return make_job_context(
        redis=redis, domain=domain, events_channel=default_events_channel(domain), job_id="job-1",
        user_id=7, queue_name="default", lease_token=lease_token, clock=clock,
    )  # fmt: skip


@pytest.fixture
def context(redis: RedisClient, domain: JobDomain, clock: FakeClock, store: JobRecordStore) -> JobContext:
    store.save(make_record())
    return make_context(redis, domain, clock)


def logged_types(redis: RedisClient) -> list[str]:
    """The types of the events in the durable log."""
    return [decode_job_event(entry["fields"]["event"])["type"] for entry in redis.xrange("shop:events:log")]


def test_a_whole_life(
    context: JobContext, store: JobRecordStore, redis: RedisClient, clock: FakeClock
) -> None:
    assert context.publish_started() == {"status": "processing", "attempt_count": 1, "run": 1}
    clock.advance(5)
    context.publish_progress(50, "halfway", payload={"file": 3})
    context.publish_progress(60)
    clock.advance(5)
    context.publish_completed(result_id="file-1", result_bytes=12)
    record = store.load("job-1")
    assert record == {
        **make_record(status="completed"), "progress": 100, "message": "halfway", "attempt_count": 1,
        "started_at": moment(clock, -10), "finished_at": clock.now(), "updated_at": clock.now(),
        "result_id": "file-1", "result_bytes": 12,
    }  # fmt: skip
    assert logged_types(redis) == ["shop.job.started.v1", "shop.job.completed.v1"]
    assert [line["message"] for line in read_log(redis, store.domain, "job-1")] == [
        "started", "50 %: halfway", "completed, result of 12 bytes",
    ]  # fmt: skip
    assert store.list_ids("status:completed") == ["job-1"]
    assert redis.ttl("shop:job:job-1") > 0
    assert redis.ttl("shop:job:job-1:log") > 0


def moment(clock: FakeClock, seconds: float) -> datetime:
    """The clock's time some seconds away."""
    return clock.now() + timedelta(seconds=seconds)


def test_whoever_hears_an_outcome_finds_it_in_the_store(
    context: JobContext, store: JobRecordStore, redis: RedisClient
) -> None:
    context.publish_started()
    with redis.subscription() as subscription:
        subscription.listen_to(channels=["shop:events"])
        while redis.publish("shop:events", "are you there?") == 0:
            pass
        context.publish_failed("user", "row 3 is empty")
        messages = (subscription.next_message(0.5) for _ in range(20))
        heard = next(text for text in map(text_of, messages) if "failed" in text)
        record = store.load("job-1")
    assert record is not None
    assert (record["status"], record["error"], record.get("error_kind")) == (
        "failed",
        "row 3 is empty",
        "user",
    )
    event = decode_job_event(heard)
    assert event["type"] == "shop.job.failed.v1"
    assert [entry["fields"]["run"] for entry in redis.xrange("shop:events:log")] == ["1", "1"]


def text_of(message: LiveMessage | None) -> str:
    return "" if message is None else message["data"].decode()


def test_a_job_without_a_record_is_refused(redis: RedisClient, domain: JobDomain, clock: FakeClock) -> None:
    with pytest.raises(JobNotFoundError, match="job-1"):
        make_context(redis, domain, clock).publish_started()
    assert redis.keys("*") == []


@pytest.mark.parametrize("progress", [-1, 101])
def test_a_progress_outside_the_range_is_refused(progress: int, context: JobContext) -> None:
    context.publish_started()
    with pytest.raises(DecodeError, match="progress"):
        context.publish_progress(progress)


def test_a_step_sent_twice_by_a_broken_connection_counts_once(
    context: JobContext, redis: RedisClient, store: JobRecordStore
) -> None:
    call = context.builder.started(guard=guard_lease(""), transition_id="t-1", lease=None)
    first = context.apply("started", call)
    assert context.apply("started", call) == first
    assert logged_types(redis) == ["shop.job.started.v1"]
    done = context.builder.completed(
        result_id="r", result_bytes=1, guard=guard_lease(""), transition_id="t-2"
    )
    assert context.apply("completed", done) == context.apply("completed", done)
    assert len(logged_types(redis)) == 2


def test_only_the_holder_of_the_lease_may_go_on(
    redis: RedisClient, domain: JobDomain, clock: FakeClock, store: JobRecordStore
) -> None:
    store.save(make_record())
    mine = make_context(redis, domain, clock, lease_token="worker-a")
    call = mine.builder.started(
        guard=guard_attempt(1, 1), transition_id="t", lease={"token": "worker-a", "until": clock.now()}
    )
    mine.apply("started", call)
    assert redis.zscore("shop:jobs:leases:default", "job-1") == clock.now().timestamp() * 1000
    other = make_context(redis, domain, clock, lease_token="worker-b")
    for context in (other, make_context(redis, domain, clock)):
        with pytest.raises(LeaseLostError):
            context.publish_completed(result_id="r", result_bytes=1)
    mine.publish_completed(result_id="r", result_bytes=1)
    record = store.load("job-1")
    assert record is not None
    assert "locked_by" not in record
    assert redis.keys("shop:jobs:leases:default") == []


def test_an_attempt_that_is_not_waited_for_is_stale(
    redis: RedisClient, domain: JobDomain, clock: FakeClock, store: JobRecordStore
) -> None:
    store.save(make_record())
    context = make_context(redis, domain, clock, lease_token="w")
    for run, attempt in ((1, 2), (2, 1)):
        call = context.builder.started(
            guard=guard_attempt(run, attempt), transition_id="t", lease={"token": "w", "until": clock.now()}
        )
        with pytest.raises(StaleAttemptError):
            context.apply("started", call)


def test_a_lease_is_given_away_only_after_it_ran_out(
    redis: RedisClient, domain: JobDomain, clock: FakeClock, store: JobRecordStore
) -> None:
    store.save(make_record())
    context = make_context(redis, domain, clock, lease_token="w")
    started = context.builder.started(
        guard=guard_attempt(1, 1), transition_id="t", lease={"token": "w", "until": moment(clock, 45)}
    )
    context.apply("started", started)

    def take_over() -> None:
        call = context.builder.retried(
            "silent", run_after=clock.now(), guard=GUARD_EXPIRED, transition_id="reap"
        )
        context.apply("retried", call)

    with pytest.raises(LeaseLostError):
        take_over()
    clock.advance(40)
    renewed = context.builder.renewed({"token": "w", "until": moment(clock, 45)}, transition_id="n")
    context.apply("renewed", renewed)
    clock.advance(40)
    with pytest.raises(LeaseLostError):
        take_over()
    clock.advance(6)
    take_over()
    with pytest.raises(LeaseLostError):
        context.publish_completed(result_id="r", result_bytes=1)
    record = store.load("job-1")
    assert record is not None
    assert (record["status"], record["error"], record["attempt_count"]) == ("queued", "silent", 1)
    assert logged_types(redis) == ["shop.job.started.v1"]


def test_a_job_somebody_else_stored_can_be_told_about_too(
    redis: RedisClient, domain: JobDomain, clock: FakeClock
) -> None:
    redis.hset("shop:job:job-1", {"status": "processing"})
    make_context(redis, domain, clock).publish_completed(result_id="r", result_bytes=1)
    assert redis.hgetall("shop:job:job-1")["status"] == "completed"
    assert logged_types(redis) == ["shop.job.completed.v1"]


def test_without_redis_nothing_is_written_and_the_caller_hears_it(
    domain: JobDomain, clock: FakeClock
) -> None:
    redis = FakeRedis()
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        make_context(redis, domain, clock).publish_started()


def test_by_default_a_context_uses_the_clock_on_the_wall(redis: RedisClient, domain: JobDomain) -> None:
    redis.hset("shop:job:job-1", {"status": "queued"})
    context = make_job_context(
        redis=redis, domain=domain, events_channel="shop:events", job_id="job-1", user_id=7, queue_name="q"
    )
    context.publish_started()
    assert context.identity["queue_name"] == "q"
    assert redis.xrange("shop:events:log")[0]["fields"]["event"] == (
        '{"type":"shop.job.started.v1","domain":"shop","job_id":"job-1","user_id":7,"queue":"q"}'
    )


def test_a_very_long_text_is_cut_so_that_its_event_can_be_read(
    context: JobContext, redis: RedisClient, store: JobRecordStore
) -> None:
    context.publish_started()
    context.publish_progress(1, "x" * 20_000)
    context.publish_failed("system", "y" * 2_000_000)
    record = store.load("job-1")
    assert record is not None
    assert record["error"] == "y" * 9_999 + "…"
    assert record["message"] == "x" * 9_999 + "…"
    assert len(redis.xrange("shop:events:log")[-1]["fields"]["event"]) < 20_000


def test_what_cannot_be_cut_is_refused(context: JobContext, store: JobRecordStore) -> None:
    context.publish_started()
    with pytest.raises(DecodeError, match="result_id"):
        context.publish_completed(result_id="r" * 1_001, result_bytes=1)
    with pytest.raises(DecodeError, match="payload"):
        context.publish_progress(1, payload="p" * 1_100_000)
    record = store.load("job-1")
    assert record is not None
    assert record["status"] == "processing"


def test_a_handlers_line_is_in_the_log_of_its_job(
    context: JobContext, redis: RedisClient, store: JobRecordStore
) -> None:
    context.write_log("row 3 looks odd", "warning")
    context.write_log("x" * 2_000)
    lines = list(read_log(redis, store.domain, "job-1"))
    assert [(line["level"], line["message"]) for line in lines] == [
        ("warning", "row 3 looks odd"),
        ("info", "x" * 999 + "…"),
    ]


def test_a_log_never_outlives_its_record(
    context: JobContext, redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    """A line that comes after the outcome, or after the record has gone, leaves no key without an end."""
    context.publish_started()
    context.publish_completed(result_id="r", result_bytes=1)
    redis.delete("shop:job:job-1:log")
    context.write_log("one more thing")
    assert 0 < redis.ttl("shop:job:job-1:log") <= redis.ttl("shop:job:job-1")
    redis.delete("shop:job:job-1", "shop:job:job-1:log")
    with pytest.raises(JobNotFoundError):
        context.write_log("is anybody there?")
    store.save({**make_record(), "locked_by": "another"})
    with pytest.raises(LeaseLostError):
        context.write_log("mine?")
    assert redis.keys("shop:job:job-1:log") == []


def test_the_log_of_a_job_that_runs_again_lasts(
    context: JobContext, redis: RedisClient, store: JobRecordStore
) -> None:
    context.publish_failed("system", "broken")
    assert redis.ttl("shop:job:job-1:log") > 0
    context.apply("rerun", context.builder.rerun(run=2))
    assert redis.ttl("shop:job:job-1") == -1
    assert redis.ttl("shop:job:job-1:log") == -1


def test_a_run_by_hand_begins_as_if_nothing_had_been(
    context: JobContext, store: JobRecordStore, clock: FakeClock
) -> None:
    context.publish_started()
    context.publish_progress(50, "halfway")
    context.publish_failed("system", "broken")
    clock.advance(60)
    assert context.apply("rerun", context.builder.rerun(run=2)) == {
        "status": "queued", "attempt_count": 0, "run": 2,
    }  # fmt: skip
    assert store.load("job-1") == {**make_record(), "run": 2, "updated_at": clock.now()}


def test_a_cancelled_job_ends_like_a_failed_one_for_who_knows_v1_alone(
    context: JobContext, store: JobRecordStore, redis: RedisClient, clock: FakeClock
) -> None:
    context.publish_started()
    context.apply("cancelled", context.builder.cancelled(transition_id="c"))
    record = store.load("job-1")
    assert record == {
        **make_record(status="cancelled"), "attempt_count": 1, "error": "cancelled", "error_kind": "user",
        "started_at": clock.now(), "finished_at": clock.now(), "updated_at": clock.now(),
    }  # fmt: skip
    event = decode_job_event(redis.xrange("shop:events:log")[-1]["fields"]["event"])
    assert event == {
        "type": "shop.job.failed.v1", "domain": "shop", "job_id": "job-1", "user_id": 7,
        "error_kind": "user", "message": "cancelled",
    }  # fmt: skip
    with pytest.raises(OutcomeAlreadyRecordedError):
        context.publish_completed(result_id="r", result_bytes=1)


def test_the_durable_log_is_bounded(
    context: JobContext, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_workers.job_transitions.EVENTS_LOG_LENGTH", 0)
    redis.xadd("shop:events:log", {"event": "{}"}, max_length=10)
    for _ in range(200):
        redis.xadd("shop:events:log", {"event": "{}"}, max_length=1000)
    context.publish_started()
    assert len(redis.xrange("shop:events:log")) < 201


def test_odd_members_of_the_finished_set_do_not_come_between_a_record_and_its_event(
    context: JobContext, redis: RedisClient, store: JobRecordStore
) -> None:
    redis.zadd("shop:jobs:finished", {"no words": 1.0, "one two three four": 1.0})
    redis.hset("shop:job:job-1", {"job_type": ""})
    context.publish_started()
    context.publish_completed(result_id="r", result_bytes=1)
    assert logged_types(redis) == ["shop.job.started.v1", "shop.job.completed.v1"]
    assert redis.zrange("shop:jobs:finished", 0, -1) == ["job-1 - 7"]
