"""How the queues stand, as RQ itself fills them; and workers that live, stop and are killed."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from plant import QUEUE, Plant, kill_tree, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import job_domain
from platform_core.job_types import JobPriority

from platform_workers.job_queue import AttemptTicket, RqJobQueue, attempt_id
from platform_workers.lua_scripts import Script, ScriptCall
from platform_workers.queue_states import QueueState, count_workers, read_queue_states
from platform_workers.redis import RedisClient

CLOCK = SystemClock()
DOMAIN = job_domain("shop")
NOBODY = {"started": 0, "idle": 0, "busy": 0, "suspended": 0}
NOTHING: ScriptCall = {"script": Script("nothing", "return {}"), "keys": [], "args": []}


def enqueue(
    redis: RedisClient,
    job_id: str,
    *,
    waits: float = 0.0,
    priority: JobPriority = "normal",
    run_at: datetime | None = None,
) -> AttemptTicket:
    """Put an attempt into the queue `q`, as if so many seconds ago."""
    ticket: AttemptTicket = {
        "domain": DOMAIN,
        "job_id": job_id,
        "run": 1,
        "attempt": 1,
        "timeout_seconds": 60,
        "priority": priority,
    }
    RqJobQueue(redis=redis, name="q").enqueue(ticket, NOTHING, run_at=run_at)
    if run_at is None:
        moment = CLOCK.now() - timedelta(seconds=waits)
        redis.hset(f"rq:job:{attempt_id(ticket)}", {"enqueued_at": f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"})
    return ticket


def state_of(redis: RedisClient, name: str) -> QueueState:
    """Return how one queue stands."""
    return next(state for state in read_queue_states(redis, now=CLOCK.now()) if state["queue"] == name)


def wait_of(redis: RedisClient, name: str = "q") -> float:
    """Return for how long the oldest job of a queue waits."""
    seconds = state_of(redis, name)["oldest_wait_seconds"]
    assert seconds is not None
    return seconds


def test_of_no_queue_there_is_nothing_but_those_asked_for(redis: RedisClient) -> None:
    """Without its row nobody could tell "nobody works on it" from "there is no such queue"."""
    assert read_queue_states(redis, now=CLOCK.now()) == []
    assert read_queue_states(redis, now=CLOCK.now(), queues=["b", "a", "b"]) == [
        {"queue": name, "waiting": 0, "delayed": 0, "oldest_wait_seconds": None, "workers": NOBODY}
        for name in ("a", "b")
    ]


def test_jobs_of_low_priority_wait_in_a_queue_of_their_own(redis: RedisClient) -> None:
    for number in range(3):
        enqueue(redis, f"n-{number}")
    enqueue(redis, "l-1", priority="low")
    found = read_queue_states(redis, now=CLOCK.now(), queues=["q"])
    assert [(state["queue"], state["waiting"]) for state in found] == [("q", 3), ("q:low", 1)]


@pytest.mark.parametrize("high", range(6))
@pytest.mark.parametrize("normal", range(6))
def test_the_oldest_job_stands_where_the_high_ones_end(redis: RedisClient, high: int, normal: int) -> None:
    """The newest high job is the first of the list: by its age a starving queue would look fresh."""
    enqueue(redis, "first", waits=100, priority="high")
    for number in range(high):
        enqueue(redis, f"h-{number}", waits=99 - number, priority="high")
    for number in range(normal):
        enqueue(redis, f"n-{number}", waits=200 - number)
    assert state_of(redis, "q")["waiting"] == 1 + high + normal
    assert wait_of(redis) == pytest.approx(200 if normal else 100, abs=20)


def test_a_job_for_later_waits_once_its_time_has_come(redis: RedisClient) -> None:
    """Without a worker nobody moves it into its queue, and nobody would hear that it is late."""
    enqueue(redis, "later", run_at=CLOCK.now() + timedelta(hours=1))
    assert (state_of(redis, "q")["waiting"], state_of(redis, "q")["delayed"]) == (0, 1)
    assert state_of(redis, "q")["oldest_wait_seconds"] is None
    enqueue(redis, "late", run_at=CLOCK.now() - timedelta(minutes=5))
    enqueue(redis, "fresh", waits=1)
    assert (state_of(redis, "q")["waiting"], state_of(redis, "q")["delayed"]) == (2, 1)
    assert wait_of(redis) == pytest.approx(300, abs=20)


def test_a_job_that_is_gone_from_under_its_id_does_not_hide_the_next(redis: RedisClient) -> None:
    gone, there = enqueue(redis, "gone", waits=500), enqueue(redis, "there", waits=100)
    redis.delete(f"rq:job:{attempt_id(gone)}")
    assert wait_of(redis) == pytest.approx(100, abs=20)
    redis.delete(f"rq:job:{attempt_id(there)}")
    assert state_of(redis, "q")["oldest_wait_seconds"] is None


def test_a_clock_that_is_ahead_makes_no_negative_wait(redis: RedisClient) -> None:
    enqueue(redis, "ahead", waits=-100)
    assert wait_of(redis) == 0.0


def test_a_worker_counts_while_its_record_lives(redis: RedisClient) -> None:
    """RQ leaves the name of a killed worker in its sets until another worker tidies up."""
    for name, fields in {
        "idle": {"queues": "q,q:low", "state": "idle"},
        "busy": {"queues": "q,q:low", "state": "busy"},
        "new": {"queues": "q", "state": "?"},
        "woken": {"last_heartbeat": "2026-01-02T12:00:00.000000Z"},
    }.items():
        redis.hset(f"rq:worker:{name}", fields)
        redis.sadd("rq:workers:q", f"rq:worker:{name}")
    redis.sadd("rq:workers:q:low", "rq:worker:idle", "rq:worker:busy")
    redis.sadd("rq:workers", "rq:worker:idle", "rq:worker:busy", "rq:worker:killed")
    redis.sadd("rq:workers:q", "rq:worker:killed")
    assert state_of(redis, "q")["workers"] == {"started": 2, "idle": 1, "busy": 1, "suspended": 0}
    assert count_workers(state_of(redis, "q")) == 4
    assert count_workers(state_of(redis, "q:low")) == 2


def test_a_real_worker_is_idle_then_busy_then_killed(plant: Plant, tmp_path: Path) -> None:
    def workers() -> dict[str, int]:
        states = read_queue_states(plant.redis, now=CLOCK.now(), queues=[QUEUE])
        found = next(state for state in states if state["queue"] == QUEUE)
        return {state: number for state, number in found["workers"].items() if number}

    assert workers() == {}
    with plant.worker() as process:
        wait_until(lambda: workers() == {"idle": 1})
        plant.submit("wait", folder=str(tmp_path))
        wait_until(lambda: workers() == {"busy": 1})
        kill_tree(process.pid)
        process.join()
        (record,) = plant.redis.smembers("rq:workers")
        assert 0 < plant.redis.ttl(record) <= 80
        # What time does.
        plant.redis.delete(record)
        assert workers() == {}
        assert plant.redis.scard("rq:workers") == 1
