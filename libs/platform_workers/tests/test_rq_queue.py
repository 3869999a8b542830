"""Priorities in order, and what a worker has taken from a queue is never lost."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest
from plant import PATIENCE, QUEUE, Plant, kill_tree, wait_until
from rq import Queue
from rq.exceptions import DequeueTimeout, StopRequested

from platform_workers.redis import RedisClient
from platform_workers.rq_harness import PlatformWorker, make_worker
from platform_workers.rq_queue import PlatformQueue
from platform_workers.testing import FakeClock, FakeLogger

KEYS = ["rq:queue:a", "rq:queue:a:low"]


def test_high_comes_first_and_low_last(plant: Plant, tmp_path: Path) -> None:
    """Submitted in the wrong order; the low ones also wait for a normal one that comes meanwhile."""
    low = [plant.submit("note", folder=str(tmp_path), priority="low") for _ in range(2)]
    normal = [plant.submit("note", folder=str(tmp_path)) for _ in range(2)]
    high = plant.submit("note", folder=str(tmp_path), priority="high")
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert (tmp_path / "order").read_text().splitlines() == [high, *normal, *low]


def test_a_waiting_worker_hears_of_a_job_of_low_priority(plant: Plant) -> None:
    with plant.worker():
        wait_until(lambda: plant.redis.scard("rq:workers") == 1)
        job_id = plant.submit("go well", priority="low")
        assert plant.wait_for_outcome(job_id)["status"] == "completed"
    assert plant.redis.keys("rq:queue:*:intermediate") == []


def test_a_failed_attempt_of_low_priority_stays_low(plant: Plant) -> None:
    job_id = plant.submit("kill once", priority="low", max_attempts=2)
    with plant.worker():
        assert plant.wait_for_outcome(job_id)["status"] == "completed"
    attempt = Queue(f"{QUEUE}:low", connection=plant.redis.connection).fetch_job(f"shop-{job_id}-1-2")
    assert attempt is not None


def test_what_is_taken_lies_in_the_intermediate_queue(redis: RedisClient) -> None:
    connection = redis.connection
    for name in ("normal-1", "normal-2"):
        connection.rpush(KEYS[0], name)
    connection.rpush(KEYS[1], "low-1")
    taken = [PlatformQueue.lpop(KEYS, timeout, connection=connection) for timeout in (5, None, 5, None)]
    assert taken == [(KEYS[0], b"normal-1"), (KEYS[0], b"normal-2"), (KEYS[1], b"low-1"), None]
    assert redis.lrange("rq:queue:a:intermediate", 0, -1) == ["normal-1", "normal-2"]
    assert redis.lrange("rq:queue:a:low:intermediate", 0, -1) == ["low-1"]


def test_nothing_comes_in_time(real_redis: RedisClient) -> None:
    with pytest.raises(DequeueTimeout):
        PlatformQueue.lpop(KEYS, 1, connection=real_redis.connection)
    with pytest.raises(ValueError, match="connection"):
        PlatformQueue.lpop(KEYS, 1)


def test_an_attempt_that_comes_while_it_waits_is_moved_by_the_waiting_itself(
    real_redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment in which it is nowhere."""
    monkeypatch.setattr(real_redis.connection, "lmove", lambda *_: None)
    real_redis.connection.rpush(KEYS[0], "just now")
    assert PlatformQueue.lpop(KEYS, 1, connection=real_redis.connection) == (KEYS[0], b"just now")
    assert real_redis.lrange("rq:queue:a:intermediate", 0, -1) == ["just now"]


@pytest.mark.parametrize("priority", ["normal", "low"])
@pytest.mark.parametrize("step", ["execute_job", "fork_work_horse", "prepare_job_execution"])
def test_a_worker_killed_after_it_took_an_attempt_and_before_it_began_it(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, priority: str
) -> None:
    """SIGKILL of the whole tree: attempt taken; marked, but no horse yet; with a horse that has not begun it.

    Another worker finds it. The times are shortened here; with the real ones it takes up to 40 seconds.
    """
    monkeypatch.setattr("platform_workers.rq_queue.TAKEN_SECONDS", 0.5)
    monkeypatch.setattr("platform_workers.rq_worker.ABANDONED_SECONDS", 1)
    monkeypatch.setattr("platform_workers.rq_harness.IDLE_SECONDS", 1)

    def stand_still(*_: object, **__: object) -> None:
        (tmp_path / "taken").touch()
        wait_until((tmp_path / "never").exists, 60)

    job_id = plant.submit("go well", max_attempts=2, priority="low" if priority == "low" else "normal")
    with monkeypatch.context() as patch:
        patch.setattr(PlatformWorker, step, stand_still)
        with plant.worker() as victim:
            wait_until((tmp_path / "taken").exists)
            kill_tree(victim.pid)
            victim.join(PATIENCE)
    assert plant.record(job_id)["attempt_count"] == 0
    with plant.worker():
        record = plant.wait_for_outcome(job_id)
    assert (record["status"], record["attempt_count"]) == ("completed", 2)
    assert plant.outcomes() == {job_id: 1}
    assert plant.redis.keys("rq:queue:*:intermediate") == []


class Step(Protocol):
    """A method of the worker."""

    def __call__(self, *args: object) -> object: ...


@pytest.mark.parametrize("busy_with", ["get_redis_server_version", "prepare_execution", "fork_work_horse"])
def test_a_worker_that_is_told_to_stop_still_does_what_it_has_taken(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, busy_with: str
) -> None:
    """SIGTERM before the horse is there. The attempt was left behind, and the only one there was to be."""
    step: Step = getattr(PlatformWorker, busy_with)

    def be_told(*args: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return step(*args)

    monkeypatch.setattr(PlatformWorker, busy_with, be_told)
    job_id = plant.submit("go well", max_attempts=1)
    other = plant.submit("go well", max_attempts=1)
    with plant.worker() as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert plant.record(job_id)["status"] == "completed"
    assert plant.record(other)["status"] == "queued"
    assert plant.redis.keys("rq:queue:*:intermediate") == []


@pytest.fixture
def signals() -> Iterator[None]:
    """Leaves the process's signals as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_worker_that_is_told_to_stop_stops_at_its_next_step(plant: Plant) -> None:
    """Nothing is raised where it stands at that moment: it may be code that passes it over."""
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    stop: Callable[[int, FrameType | None], None] = worker.request_stop
    stop(signal.SIGTERM, None)
    steps: tuple[Callable[[], object], ...] = (
        worker.heartbeat, lambda: PlatformQueue.lpop(KEYS, 5, connection=plant.redis.connection),
    )  # fmt: skip
    for step in steps:
        with pytest.raises(StopRequested):
            step()
    assert worker.stop_requested
    make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger()).heartbeat()


@pytest.mark.usefixtures("signals")
def test_after_a_worker_signals_end_the_process(plant: Plant) -> None:
    """It may be waiting for Redis, to begin anew; the old worker's handler would end nothing."""
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    worker.work_on(burst=True)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.usefixtures("signals")
def test_a_busy_worker_that_is_told_to_stop_says_so_in_redis(plant: Plant) -> None:
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    job = worker.queues[0].fetch_job(f"shop-{plant.submit('go well')}-1-1")
    assert job is not None
    worker.prepare_execution(job)
    stop: Callable[[int, FrameType | None], None] = worker.request_stop
    stop(signal.SIGTERM, None)
    assert worker.shutdown_requested_date is not None
