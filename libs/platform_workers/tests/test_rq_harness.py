"""Real workers on a real server: whatever happens to a job's process, it ends in one outcome."""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from builders import make_record
from plant import PATIENCE, QUEUE, FatePayload, Plant, horse_of, is_gone, kill_tree, meet_fate, wait_until
from platform_core.job_events import JobDomain, job_domain
from platform_core.json_values import JsonValue
from rq import Queue, Worker
from rq.exceptions import AbandonedJobError
from rq.job import JobStatus
from rq.utils import now

from platform_workers.errors import RedisUnavailableError
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_queue import ATTEMPT_FUNCTION, RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.readiness import check_readiness
from platform_workers.rq_harness import (
    make_worker,
    wait_for_redis,
    work_until_stopped,
)
from platform_workers.submission import JobSubmitter
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger, FakeRedis

DIED = "the worker process ended unexpectedly"


def test_each_fate_ends_in_exactly_one_outcome(plant: Plant) -> None:
    expected = {
        "go well": ("completed", None, None),
        "raise": ("failed", "system", "ValueError: boom"),
        "user": ("failed", "user", "row 3 is empty"),
        "exit 0": ("failed", "system", DIED),
        "exit 3": ("failed", "system", DIED),
        "kill": ("failed", "system", DIED),
        "hang": ("failed", "system", "it took longer than 2 seconds"),
    }
    jobs = {fate: plant.submit(fate) for fate in expected}
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
    for fate, job_id in jobs.items():
        record = plant.record(job_id)
        assert (record["status"], record.get("error_kind"), record["error"]) == expected[fate], fate
    assert plant.outcomes() == Counter(jobs.values())
    assert plant.redis.keys("shop:jobs:leases:fates") == []


def test_a_horse_that_stands_still_before_its_first_step_is_stopped(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had no process group yet that hears a signal: its worker waited for ever, deaf to SIGTERM."""
    monkeypatch.setattr("platform_workers.rq_harness.RENEWAL_SECONDS", 1)
    plant.allow_time(600)
    stuck, after = plant.submit("go well"), plant.submit("go well")
    set_group = os.setpgrp

    def stand_still_once() -> None:
        """What a fork does that has copied a lock in another thread's hand."""
        if (tmp_path / "stuck").exists():
            set_group()
        else:
            (tmp_path / "stuck").touch()
            threading.Event().wait()

    # RQ asks about the time when it has begun, and whenever it asks itself whether the limit is over.
    hours = itertools.count()
    monkeypatch.setattr("os.setpgrp", stand_still_once)
    monkeypatch.setattr("rq.worker.worker_classes.now", lambda: now() + timedelta(hours=next(hours)))
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert (plant.record(stuck)["status"], plant.record(stuck)["error"]) == ("failed", DIED)
    assert plant.record(after)["status"] == "completed"
    assert plant.outcomes() == Counter([stuck, after])


def test_a_killed_attempt_is_tried_again_and_only_the_end_is_told(plant: Plant) -> None:
    job_id = plant.submit("kill once", max_attempts=2)
    with plant.worker():
        record = plant.wait_for_outcome(job_id)
    assert (record["status"], record["attempt_count"]) == ("completed", 2)
    assert plant.outcomes() == Counter([job_id])


def test_when_the_whole_worker_is_killed_another_one_takes_the_job(plant: Plant, tmp_path: Path) -> None:
    job_id = plant.submit("wait", folder=str(tmp_path), max_attempts=2)
    with plant.worker() as victim:
        wait_until((tmp_path / "running").exists)
        kill_tree(victim.pid)
        victim.join(PATIENCE)
    assert plant.record(job_id)["status"] == "processing"
    (tmp_path / "go on").touch()
    # Its lease runs out in 45 s; move it into the past instead of waiting.
    plant.redis.zadd("shop:jobs:leases:fates", {job_id: 1.0})
    with plant.worker():
        record = plant.wait_for_outcome(job_id)
    assert (record["status"], record["attempt_count"]) == ("completed", 2)
    assert plant.outcomes() == Counter([job_id])


def test_a_worker_told_to_stop_finishes_the_job_under_way(plant: Plant, tmp_path: Path) -> None:
    job_id = plant.submit("wait", folder=str(tmp_path))
    with plant.worker() as process:
        wait_until((tmp_path / "running").exists)
        assert check_readiness(plant.redis)["status"] == "ready"
        assert check_readiness(plant.redis, queue_name=QUEUE)["status"] == "ready"
        assert check_readiness(plant.redis, queue_name="elsewhere") == {
            "status": "degraded",
            "reason": "no worker listens on the queue elsewhere (1 on others)",
        }
        process.terminate()
        (tmp_path / "go on").touch()
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert plant.record(job_id)["status"] == "completed"
    for queue in (None, QUEUE):
        found = check_readiness(plant.redis, queue_name=queue)
        assert found == {"status": "degraded", "reason": "no worker is running"}


def test_a_job_outlives_the_loss_of_redis(domain: JobDomain, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with EmbeddedRedis(folder=tmp_path / "data", append_only=True) as server:
        plant = Plant(server, domain)
        plant.registry.register("fate.patient", FatePayload, meet_fate, timeout_seconds=600)
        submitter = JobSubmitter(
            store=plant.store, queue=RqJobQueue(redis=plant.redis, name=QUEUE), registry=plant.registry
        )
        payload: JsonValue = {"fate": "wait", "folder": str(tmp_path)}
        job_id = submitter.submit(
            {"job_type": "fate.patient", "payload": payload, "user_id": 7, "max_attempts": 1}
        )["job_id"]
        with plant.worker():
            wait_until((tmp_path / "running").exists)
            server.kill()
            (tmp_path / "go on").touch()
            server.start()
            record = plant.wait_for_outcome(job_id)
            assert (record["status"], record["attempt_count"]) == ("completed", 1)
            after = plant.submit("go well")
            assert plant.wait_for_outcome(after)["status"] == "completed"
        assert plant.outcomes() == Counter([job_id, after])


@pytest.mark.parametrize("fate", ["wait", "wait and die"])
def test_a_worker_told_to_stop_while_redis_is_away_still_finishes_its_job(
    domain: JobDomain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    """It broke off at once, and its job ran out of its lease though Redis was back in time."""
    monkeypatch.setattr("platform_workers.rq_harness.RENEWAL_SECONDS", 1)
    (tmp_path / "data").mkdir()
    with EmbeddedRedis(folder=tmp_path / "data", append_only=True) as server:
        plant = Plant(server, domain)
        plant.allow_time(600)
        job_id = plant.submit(fate, folder=str(tmp_path))
        with plant.worker() as process:
            horse = horse_of(tmp_path)
            server.kill()
            process.terminate()
            # Some renewals that find nobody.
            process.join(3)
            assert process.is_alive()
            assert not is_gone(horse)
            (tmp_path / "go on").touch()
            server.start()
            process.join(PATIENCE)
            assert process.exitcode == 0
        record = plant.record(job_id)
        assert record["status"] == ("completed" if fate == "wait" else "failed")
        assert plant.outcomes() == Counter([job_id])


def test_an_attempt_taken_from_the_queue_and_never_begun_is_settled(plant: Plant) -> None:
    """A worker that dies between taking an attempt and beginning it: RQ finds it later and gives it up."""
    job_id = plant.submit("go well", max_attempts=1)
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    queue = worker.queues[0]
    job = queue.fetch_job(f"shop-{job_id}-1-1")
    assert job is not None
    worker.handle_job_failure(job, queue, exc_string="stuck")
    assert plant.record(job_id)["status"] == "failed"
    assert plant.outcomes() == Counter([job_id])


def test_an_attempt_marked_as_started_and_never_begun_is_settled(plant: Plant) -> None:
    """A worker that dies after RQ has marked the attempt as started, before its horse has begun it."""
    job_id = plant.submit("go well", max_attempts=2)
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    queue = worker.queues[0]
    job = queue.fetch_job(f"shop-{job_id}-1-1")
    assert job is not None
    worker.prepare_execution(job)
    worker.prepare_job_execution(job)
    (execution,) = plant.redis.zrange(f"rq:wip:{QUEUE}", 0, -1)
    look_for_abandoned: Callable[[], None] = worker.clean_registries
    look_for_abandoned()
    assert plant.record(job_id)["attempt_count"] == 0, "its worker may still be alive"
    plant.redis.zadd(f"rq:wip:{QUEUE}", {execution: 1})
    look_for_abandoned()
    record = plant.record(job_id)
    assert (record["status"], record["attempt_count"]) == ("queued", 1)
    assert queue.fetch_job(f"shop-{job_id}-1-2") is not None


def test_another_fault_than_that_of_a_lost_worker_settles_nothing(plant: Plant) -> None:
    job_id = plant.submit("go well", max_attempts=1)
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    job = worker.queues[0].fetch_job(f"shop-{job_id}-1-1")
    assert job is not None
    worker.handle_exception(job, ValueError, ValueError("boom"), None)
    assert plant.record(job_id)["status"] == "queued"


def test_the_lock_of_a_worker_killed_while_it_looked_ends_soon(plant: Plant) -> None:
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    queue = worker.queues[0]
    assert queue.acquire_maintenance_lock()
    assert not queue.acquire_maintenance_lock()
    assert 0 < plant.redis.ttl(f"rq:clean_registries:{QUEUE}") <= 15
    queue.release_maintenance_lock()
    assert queue.acquire_maintenance_lock()


def test_a_busy_worker_renews_its_lease_and_endures_an_outage(plant: Plant, server: EmbeddedRedis) -> None:
    job_id = plant.submit("go well")
    logger = FakeLogger()
    clock = FakeClock()
    worker = make_worker(plant.config(), redis=plant.redis, clock=clock, logger=logger)
    register: Callable[[], None] = worker.register_birth
    register()
    queue = worker.queues[0]
    job = queue.fetch_job(f"shop-{job_id}-1-1")
    assert job is not None
    execution = worker.prepare_execution(job)
    token = f"{worker.name}:1:1"
    plant.store.save({**make_record(job_id, "processing"), "queue": QUEUE, "locked_by": token})
    worker.maintain_heartbeats(job, execution)
    lease_end = plant.redis.zscore("shop:jobs:leases:fates", job_id)
    assert lease_end == (clock.now().timestamp() + 45) * 1000
    plant.redis.connection.connection_pool.connection_kwargs["port"] = 1
    plant.redis.connection.connection_pool.reset()
    worker.maintain_heartbeats(job, execution)
    assert logger.events("warning") == ["worker.redis_away"]


def test_an_idle_workers_heartbeat_settles_leases_that_ran_out(plant: Plant) -> None:
    job_id = plant.submit("go well", max_attempts=1)
    clock = FakeClock()
    worker = make_worker(plant.config(), redis=plant.redis, clock=clock, logger=FakeLogger())
    begun = make_record(job_id, "processing")
    plant.store.save({**begun, "queue": QUEUE, "max_attempts": 1, "attempt_count": 1})
    plant.redis.zadd("shop:jobs:leases:fates", {job_id: 1.0})
    with plant.redis.connection.pipeline() as pipeline:
        worker.heartbeat(pipeline=pipeline)
    assert plant.record(job_id)["status"] == "processing"
    worker.heartbeat()
    assert plant.record(job_id)["error"] == "the worker that ran it stopped answering"


def test_a_worker_waits_for_redis_and_says_so_once() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    logger = FakeLogger()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        redis.server.connected = len(waits) == 3

    wait_for_redis(redis, wait=wait, logger=logger)
    assert waits == [1.0, 1.0, 1.0]
    assert logger.events() == ["worker.waiting_for_redis"]


def test_readiness_without_redis() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    assert check_readiness(redis)["reason"].startswith("Redis does not answer")


class Loop:
    """A worker that loses Redis, or is told to stop."""

    def __init__(self, *, stop_requested: bool, error: Exception | None) -> None:
        self.stop_requested = stop_requested
        self._error = error

    def work_on(self, *, burst: bool) -> None:
        if self._error is not None:
            raise self._error


def test_a_worker_that_loses_redis_is_followed_by_another() -> None:
    logger = FakeLogger()
    workers = [
        Loop(stop_requested=False, error=RedisUnavailableError("gone")),
        Loop(stop_requested=False, error=None),
        Loop(stop_requested=True, error=None),
        Loop(stop_requested=True, error=AssertionError("the loop has ended before")),
    ]
    waits: list[float] = []
    work_until_stopped(iter(workers).__next__, burst=False, wait=waits.append, logger=logger)
    assert logger.events() == ["worker.redis_away", "worker.stopped"]
    assert waits == [1.0, 1.0]


def test_a_worker_that_loses_redis_while_it_begins_is_followed_by_another() -> None:
    """It makes itself known to Redis; the process ended when that failed."""
    begun: list[Loop | RedisUnavailableError] = [
        RedisUnavailableError("gone"),
        Loop(stop_requested=True, error=None),
    ]

    def next_worker() -> Loop:
        worker = begun.pop(0)
        if isinstance(worker, RedisUnavailableError):
            raise worker
        return worker

    logger, waits = FakeLogger(), list[float]()
    work_until_stopped(next_worker, burst=False, wait=waits.append, logger=logger)
    assert logger.events() == ["worker.redis_away", "worker.stopped"]
    assert waits == [1.0]


@pytest.mark.parametrize(
    ("setting", "ill", "well"),
    [
        pytest.param("maxmemory", "1mb", "0", id="full"),
        pytest.param("min-replicas-to-write", "1", "0", id="without replicas"),
    ],
)
def test_a_worker_outlives_a_server_that_takes_nothing(
    plant: Plant, tmp_path: Path, setting: str, ill: str, well: str
) -> None:
    """It ended, and its job with it."""
    plant.allow_time(600)
    job_id = plant.submit("wait", folder=str(tmp_path))
    connection = plant.redis.connection
    with plant.worker() as process:
        wait_until((tmp_path / "running").exists)
        connection.config_set(setting, ill)
        try:
            with pytest.raises(RedisUnavailableError):
                plant.redis.set("one more", "x")
            # Two renewals.
            process.join(5)
            assert process.exitcode is None
        finally:
            connection.config_set(setting, well)
        (tmp_path / "go on").touch()
        assert plant.wait_for_outcome(job_id)["status"] == "completed"


def foreign_jobs(plant: Plant) -> list[str]:
    """RQ jobs that another program put into our queue; their ids."""
    queue = Queue(QUEUE, connection=plant.redis.connection)
    broken = queue.create_job("os.getcwd", job_id="broken")
    jobs = [
        queue.enqueue("os.getcwd"),
        queue.enqueue("os._exit", 0),
        queue.enqueue(ATTEMPT_FUNCTION, "shop", "job-1", "first", 1),
        queue.enqueue(ATTEMPT_FUNCTION, "no domain", "job-1", 1, 1),
        queue.enqueue("no.such.function", "shop", "job-1", 1, 1),
        queue.enqueue_job(broken),
    ]
    plant.redis.hset("rq:job:broken", {"data": "no pickle"})
    return [job.id for job in jobs]


def test_a_foreign_rq_job_fails_and_keeps_nobody_waiting(plant: Plant, tmp_path: Path) -> None:
    """The worker broke off at the first one, and at each that followed; and what they asked for was run."""
    foreign = foreign_jobs(plant)
    job_id = plant.submit("note", folder=str(tmp_path))
    logger = FakeLogger()
    worker = make_worker(plant.config(burst=True), redis=plant.redis, clock=FakeClock(), logger=logger)
    worker.work_on(burst=True)
    assert plant.record(job_id)["status"] == "completed"
    assert logger.events("error") == ["worker.foreign_rq_job"] * len(foreign)
    queue = worker.queues[0]
    assert sorted(queue.failed_job_registry.get_job_ids()) == sorted(foreign)
    assert plant.redis.lrange(f"{queue.key}:intermediate", 0, -1) == []
    assert plant.redis.lrange(queue.key, 0, -1) == []
    assert plant.outcomes() == Counter([job_id])


def test_a_foreign_rq_job_that_a_dead_worker_left_is_given_up(plant: Plant) -> None:
    """Taken by a worker of another version, which died."""
    foreign = foreign_jobs(plant)[0]
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    queue = worker.queues[0]
    job = queue.fetch_job(foreign)
    assert job is not None
    register: Callable[[], None] = worker.register_birth
    register()
    worker.maintain_heartbeats(job, worker.prepare_execution(job))
    worker.handle_exception(job, AbandonedJobError, AbandonedJobError(), None)
    worker.handle_job_failure(job, queue, exc_string="stuck")
    assert job.get_status() == JobStatus.FAILED


def test_what_is_no_rq_job_at_all_hides_no_abandoned_attempt(plant: Plant) -> None:
    """The look for them ended there, each time."""
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    taken = worker.queues[0].intermediate_queue
    plant.redis.set("rq:job:text", "mine")
    plant.redis.hset("rq:job:untimely", {"created_at": "yesterday", "data": "x"})
    plant.redis.connection.rpush(taken.key, "text", "untimely", "nobody")
    look_for_abandoned: Callable[[], None] = worker.clean_registries
    look_for_abandoned()
    assert taken.get_job_ids() == []


def test_an_attempt_that_cannot_begin_because_a_key_is_taken_begins_later(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ was done with it, and the job waited for ever."""
    monkeypatch.setattr("platform_workers.rq_worker.PUT_BACK_SECONDS", 1)
    job_id = plant.submit("note", folder=str(tmp_path))
    plant.redis.set("shop:events:log", "mine")
    with plant.worker() as process:
        wait_until(lambda: plant.redis.zcard(f"rq:scheduled:{QUEUE}") == 1)
        assert plant.record(job_id)["status"] == "queued"
        plant.redis.delete("shop:events:log")
        assert plant.wait_for_outcome(job_id)["status"] == "completed"
        assert process.is_alive()
    assert (tmp_path / "order").read_text().split() == [job_id]


def test_a_worker_outlives_leases_that_are_none(plant: Plant) -> None:
    """Another program has taken the set of leases: its workers went down, and came, and went down."""
    logger = FakeLogger()
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=logger)
    plant.redis.set("shop:jobs:leases:fates", "mine")
    worker.heartbeat()
    assert logger.events("error") == ["worker.redis_refused"]


def test_a_job_in_another_domains_queue_is_failed_not_left_waiting(plant: Plant) -> None:
    other = HandlerRegistry(domain=job_domain("bakery"))
    other.register("fate.meet", FatePayload, meet_fate)
    store = JobRecordStore(redis=plant.redis, domain=other.domain)
    job_id = JobSubmitter(
        store=store, queue=RqJobQueue(redis=plant.redis, name=QUEUE), registry=other
    ).submit({"job_type": "fate.meet", "payload": {"fate": "go well", "folder": ""}, "user_id": 7})["job_id"]
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
    record = store.load(job_id)
    assert record is not None
    assert (record["status"], record["error"]) == (
        "failed", "job_type: unknown job type 'fate.meet'; known: none",
    )  # fmt: skip
    assert len(plant.redis.xrange("bakery:events:log")) == 2


def test_a_worker_whose_lease_is_lost_stops_its_horse(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = plant.submit("go well")
    worker, job, execution = plant.taken(job_id)
    plant.store.save({**make_record(job_id, "processing"), "locked_by": "another worker"})
    killed: list[bool] = []
    monkeypatch.setattr(worker, "kill_horse", lambda: killed.append(True))
    worker.maintain_heartbeats(job, execution)
    assert killed == [True]


def test_a_handler_that_swallows_its_time_limit_is_told_apart(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ kills such a horse a minute after its limit; the clock stands in for that minute."""
    job_id = plant.submit("go well")
    clock = FakeClock()
    worker = make_worker(plant.config(), redis=plant.redis, clock=clock, logger=FakeLogger())
    queue = worker.queues[0]
    job = queue.fetch_job(f"shop-{job_id}-1-1")
    assert job is not None
    monkeypatch.setattr(Worker, "monitor_work_horse", lambda *_: clock.advance(62))
    worker.monitor_work_horse(job, queue, worker.prepare_execution(job))
    assert plant.record(job_id)["error"] == "it took longer than 2 seconds and did not stop"
