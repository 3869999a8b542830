"""Whether jobs would be worked on if one came now: Redis answers and a worker is registered."""

from typing import Final, Literal, TypedDict

from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

WORKERS_KEY: Final = "rq:workers"
"""Where RQ keeps the names of the workers that are alive; below it, by queue, of those that listen there."""


class Readiness(TypedDict):
    """`ready`, or `degraded` with the reason in plain words."""

    status: Literal["ready", "degraded"]
    reason: str


def check_readiness(redis: RedisClient, *, queue_name: str | None = None) -> Readiness:
    """Return `ready` when Redis answers and at least one worker is registered.

    Args:
        redis: the connection.
        queue_name: counts only workers that listen on this queue; any worker if left out.
    """
    try:
        workers = redis.scard(WORKERS_KEY)
        listening = workers if queue_name is None else redis.scard(f"{WORKERS_KEY}:{queue_name}")
    except RedisUnavailableError as error:
        return {"status": "degraded", "reason": f"Redis does not answer: {error}"}
    if workers == 0:
        return {"status": "degraded", "reason": "no worker is running"}
    if listening == 0:
        return {
            "status": "degraded",
            "reason": f"no worker listens on the queue {queue_name} ({workers} on others)",
        }
    return {"status": "ready", "reason": f"Redis answers, workers registered: {listening}"}
