"""What a job waits for, also one whose worker is gone: the state of its queue, for whoever waits with it."""

from datetime import datetime

from platform_core.job_types import JobRecord
from platform_core.json_values import JsonObject
from platform_core.queues import low_queue_name
from platform_workers.job_statistics import ABANDONED_AFTER
from platform_workers.queue_states import QueueState, count_workers, read_queue_states
from platform_workers.redis import RedisClient


def queue_of(redis: RedisClient, record: JobRecord, now: datetime) -> QueueState | None:
    """Return how the queue stands that a job was put into; None if its record does not name one.

    Args:
        redis: the connection.
        record: the job's record.
        now: the time.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    if not record["queue"]:
        # A team's own status type may hold less.
        return None
    name = low_queue_name(record["queue"]) if record["priority"] == "low" else record["queue"]
    states = read_queue_states(redis, now=now, queues=[name])
    return next(state for state in states if state["queue"] == name)


def is_abandoned(record: JobRecord, now: datetime) -> bool:
    """Return whether a job's worker is silent, and no other one has taken the job over."""
    return record["status"] == "processing" and record.get("locked_until", now) < now - ABANDONED_AFTER


def unserved_queue(redis: RedisClient, record: JobRecord, now: datetime) -> str | None:
    """Return the name of a job's queue if the job needs a worker now and none serves the queue; else None.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    could_start = record["status"] == "queued" and record.get("run_after", now) <= now
    if not could_start and not is_abandoned(record, now):
        return None
    state = queue_of(redis, record, now)
    return state["queue"] if state is not None and count_workers(state) == 0 else None


def queue_document(state: QueueState) -> JsonObject:
    """Return how a queue stands as JSON."""
    return {
        "queue": state["queue"],
        "waiting": state["waiting"],
        "delayed": state["delayed"],
        "oldest_wait_seconds": state["oldest_wait_seconds"],
        "workers": count_workers(state),
        "worker_states": {word: number for word, number in state["workers"].items() if number},
    }
