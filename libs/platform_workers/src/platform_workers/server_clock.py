"""One time for all workers and all notifiers: the Redis server's."""

import threading
from datetime import datetime, timedelta
from typing import Final

from platform_core.clock import Clock
from typing_extensions import override

from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

COMPARE_SECONDS: Final = 30.0
"""How often the machine's clock is compared with the server's."""

TRY_AGAIN_SECONDS: Final = 1.0
"""After how long a comparison that failed is made again."""

FIRST_SECONDS: Final = 5.0
"""The longest a thread waits while another one makes the first comparison."""

TRUSTED_SECONDS: Final = 1.0
"""The longest an answer may take: a process that was paused meanwhile would be wrong by the pause."""


class ServerClock(Clock):
    """The machine's clock, corrected to the Redis server's, so that processes agree on when a lease ends.

    Without it, a worker whose clock is a minute ahead would take jobs away from those who just began them,
    and a notifier would send again what another one is just sending. Thread-safe.

    Args:
        redis: the server to compare with; while it does not answer, the last correction holds.
        clock: the machine's clock.
    """

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._ahead = timedelta()
        self._compare_at = clock.monotonic()
        self._is_compared = False
        self._comparing = threading.Lock()

    @override
    def now(self) -> datetime:
        """Return the server's time, to within the time a question to it takes."""
        if self._clock.monotonic() >= self._compare_at:
            self._compare()
        return self._clock.now() + self._ahead

    @override
    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""
        return self._clock.monotonic()

    def _compare(self) -> None:
        # The first comparison is worth waiting for; later the last correction holds while one thread asks.
        # Not for ever: who asks may be this very thread, below a signal handler, or lost in a fork.
        if not self._comparing.acquire(timeout=0 if self._is_compared else FIRST_SECONDS):
            return
        try:
            if self._clock.monotonic() >= self._compare_at:
                pause = COMPARE_SECONDS if self._is_corrected() else TRY_AGAIN_SECONDS
                # Counted from here: an answer may have taken longer than the pause.
                self._compare_at = self._clock.monotonic() + pause
        finally:
            self._comparing.release()

    def _is_corrected(self) -> bool:
        asked_at = self._clock.monotonic()
        try:
            ahead = self._redis.now() - self._clock.now()
        except RedisUnavailableError:
            # Who can do something about an outage hears of it at the next command.
            return False
        if self._clock.monotonic() - asked_at > TRUSTED_SECONDS:
            return False
        self._ahead, self._is_compared = ahead, True
        return True
