"""How many requests a provider gets: a token bucket in Redis, shared by every replica.

A bucket of `burst` tokens of which one comes back every `interval` lets through at most
`burst + period / interval` requests in any period. Mailtrap counts 150 requests in 10 s for each API token
(docs.mailtrap.io, "Rate limits"), whatever they ask for: 50 at once and then one every 100 ms stays within it
in every stretch of 10 s, wherever Mailtrap lets its own count begin.

Clocks of replicas may differ a little; then the rate is that of the fastest one.
"""

import hashlib
from datetime import timedelta
from typing import Final, Protocol, TypedDict

from platform_core.clock import Clock, to_millis
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient
from typing_extensions import override

from platform_notify.circuit import SCRIPTS, milliseconds
from platform_notify.providers.secret import Secret

_TAKE = load_script(SCRIPTS, "token_bucket", "rate_take")

_NO_REDIS_WAIT: Final = 1.0


class RateRule(TypedDict):
    """One bucket.

    Attributes:
        key: where it lies in Redis.
        burst: how many requests may be made at once after a rest.
        interval: after how long one more may be made.
    """

    key: str
    burst: int
    interval: timedelta


class Permits(Protocol):
    """Who says whether one more request may be made."""

    def take(self) -> float:
        """Take the right to one request.

        Returns:
            0 if it may be made now; else after how many seconds to ask again, and then nothing was taken.
        """


class RateLimit(Permits):
    """Permits from a bucket in Redis."""

    def __init__(self, redis: RedisClient, clock: Clock, rule: RateRule) -> None:
        self._redis = redis
        self._clock = clock
        self._rule = rule

    @override
    def take(self) -> float:
        """See `Permits.take`.

        Without Redis, or if it refuses, there is no permit either, for nobody else would know of it. That is
        no error here: it is asked in the middle of a sending, whose results must not get lost.
        """
        try:
            [wait] = self._redis.run_script(
                {
                    "script": _TAKE,
                    "keys": [self._rule["key"]],
                    "args": [str(to_millis(self._clock.now())), *rate_arguments(self._rule)],
                }
            )
        except (RedisUnavailableError, RedisCommandError):
            return _NO_REDIS_WAIT
        return int(wait) / 1000


class Unlimited(Permits):
    """Permits without end: for a provider that does not count, and for one request by hand."""

    @override
    def take(self) -> float:
        """Give a permit."""
        return 0.0


def mailtrap_rate(api_key: Secret) -> RateRule:
    """Return the limit of all requests with one API token: 150 in 10 s, see above."""
    return {"key": _key("mailtrap", api_key), "burst": 50, "interval": timedelta(milliseconds=100)}


def mailtrap_log_rate(api_key: Secret) -> RateRule:
    """Return the limit of questions to the email log: 60 in 60 s for an account (docs.mailtrap.io).

    These are requests like any other too, so both limits hold.
    """
    return {"key": _key("mailtrap_log", api_key), "burst": 10, "interval": timedelta(milliseconds=1200)}


def rate_arguments(rule: RateRule) -> list[str]:
    """Return interval (ms) and burst as the scripts take them."""
    return [str(milliseconds(rule["interval"])), str(rule["burst"])]


def _key(name: str, api_key: Secret) -> str:
    # The token itself must not be read from Redis; part of its hash tells tokens apart.
    return f"notify:rate:{name}:{hashlib.sha256(api_key.reveal().encode()).hexdigest()[:16]}"
