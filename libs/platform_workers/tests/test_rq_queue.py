"""Priorities in order, and what a worker has taken from a queue is never lost."""

from pathlib import Path

import pytest
from plant import QUEUE, Plant, kill_tree, wait_until
from rq import Queue
from rq.exceptions import DequeueTimeout

from platform_workers.redis import RedisClient
from platform_workers.rq_harness import PlatformWorker
from platform_workers.rq_queue import PlatformQueue

KEYS = ["rq:queue:a", "rq:queue:a:low"]


def test_high_comes_first_and_low_last(plant: Plant, tmp_path: Path) -> None:
    """Submitted in the wrong order; the low ones also wait for a normal one that comes meanwhile."""
    low = [plant.submit("note", folder=str(tmp_path), priority="low") for _ in range(2)]
    normal = [plant.submit("note", folder=str(tmp_path)) for _ in range(2)]
    high = plant.submit("note", folder=str(tmp_path), priority="high")
    with plant.worker(burst=True) as process:
        process.join(60)
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
    monkeypatch.setattr("platform_workers.rq_harness.ABANDONED_SECONDS", 1)
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
            victim.join(10)
    assert plant.record(job_id)["attempt_count"] == 0
    with plant.worker():
        record = plant.wait_for_outcome(job_id)
    assert (record["status"], record["attempt_count"]) == ("completed", 2)
    assert plant.outcomes() == {job_id: 1}
    assert plant.redis.keys("rq:queue:*:intermediate") == []
