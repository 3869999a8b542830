"""How the queues stand: what waits in each and for how long, and how many workers serve it.

One script reads what RQ keeps, in one round trip. Its cost grows with the queues and the workers there are,
and not with the jobs that wait. A worker counts while its record in Redis lives: one that was killed counts
for up to 80 s more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.clock import to_millis

from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient

QUEUE_STATES = load_script(SCRIPTS, "job_buckets", "queue_states")

WorkerState: TypeAlias = Literal["started", "idle", "busy", "suspended"]

WORKER_STATES: Final[tuple[WorkerState, ...]] = ("started", "idle", "busy", "suspended")
"""What a worker says of itself, in RQ's words."""


class QueueState(TypedDict):
    """How one queue stands.

    Attributes:
        queue: Its name. Jobs of low priority wait in a queue of their own
            (`platform_core.queues.low_queue_name`).
        waiting: Jobs that could start now.
        delayed: Jobs whose time has not come: submitted for later, or waiting for another attempt.
        oldest_wait_seconds: For how long the oldest of the waiting could have started, by the clock of who
            queued it; None when none waits.
        workers: How many workers that live serve it, by state.
    """

    queue: str
    waiting: int
    delayed: int
    oldest_wait_seconds: float | None
    workers: dict[WorkerState, int]


def read_queue_states(redis: RedisClient, *, now: datetime, queues: Sequence[str] = ()) -> list[QueueState]:
    """Return how each queue stands, by name.

    Args:
        redis: The connection.
        now: The present time.
        queues: Queues to tell of even if nobody has used them yet.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    args = [str(to_millis(now)), *queues]
    reply = redis.run_script({"script": QUEUE_STATES, "keys": [], "args": args})
    rows = [*zip(reply[::5], reply[1::5], reply[2::5], reply[3::5], reply[4::5], strict=True)]
    states: dict[str, QueueState] = {}
    for kind, name, waiting, delayed, oldest in rows:
        if kind == "queue":
            states[name] = {
                "queue": name,
                "waiting": int(waiting),
                "delayed": int(delayed),
                "oldest_wait_seconds": None if oldest == "-1" else int(oldest) / 1000,
                "workers": dict.fromkeys(WORKER_STATES, 0),
            }
    for kind, name, word, _, _ in rows:
        if kind == "worker":
            states[name]["workers"][_state(word)] += 1
    return [states[name] for name in sorted(states)]


def count_workers(state: QueueState) -> int:
    """Return how many workers that live serve a queue."""
    return sum(state["workers"].values())


def _state(word: str) -> WorkerState:
    # A record without one of RQ's words is of a worker that has just begun.
    return next((state for state in WORKER_STATES if state == word), "started")
