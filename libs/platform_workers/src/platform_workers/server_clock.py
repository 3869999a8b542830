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

STEP_SECONDS: Final = 1.0
"""How far the machine's two clocks may drift apart between two comparisons; more is a step, or a sleep."""


class ServerClock(Clock):
    """The Redis server's time, so that processes agree on when a lease ends, whatever their machines say.

    Without it, a worker whose clock is a minute ahead would take jobs away from those who just began them,
    and a notifier would send again what another one is just sending. Between two comparisons it goes by the
    machine's monotonic clock: the other one may be set at any moment. Thread-safe.

    Args:
        redis: the server to compare with; while it does not answer, time goes on from the last comparison.
        clock: the machine's clocks.

    Attributes:
        unasked: the same time, but it asks nobody and so never waits: for what is in the middle of something.
    """

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self.unasked = UnaskedClock(clock)
        self._compare_at = clock.monotonic()
        self._seen = self._machine_time()
        self._is_compared = False
        self._comparing = threading.Lock()

    @override
    def now(self) -> datetime:
        """Return the server's time, to within the time a question to it takes."""
        if self._is_due():
            self._compare()
        return self.unasked.now()

    @override
    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""
        return self._clock.monotonic()

    def _is_due(self) -> bool:
        """Tell whether to compare: it is time, or the machine was set to another time, or was asleep."""
        if self._clock.monotonic() >= self._compare_at:
            return True
        (day_then, then), (day, now) = self._seen, self._machine_time()
        return abs((day - day_then).total_seconds() - (now - then)) > STEP_SECONDS

    def _machine_time(self) -> tuple[datetime, float]:
        return self._clock.now(), self._clock.monotonic()

    def _compare(self) -> None:
        # The first comparison is worth waiting for; later the last correction holds while one thread asks.
        # Not for ever: who asks may be this very thread, below a signal handler, or lost in a fork.
        if not self._comparing.acquire(timeout=0 if self._is_compared else FIRST_SECONDS):
            return
        try:
            if self._is_due():
                pause = COMPARE_SECONDS if self._is_corrected() else TRY_AGAIN_SECONDS
                # Counted from here: an answer may have taken longer than the pause. Also after a question in
                # vain: a step must not make each call ask a server that does not answer.
                self._compare_at = self._clock.monotonic() + pause
                self._seen = self._machine_time()
        finally:
            self._comparing.release()

    def _is_corrected(self) -> bool:
        asked_at = self._clock.monotonic()
        try:
            answer = self._redis.now()
        except RedisUnavailableError:
            # Who can do something about an outage hears of it at the next command.
            return False
        answered_at = self._clock.monotonic()
        if answered_at - asked_at > TRUSTED_SECONDS:
            return False
        self.unasked.set(answer, answered_at)
        self._is_compared = True
        return True


class UnaskedClock(Clock):
    """The server's time as it was last told, carried on; the machine's own until it is first told.

    Args:
        clock: the machine's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # One value, so that no thread sees half of a change.
        self._told: tuple[datetime, float] | None = None

    def set(self, moment: datetime, at: float) -> None:
        """Note that it was this moment when the monotonic clock said `at` (seconds)."""
        self._told = moment, at

    @override
    def now(self) -> datetime:
        """Return the server's time."""
        told = self._told
        if told is None:
            return self._clock.now()
        moment, at = told
        return moment + timedelta(seconds=self._clock.monotonic() - at)

    @override
    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._clock.monotonic()
