"""The end of a run: whatever is unfinished is finished, and the waits that nobody needs are cut short.

A lease protects a process that may still be alive, and a retry spares a service that is unwell. When every
process has ended and the mail service is well, both only cost time. So the tool stops all processes, moves
these times to the past, says so, and starts fresh ones.
"""

from typing import Final, TypedDict

from platform_core.clock import Clock, to_millis
from platform_core.job_events import default_events_log
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RECORD_PREFIX, due_key
from platform_workers.redis import RedisClient

from chaos.counting import FINAL
from chaos.jobs import CHAOS, QUEUE

GROUP: Final = "notifier"
_ALL: Final = 1_000_000


class Shortened(TypedDict):
    """What was moved to the past.

    Attributes:
        claims: deliveries that a notifier was sending when it ended.
        retries: deliveries that were to be tried again later.
        leases: jobs that a worker had when it ended.
    """

    claims: int
    retries: int
    leases: int


def cut_waits_short(redis: RedisClient, clock: Clock) -> Shortened:
    """Make everything that waits due now. Only for when no notifier and no worker runs."""
    now = to_millis(clock.now())
    claims = retries = 0
    waiting = redis.zrange_by_score(due_key(EMAIL), now, float("inf"), limit=_ALL)
    for delivery_id in waiting:
        if redis.hmget(RECORD_PREFIX + delivery_id, ["claim"]):
            claims += 1
        else:
            retries += 1
        redis.zadd(due_key(EMAIL), {delivery_id: now})
    leases = redis.zrange(f"{CHAOS}:jobs:leases:{QUEUE}", 0, -1)
    for job_id in leases:
        redis.zadd(f"{CHAOS}:jobs:leases:{QUEUE}", {job_id: 1})
    # RQ's own: attempts that a killed worker had taken, and the locks that it held.
    for execution in redis.zrange(f"rq:wip:{QUEUE}", 0, -1):
        redis.zadd(f"rq:wip:{QUEUE}", {execution: 1})
    taken = f"rq:queue:{QUEUE}:intermediate"
    for attempt in redis.lrange(taken, 0, -1):
        redis.set(f"{taken}:first_seen:{attempt}", "1", expire_seconds=3600)
    redis.delete(f"rq:scheduler-lock:{QUEUE}", f"rq:clean_registries:{QUEUE}")
    return {"claims": claims, "retries": retries, "leases": len(leases)}


class Unfinished(TypedDict):
    """What is still to be done; all 0 when a run has settled.

    Attributes:
        jobs: without an outcome.
        entries: log entries that no notifier has finished; 1 where that cannot be told.
        deliveries: that wait or are being sent.
    """

    jobs: int
    entries: int
    deliveries: int


def unfinished(redis: RedisClient) -> Unfinished:
    """Look what is still to be done."""
    jobs = redis.zcard(f"{CHAOS}:jobs:all") - sum(redis.zcard(f"{CHAOS}:jobs:status:{s}") for s in FINAL)
    state = redis.xgroup_state(default_events_log(CHAOS), GROUP)
    entries = 1 if state is None else state["pending"] + state.get("lag", 1)
    return {"jobs": jobs, "entries": entries, "deliveries": redis.zcard(due_key(EMAIL))}
