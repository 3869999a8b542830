"""The frame around each of the notifier's endless loops: a fault is told once, and the loop goes on.

While Redis does not answer, every loop fails. That is one outage and is told once, with its end.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Final

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_workers.errors import RedisUnavailableError

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two tries of a failing loop; each pause is twice the one before."""

FAILING_SECONDS: Final = 15.0
"""A loop that has failed at every step for this long is in trouble; a single fault is not."""

# Bound to a name of its own: this is the outermost guard, where a service catches what its parts raise.
_ANYTHING: type[Exception] = Exception


class Outage:
    """Tells once that Redis is away and once that it is back, for all loops together.

    Redis may be away for some and not for others: a full one still answers who only reads.
    """

    def __init__(self, logger: Logger, clock: Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = threading.Lock()
        self._without: dict[str, float] = {}
        self._fault = ""

    def begins(self, loop: str, error: RedisUnavailableError) -> None:
        """A loop got no answer, or Redis takes nothing from it."""
        with self._lock:
            self._fault = str(error)
            if not self._without:
                self._logger.warning("notifier.redis_away", fault=self._fault)
            self._without.setdefault(loop, self._clock.monotonic())

    def ends(self, loop: str) -> None:
        """A loop got an answer."""
        with self._lock:
            if loop in self._without:
                del self._without[loop]
                if not self._without:
                    self._logger.info("notifier.redis_back")

    def troubles(self) -> list[str]:
        """Say which loops have been without Redis for too long, and what it said last."""
        with self._lock:
            now = self._clock.monotonic()
            long = sorted(loop for loop, since in self._without.items() if now - since > FAILING_SECONDS)
            if not long:
                return []
            longest = max(now - self._without[loop] for loop in long)
            names = ", ".join(f"`{loop}`" for loop in long)
            return [f"Without Redis for {longest:.0f} seconds: {names}. It said last: {self._fault}"]


class Loop:
    """Runs one step again and again until it is stopped.

    Args:
        name: what the loop does, for its thread and the logs.
        step: waits for something to do and does it; comes back within about a second.
        stopping: set when the loop has to end.
        outage: shared by all loops.
        logger: hears of faults, each once until the loop is well again.
        clock: the present time.
        patience: seconds after which a step that has not come back counts as hung.
    """

    def __init__(
        self,
        *,
        name: str,
        step: Callable[[], object],
        stopping: threading.Event,
        outage: Outage,
        logger: Logger,
        clock: Clock,
        patience: float,
    ) -> None:
        self.name = name
        self._step = step
        self._stopping = stopping
        self._outage = outage
        self._logger = logger
        self._clock = clock
        self._patience = patience
        self._began_at = clock.monotonic()
        self._failing_since: float | None = None
        self._fault = ""
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Run until stopped."""
        while not self._stopping.is_set():
            self._began_at = self._clock.monotonic()
            try:
                self._step()
            except RedisUnavailableError as error:
                self._outage.begins(self.name, error)
                self._failing_since = None
                self._wait()
            except _ANYTHING as error:
                self._outage.ends(self.name)
                self._tell(f"{type(error).__name__}: {error}")
                self._wait()
            else:
                self._outage.ends(self.name)
                self._fault, self._pause, self._failing_since = "", FIRST_PAUSE, None

    def troubles(self) -> Iterator[str]:
        """Say what is wrong with it, if anything is; Redis being away is told by `Outage`."""
        now = self._clock.monotonic()
        hung, failing_since = now - self._began_at, self._failing_since
        if hung > self._patience:
            yield f"The part `{self.name}` hangs: for {hung:.0f} seconds it has not come back."
        elif failing_since is not None and now - failing_since > FAILING_SECONDS:
            failing = now - failing_since
            yield f"The part `{self.name}` has done nothing but fail for {failing:.0f} seconds: {self._fault}"

    def _tell(self, fault: str) -> None:
        if fault != self._fault:
            self._logger.error("notifier.loop_failed", loop=self.name, fault=fault)
        self._fault = fault
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()

    def _wait(self) -> None:
        self._stopping.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
