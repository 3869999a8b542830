"""The scheduler of a worker that was killed: another one takes over soon, and no process is left."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from plant import PATIENCE, QUEUE, Plant, kill_tree, wait_until

from platform_workers.rq_harness import PlatformWorker
from platform_workers.rq_scheduler import LOCK_SECONDS, PlatformScheduler

LOCK = f"rq:scheduler-lock:{QUEUE}"
INSTALL = "_install_signal_handlers"


def children_of(pid: int | None) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_lock_of_a_killed_scheduler_ends_soon_and_another_worker_takes_over(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that waited for its next attempt began up to 66 s late, with RQ's lock of a minute."""
    monkeypatch.setattr("platform_workers.rq_harness.IDLE_SECONDS", 1)
    with plant.worker() as victim:
        wait_until(lambda: plant.redis.ttl(LOCK) in range(1, LOCK_SECONDS + 1))
        kill_tree(victim.pid)
        victim.join(PATIENCE)
    # Instead of waiting.
    plant.redis.connection.expire(LOCK, 1)
    with plant.worker():
        job_id = plant.submit("raise", max_attempts=2)
        record = plant.wait_for_outcome(job_id)
    assert (record["status"], record["attempt_count"]) == ("failed", 2)


def test_a_scheduler_ends_with_its_worker(plant: Plant) -> None:
    """RQ's works on as an orphan, with the lock: one more for each worker that is killed."""
    with plant.worker() as victim:
        wait_until(lambda: plant.redis.ttl(LOCK) in range(1, LOCK_SECONDS + 1))
        assert victim.pid is not None
        (scheduler,) = children_of(victim.pid)
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: is_gone(scheduler))


def test_a_scheduler_that_is_told_to_stop_before_it_listens_stops(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the signal for its worker's, whose handlers it begins with; the worker waited for ever."""
    start: Callable[[PlatformScheduler], object] = PlatformScheduler.start
    work: Callable[[PlatformScheduler], None] = PlatformScheduler.work

    def start_and_be_told(scheduler: PlatformScheduler) -> object:
        process = start(scheduler)
        os.kill(os.getpid(), signal.SIGTERM)
        return process

    def work_later(scheduler: PlatformScheduler) -> None:
        threading.Event().wait(1)
        work(scheduler)

    monkeypatch.setattr("platform_workers.rq_harness.IDLE_SECONDS", 1)
    monkeypatch.setattr(PlatformScheduler, "start", start_and_be_told)
    monkeypatch.setattr(PlatformScheduler, "work", work_later)
    # Another worker has the locks at first: so this one begins to schedule when its own handlers are there.
    locks = (LOCK, f"{LOCK}:low")
    for lock in locks:
        plant.redis.set(lock, "another")
    install: Callable[[PlatformWorker], None] = getattr(PlatformWorker, INSTALL)

    def install_and_free(worker: PlatformWorker) -> None:
        install(worker)
        plant.redis.delete(*locks)

    monkeypatch.setattr(PlatformWorker, INSTALL, install_and_free)
    with plant.worker() as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
