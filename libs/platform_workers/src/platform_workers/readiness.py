"""Whether jobs would be worked on if one came now (DESIGN section 5)."""

from typing import Final, Literal, TypedDict

from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

WORKERS_KEY: Final = "rq:workers"
"""Where RQ keeps the names of the workers that are alive."""


class Readiness(TypedDict):
    """`ready`, or `degraded` with the reason in plain words."""

    status: Literal["ready", "degraded"]
    reason: str


def check_readiness(redis: RedisClient) -> Readiness:
    """Return `ready` when Redis answers and at least one worker is registered."""
    try:
        workers = redis.scard(WORKERS_KEY)
    except RedisUnavailableError as error:
        return {"status": "degraded", "reason": f"Redis does not answer: {error}"}
    if workers == 0:
        return {"status": "degraded", "reason": "no worker is running"}
    return {"status": "ready", "reason": f"Redis answers, workers registered: {workers}"}
