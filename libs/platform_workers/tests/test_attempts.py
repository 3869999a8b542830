"""One attempt from start to settlement, without a worker process: every way it can end."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypedDict

import pytest
from builders import make_record
from hypothesis import given
from hypothesis import strategies as st
from platform_core.errors import JobUserError
from platform_core.job_events import JobDomain, decode_job_event
from platform_core.job_types import JobRecord, JobStatusLiteral

from platform_workers.attempts import AttemptRunner, backoff_seconds, random_jitter
from platform_workers.errors import JobCancelledError, RedisUnavailableError
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeQueue, FakeRedis


class TooSlowError(Exception):
    """Stands for what the engine raises inside a handler that took too long."""


class ResizePayload(TypedDict):
    width: int


class Bench:
    """A runner with everything around it in reach.

    Attributes:
        waits: How long the runner waited for Redis, each time.
    """

    def __init__(self, redis: RedisClient, domain: JobDomain, clock: FakeClock, worker: str = "w1") -> None:
        self.redis = redis
        self.clock = clock
        self.logger = FakeLogger()
        self.queue = FakeQueue(redis)
        self.store = JobRecordStore(redis=redis, domain=domain, clock=clock)
        self.waits: list[float] = []
        self.registry = HandlerRegistry(domain=domain)
        self.registry.register(
            "image.resize", ResizePayload, self.handle, timeout_seconds=9, backoff_seconds=10
        )
        self.runner = AttemptRunner(
            {
                "redis": redis, "store": self.store, "queue": self.queue, "registry": self.registry,
                "events_channel": f"{domain}:events", "worker_name": worker, "clock": clock,
                "wait": self.wait, "jitter": lambda: 0.5, "logger": self.logger,
                "timeout_error": TooSlowError,
            }
        )  # fmt: skip
        self.error: Exception | None = None
        self.seen: list[tuple[str, str, int, int]] = []

    def handle(self, payload: ResizePayload, job: JobRun) -> JobResult:
        self.seen.append((job.domain, job.job_id, job.user_id, job.attempt))
        job.publish_progress(50, "halfway", payload={"width": payload["width"]})
        if self.error is not None:
            raise self.error
        return {"result_id": "file-1", "result_bytes": 3}

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def record(self) -> JobRecord:
        record = self.store.load("job-1")
        assert record is not None
        return record

    def event_types(self) -> list[str]:
        entries = self.redis.xrange("shop:events:log")
        return [decode_job_event(entry["fields"]["event"])["type"].split(".")[2] for entry in entries]


@pytest.fixture
def bench(redis: RedisClient, domain: JobDomain, clock: FakeClock) -> Bench:
    bench = Bench(redis, domain, clock)
    bench.store.save(make_record())
    return bench


def test_an_attempt_that_goes_well(bench: Bench) -> None:
    bench.runner.run("job-1", 1, 1)
    record = bench.record()
    assert (record["status"], record["message"], record.get("result_id")) == (
        "completed",
        "halfway",
        "file-1",
    )
    assert bench.event_types() == ["started", "completed"]
    assert bench.seen == [("shop", "job-1", 7, 1)]


def test_bad_input_is_the_users_and_is_not_tried_again(bench: Bench) -> None:
    bench.error = JobUserError("row 3 is empty")
    bench.runner.run("job-1", 1, 1)
    record = bench.record()
    assert (record["status"], record["error"], record.get("error_kind")) == (
        "failed",
        "row 3 is empty",
        "user",
    )
    assert bench.event_types() == ["started", "failed"]
    assert bench.queue.tickets == []


def test_only_the_last_attempts_failure_is_an_event(bench: Bench) -> None:
    bench.error = ValueError("boom")
    for attempt in (1, 2):
        bench.runner.run("job-1", 1, attempt)
        assert bench.record()["status"] == "queued"
        assert bench.record()["error"] == "ValueError: boom"
    bench.runner.run("job-1", 1, 3)
    assert bench.record()["status"] == "failed"
    assert bench.record().get("error_kind") == "system"
    assert bench.event_types() == ["started", "started", "started", "failed"]
    pauses = [(run_at - bench.clock.now()).total_seconds() for _, run_at in bench.queue.tickets if run_at]
    assert pauses == [10.0, 20.0]
    assert [ticket["attempt"] for ticket, _ in bench.queue.tickets] == [2, 3]
    assert "Traceback" in str(bench.logger.lines[0]["fields"]["traceback"])


def test_an_attempt_that_takes_too_long(bench: Bench) -> None:
    bench.error = TooSlowError()
    bench.runner.run("job-1", 1, 1)
    assert bench.record()["error"] == "it took longer than 9 seconds"
    assert bench.record()["status"] == "queued"


@pytest.mark.parametrize("change", ["type", "payload"])
def test_a_job_the_worker_does_not_understand_fails_at_once(bench: Bench, change: str) -> None:
    if change == "type":
        bench.store.save({**make_record(), "job_type": "image.rotate"})
    else:
        bench.store.save({**make_record(), "payload": {}})
    bench.runner.run("job-1", 1, 1)
    assert bench.record()["status"] == "failed"
    assert bench.record().get("error_kind") == "system"
    assert ("image.rotate" if change == "type" else "$.payload.width") in str(bench.record()["error"])
    assert bench.seen == []


def test_a_very_long_message_is_cut(bench: Bench) -> None:
    bench.error = JobUserError("x" * 1000)
    bench.runner.run("job-1", 1, 1)
    assert bench.record()["error"] == "x" * 499 + "…"


def test_the_operator_reads_how_each_attempt_ended(bench: Bench) -> None:
    bench.error = RuntimeError("later")
    bench.runner.run("job-1", 1, 1)
    bench.error = JobUserError("never")
    bench.runner.run("job-1", 1, 2)
    told = [line["fields"] for line in bench.logger.lines if line["event"] == "worker.attempt_ended"]
    whose = {"job_id": "job-1", "job_type": "image.resize"}
    assert told == [{**whose, "attempt": 1, "became": "queued"}, {**whose, "attempt": 2, "became": "failed"}]


def test_an_attempt_delivered_twice_runs_once(bench: Bench) -> None:
    bench.runner.run("job-1", 1, 1)
    bench.runner.run("job-1", 1, 1)
    assert len(bench.seen) == 1
    assert bench.event_types() == ["started", "completed"]
    assert bench.logger.events("info") == ["worker.attempt_ended", "worker.attempt_not_wanted"]


def test_an_attempt_without_a_record_is_logged(bench: Bench) -> None:
    bench.runner.run("nobody", 1, 1)
    bench.runner.settle_dead("nobody", 1, 1, "died")
    assert not bench.runner.renew("nobody", 1, 1)
    assert bench.logger.events() == [*["worker.record_missing"] * 2, "worker.lease_not_renewed"]


def test_a_record_nobody_can_read_is_failed_and_stops_no_worker(bench: Bench, redis: RedisClient) -> None:
    redis.hset("shop:job:job-1", {"payload": "{", "user_id": "7"})
    bench.runner.run("job-1", 1, 1)
    stored = redis.hgetall("shop:job:job-1")
    assert (stored["status"], stored["error_kind"]) == ("failed", "system")
    assert "the job's record cannot be read" in stored["error"]
    assert bench.event_types() == ["failed"]
    assert bench.logger.events() == ["worker.record_malformed"]


def test_leases_that_nobody_can_settle_do_not_hide_the_others(bench: Bench, redis: RedisClient) -> None:
    begin(bench, attempt=1)
    bench.clock.advance(50)
    redis.hset("shop:job:odd", {"status": "what?", "user_id": "x"})
    redis.zadd("shop:jobs:leases:default", {"odd": 1.0, **{f"gone-{number}": 1.0 for number in range(5)}})
    assert bench.runner.reap_expired(limit=6) == 0
    assert bench.runner.reap_expired(limit=6) == 1
    assert {"worker.record_missing", "worker.record_beyond_repair"} <= set(bench.logger.events("error"))


@pytest.mark.parametrize("status", ["queued", "completed", "failed", "cancelled"])
def test_leases_of_jobs_that_do_not_run_are_taken_away_and_hide_nothing(
    bench: Bench, redis: RedisClient, status: JobStatusLiteral
) -> None:
    """A hundred of them in front, and no lost job was ever settled again."""
    begin(bench, attempt=1)
    bench.clock.advance(50)
    for number in range(100):
        bench.store.save(make_record(f"idle-{number}", status))
    redis.zadd("shop:jobs:leases:default", {f"idle-{number}": 1.0 for number in range(100)})
    assert bench.runner.reap_expired() == 0
    assert bench.runner.reap_expired() == 1
    assert redis.zrange("shop:jobs:leases:default", 0, -1) == []
    assert bench.store.count(f"status:{status}") == 100 + (status == "queued")


def test_leases_that_cannot_be_settled_for_now_are_passed_over_and_kept(
    bench: Bench, redis: RedisClient
) -> None:
    """Another program has taken a key of one user's jobs: they wait, and those of the others do not."""
    for number in range(3):
        bench.store.save({**make_record(f"stuck-{number}", "processing"), "user_id": 8, "attempt_count": 1})
    begin(bench, attempt=1)
    bench.clock.advance(50)
    redis.zadd("shop:jobs:leases:default", {f"stuck-{number}": 1.0 for number in range(3)})
    redis.set("shop:jobs:status:queued:user:8", "mine")
    assert bench.runner.reap_expired(limit=2) == 1
    assert bench.record()["status"] == "queued"
    assert bench.logger.events("error") == ["worker.lease_not_settled"] * 3
    redis.delete("shop:jobs:status:queued:user:8")
    assert bench.runner.reap_expired() == 3


def test_a_lease_in_the_set_of_another_queue_is_taken_away(bench: Bench, redis: RedisClient) -> None:
    begin(bench, attempt=1)
    bench.clock.advance(50)
    redis.hset("shop:job:job-1", {"queue": "gpu"})
    assert bench.runner.reap_expired() == 0
    assert redis.zrange("shop:jobs:leases:default", 0, -1) == []


def test_a_lease_that_was_renewed_meanwhile_is_kept(
    bench: Bench, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the taking away a worker has begun the job, or gone on with it."""
    begin(bench, attempt=1)
    bench.clock.advance(50)
    load = bench.store.load

    def renewed_meanwhile(job_id: str) -> JobRecord | None:
        bench.runner.renew("job-1", 1, 1)
        return load(job_id)

    monkeypatch.setattr(bench.store, "load", renewed_meanwhile)
    assert bench.runner.reap_expired() == 0
    assert redis.zrange("shop:jobs:leases:default", 0, -1) == ["job-1"]
    assert bench.record()["status"] == "processing"


def test_an_outcome_waits_until_a_key_is_free(bench: Bench, redis: RedisClient) -> None:
    """Work of hours is not lost because another program took a key."""

    def take_the_log(payload: ResizePayload, job: JobRun) -> JobResult:
        redis.delete("shop:events:log")
        redis.set("shop:events:log", "mine")
        return {"result_id": "r", "result_bytes": 1}

    def wait(seconds: float) -> None:
        bench.waits.append(seconds)
        if len(bench.waits) == 2:
            redis.delete("shop:events:log")

    registry = HandlerRegistry(domain=bench.registry.domain)
    registry.register("image.resize", ResizePayload, take_the_log)
    AttemptRunner({**bench.runner.environment, "registry": registry, "wait": wait}).run("job-1", 1, 1)
    assert bench.record()["status"] == "completed"
    assert bench.waits == [0.2, 0.5]
    assert bench.logger.events("error") == ["worker.key_taken"] * 2


def test_a_job_of_another_queue_is_left_to_that_queues_workers(bench: Bench, redis: RedisClient) -> None:
    bench.store.save({**make_record(), "queue": "gpu"})
    begin(bench, attempt=1)
    bench.clock.advance(50)
    assert bench.runner.reap_expired() == 0
    assert redis.zrange("shop:jobs:leases:gpu", 0, -1) == ["job-1"]


def test_a_job_that_fails_once_and_then_completes_shows_no_fault(bench: Bench) -> None:
    bench.error = ValueError("boom")
    bench.runner.run("job-1", 1, 1)
    begun = bench.record().get("started_at")
    assert bench.record().get("run_after") is not None
    bench.clock.advance(60)
    bench.error = None
    bench.runner.run("job-1", 1, 2)
    record = bench.record()
    assert (record["status"], record["error"]) == ("completed", None)
    assert "error_kind" not in record
    assert "run_after" not in record
    assert record.get("started_at") == begun


@pytest.mark.parametrize("result", [{"result_id": "r", "result_bytes": -1}, {"result_id": "r"}, None])
def test_a_result_that_is_none_is_a_fault_of_the_handler(
    bench: Bench, result: JobResult, domain: JobDomain
) -> None:
    registry = HandlerRegistry(domain=domain)
    registry.register("image.resize", ResizePayload, lambda payload, job: result, max_attempts=1)
    bench.store.save({**make_record(), "max_attempts": 1})
    AttemptRunner({**bench.runner.environment, "registry": registry}).run("job-1", 1, 1)
    assert bench.record()["status"] == "failed"
    assert bench.record().get("error_kind") == "system"


def test_half_characters_in_a_message_do_not_stop_the_outcome(bench: Bench) -> None:
    bench.error = JobUserError("cannot read caf\udce9.csv")
    bench.runner.run("job-1", 1, 1)
    assert bench.record()["error"] == "cannot read caf?.csv"


def test_a_process_that_dies_in_the_handler_gets_another_attempt(bench: Bench) -> None:
    begin(bench, attempt=1)
    bench.runner.settle_dead("job-1", 1, 1, "the worker process ended unexpectedly")
    assert bench.record()["status"] == "queued"
    assert bench.record()["error"] == "the worker process ended unexpectedly"
    bench.runner.settle_dead("job-1", 1, 1, "again")
    assert bench.record()["error"] == "the worker process ended unexpectedly"
    assert len(bench.queue.tickets) == 1


def begin(bench: Bench, *, attempt: int) -> None:
    """Begin an attempt as a horse does and die in the handler, where no `except Exception` sees it."""

    class Killed(BaseException):
        """Stands for SIGKILL."""

    def die(payload: ResizePayload, job: JobRun) -> JobResult:
        raise Killed

    registry = HandlerRegistry(domain=bench.registry.domain)
    registry.register("image.resize", ResizePayload, die)
    runner = AttemptRunner({**bench.runner.environment, "registry": registry})
    with pytest.raises(Killed):
        runner.run("job-1", 1, attempt)


def test_a_process_that_dies_before_it_begins_uses_its_attempt_up(bench: Bench) -> None:
    for attempt in (1, 2, 3):
        bench.runner.settle_dead("job-1", 1, attempt, "died")
    assert bench.record()["status"] == "failed"
    assert bench.event_types() == ["started", "started", "started", "failed"]


def test_settling_leaves_another_run_alone(bench: Bench) -> None:
    bench.store.save({**make_record(), "run": 2})
    bench.runner.settle_dead("job-1", 1, 1, "died")
    assert bench.record()["status"] == "queued"
    assert bench.record()["attempt_count"] == 0


def test_settling_does_nothing_where_the_store_moved_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = bench.record()
    bench.runner.run("job-1", 1, 1)
    monkeypatch.setattr(bench.store, "load", lambda job_id: stale)
    bench.runner.settle_dead("job-1", 1, 1, "died")
    monkeypatch.undo()
    assert bench.record()["status"] == "completed"
    assert bench.logger.events("info") == ["worker.attempt_ended", "worker.attempt_settled_elsewhere"]


def test_a_silent_workers_job_is_given_away(
    bench: Bench, redis: RedisClient, domain: JobDomain, clock: FakeClock
) -> None:
    begin(bench, attempt=1)
    other = Bench(redis, domain, clock, worker="w2")
    clock.advance(44)
    assert other.runner.reap_expired() == 0
    clock.advance(2)
    assert other.runner.reap_expired() == 1
    assert other.record()["status"] == "queued"
    other.runner.run("job-1", 1, 2)
    assert other.record()["status"] == "completed"
    assert bench.event_types() == ["started", "started", "completed"]


def test_a_renewed_lease_is_not_given_away(bench: Bench, clock: FakeClock) -> None:
    begin(bench, attempt=1)
    clock.advance(40)
    assert bench.runner.renew("job-1", 1, 1)
    clock.advance(40)
    assert bench.runner.reap_expired() == 0


def test_a_lease_that_is_gone_cannot_be_renewed(bench: Bench, clock: FakeClock) -> None:
    begin(bench, attempt=1)
    clock.advance(50)
    bench.runner.reap_expired()
    assert not bench.runner.renew("job-1", 1, 1)
    assert bench.logger.events("warning")[-1] == "worker.lease_not_renewed"


def test_an_attempt_that_has_not_begun_has_no_lease_to_lose(bench: Bench) -> None:
    """Its horse may be slow to begin; it was killed for that, and the attempt counted as failed."""
    assert bench.runner.renew("job-1", 1, 1)
    assert bench.logger.lines == []
    # Not so an attempt that is over, of this run or of another.
    begin(bench, attempt=1)
    bench.runner.settle_dead("job-1", 1, 1, "it died")
    for run, attempt in ((1, 1), (1, 3), (2, 2)):
        assert not bench.runner.renew("job-1", run, attempt)


def test_an_attempt_that_begins_while_its_lease_is_asked_for_keeps_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = bench.redis.hmget

    def begin_first(key: str, fields: Sequence[str]) -> dict[str, str]:
        begin(bench, attempt=1)
        return ask(key, fields)

    monkeypatch.setattr(bench.redis, "hmget", begin_first)
    assert bench.runner.renew("job-1", 1, 1)


@pytest.mark.parametrize(
    ("last_words", "end", "told"),
    [
        ("progress", pytest.raises(JobCancelledError), []),
        ("log", pytest.raises(JobCancelledError), []),
        ("none", nullcontext(), ["worker.outcome_refused"]),
    ],
)
def test_a_worker_back_from_a_long_pause_cannot_complete_a_job_that_was_given_away(
    bench: Bench,
    redis: RedisClient,
    domain: JobDomain,
    clock: FakeClock,
    last_words: str,
    end: AbstractContextManager[object],
    told: list[str],
) -> None:
    other = Bench(redis, domain, clock, worker="w2")

    def sleep_too_long(payload: ResizePayload, job: JobRun) -> JobResult:
        clock.advance(100)
        other.runner.reap_expired()
        other.runner.run("job-1", 1, 2)
        if last_words == "progress":
            job.publish_progress(99, "still here")
        if last_words == "log":
            job.log("still here")
        return {"result_id": "late", "result_bytes": 1}

    registry = HandlerRegistry(domain=domain)
    registry.register("image.resize", ResizePayload, sleep_too_long)
    with end:
        AttemptRunner({**bench.runner.environment, "registry": registry}).run("job-1", 1, 1)
    assert bench.record()["status"] == "completed"
    assert bench.record().get("result_id") == "file-1"
    assert bench.event_types() == ["started", "started", "completed"]
    assert bench.logger.events("warning") == told


def test_expired_leases_whose_record_is_gone_or_moved_on_are_passed_over(
    bench: Bench, redis: RedisClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(bench, attempt=1)
    clock.advance(50)
    stale = bench.record()
    redis.zadd("shop:jobs:leases:default", {"gone": 1.0})
    bench.runner.settle_dead("job-1", 1, 1, "died")
    redis.zadd("shop:jobs:leases:default", {"job-1": float(clock.now().timestamp() * 1000 - 1)})
    monkeypatch.setattr(bench.store, "load", lambda job_id: stale if job_id == "job-1" else None)
    assert bench.runner.reap_expired() == 0
    assert bench.logger.events("info") == ["worker.attempt_ended", "worker.attempt_settled_elsewhere"]


def test_an_outcome_waits_for_redis_to_come_back(domain: JobDomain, clock: FakeClock) -> None:
    redis = FakeRedis()
    bench = Bench(redis, domain, clock)
    bench.store.save(make_record())

    def lose_redis(payload: ResizePayload, job: JobRun) -> JobResult:
        redis.server.connected = False
        job.publish_progress(50)
        job.log("the lights went out")
        return {"result_id": "r", "result_bytes": 1}

    def wait(seconds: float) -> None:
        bench.waits.append(seconds)
        redis.server.connected = len(bench.waits) == 3

    registry = HandlerRegistry(domain=domain)
    registry.register("image.resize", ResizePayload, lose_redis)
    AttemptRunner({**bench.runner.environment, "registry": registry, "wait": wait}).run("job-1", 1, 1)
    assert bench.record()["status"] == "completed"
    assert bench.waits == [0.2, 0.5, 1.0]
    assert bench.logger.events("warning")[:2] == ["worker.progress_not_published", "worker.line_not_logged"]


def test_redis_that_stays_away_is_an_error_in_the_end(domain: JobDomain, clock: FakeClock) -> None:
    redis = FakeRedis()
    bench = Bench(redis, domain, clock)
    bench.store.save(make_record())

    def lose_redis(payload: ResizePayload, job: JobRun) -> JobResult:
        redis.server.connected = False
        return {"result_id": "r", "result_bytes": 1}

    registry = HandlerRegistry(domain=domain)
    registry.register("image.resize", ResizePayload, lose_redis)
    with pytest.raises(RedisUnavailableError):
        AttemptRunner({**bench.runner.environment, "registry": registry}).run("job-1", 1, 1)
    assert 300 < sum(bench.waits) < 400


@given(base=st.floats(0, 1e6), attempt=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_backoff_stays_within_its_bounds(base: float, attempt: int, jitter: float) -> None:
    pause = backoff_seconds(base, attempt, jitter)
    assert 0 <= pause <= 3600 * 1.2 + 1e-6
    assert pause >= min(base, 3600) * 0.8 - 1e-6


def test_a_handler_that_is_told_to_stop_can_clean_up_and_settles_nothing(bench: Bench) -> None:
    """The signal comes as `JobCancelledError`, which no `except Exception` may swallow."""
    cleaned: list[str] = []

    def be_stopped(payload: ResizePayload, job: JobRun) -> JobResult:
        try:
            raise JobCancelledError("stop")
        except Exception:
            cleaned.append("swallowed")
        finally:
            cleaned.append("file")
        return {"result_id": "r", "result_bytes": 1}

    registry = HandlerRegistry(domain=bench.registry.domain)
    registry.register("image.resize", ResizePayload, be_stopped)
    with pytest.raises(JobCancelledError):
        AttemptRunner({**bench.runner.environment, "registry": registry}).run("job-1", 1, 1)
    assert cleaned == ["file"]
    assert bench.record()["status"] == "processing"


def test_retries_keep_the_jobs_priority(bench: Bench) -> None:
    bench.store.save({**make_record(), "priority": "low"})
    bench.error = ValueError("boom")
    bench.runner.run("job-1", 1, 1)
    assert [ticket["priority"] for ticket, _ in bench.queue.tickets] == ["low"]


def test_the_next_attempt_of_a_dead_worker_does_not_wait_for_a_scheduler(bench: Bench) -> None:
    """The scheduler that would keep the pause may have died with the worker."""
    bench.runner.settle_dead("job-1", 1, 1, "died", at_once=True)
    assert [run_at for _, run_at in bench.queue.tickets] == [None]


def test_jitter_is_a_share() -> None:
    assert all(0 <= random_jitter() <= 1 for _ in range(100))
