"""The end of a run: whatever is unfinished is finished, and the waits that nobody needs are cut short.

A lease protects a process that may still be alive, and a retry spares a service that is unwell. When every
process has ended and the mail service is well, both only cost time. So the tool stops all processes, moves
these times to the past, says so, and starts fresh ones.
"""

from typing import Final, TypedDict

from platform_core.clock import Clock, to_millis
from platform_core.job_events import default_events_log
from platform_core.queues import low_queue_name
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RECORD_PREFIX, due_key
from platform_workers.redis import RedisClient

from chaos.jobs import QUEUES
from chaos.run_counting import FINAL

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
    leases = 0
    for domain, queue in QUEUES.items():
        held = redis.zrange(f"{domain}:jobs:leases:{queue}", 0, -1)
        leases += len(held)
        for job_id in held:
            redis.zadd(f"{domain}:jobs:leases:{queue}", {job_id: 1})
        for name in (queue, low_queue_name(queue)):
            _end_waits_of_rq(redis, name)
    return {"claims": claims, "retries": retries, "leases": leases}


def _end_waits_of_rq(redis: RedisClient, queue: str) -> None:
    """End RQ's own waits: for attempts that a killed worker had taken, and the locks that it held."""
    for execution in redis.zrange(f"rq:wip:{queue}", 0, -1):
        redis.zadd(f"rq:wip:{queue}", {execution: 1})
    taken = f"rq:queue:{queue}:intermediate"
    for attempt in redis.lrange(taken, 0, -1):
        redis.set(f"{taken}:first_seen:{attempt}", "1", expire_seconds=3600)
    redis.delete(f"rq:scheduler-lock:{queue}", f"rq:clean_registries:{queue}")


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
    found: Unfinished = {"jobs": 0, "entries": 0, "deliveries": redis.zcard(due_key(EMAIL))}
    for domain in QUEUES:
        found["jobs"] += redis.zcard(f"{domain}:jobs:all")
        found["jobs"] -= sum(redis.zcard(f"{domain}:jobs:status:{status}") for status in FINAL)
        state = redis.xgroup_state(default_events_log(domain), GROUP)
        if state is not None:
            found["entries"] += state["pending"] + state.get("lag", 1)
        elif redis.zcard(f"{domain}:jobs:all"):
            found["entries"] += 1
    return found
