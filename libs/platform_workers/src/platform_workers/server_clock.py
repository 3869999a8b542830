"""One time for all workers: the Redis server's."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from platform_core.clock import Clock
from typing_extensions import override

from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

COMPARE_SECONDS: Final = 30.0
"""How often the machine's clock is compared with the server's."""


class ServerClock(Clock):
    """The machine's clock, corrected to the Redis server's, so that workers agree on when a lease ends.

    Without it, a worker whose clock is a minute ahead would take jobs away from those who just began them.

    Args:
        redis: the server to compare with; while it does not answer, the last correction holds.
        clock: the machine's clock.
    """

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._ahead = timedelta()
        self._compare_at = clock.monotonic()

    @override
    def now(self) -> datetime:
        """Return the server's time, to within the time a question to it takes."""
        if self._clock.monotonic() >= self._compare_at:
            self._compare_at = self._clock.monotonic() + COMPARE_SECONDS
            # Who can do something about an outage hears of it at the next command.
            with suppress(RedisUnavailableError):
                self._ahead = self._redis.now() - self._clock.now()
        return self._clock.now() + self._ahead

    @override
    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""
        return self._clock.monotonic()
