"""The one point of contact with Redis: connection, commands, scripts and subscriptions, strings in and out.

No other module of the project imports `redis` (RQ's own needs are met by `RedisClient.connection`). Every
reply is narrowed by a check (`replies`), so that no untyped value leaves this package. Faults come out as
two errors: `RedisUnavailableError` (try again later) and `RedisCommandError` (Redis answered and refused).
"""

from platform_workers.redis.client import ANSWER_SECONDS, RedisClient, connect
from platform_workers.redis.faults import translated_errors
from platform_workers.redis.subscription import Subscription
from platform_workers.redis.transaction import EXISTS, ScriptTransaction, run_in_transaction

__all__ = [
    "ANSWER_SECONDS",
    "EXISTS",
    "RedisClient",
    "ScriptTransaction",
    "Subscription",
    "connect",
    "run_in_transaction",
    "translated_errors",
]
