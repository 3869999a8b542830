"""The frame around each of the notifier's endless loops: a fault is told once, and the loop goes on.

While Redis does not answer, every loop fails. That is one outage and is told once, with its end.
"""

import threading
from collections.abc import Callable
from typing import Final

from platform_core.logging import Logger
from platform_workers.errors import RedisUnavailableError

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two tries of a failing loop; each pause is twice the one before."""

# Bound to a name of its own: this is the outermost guard, where a service catches what its parts raise.
_ANYTHING: type[Exception] = Exception


class Outage:
    """Tells once that Redis is away and once that it is back, for all loops together."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._without: set[str] = set()

    def begins(self, loop: str, error: RedisUnavailableError) -> None:
        """A loop got no answer."""
        with self._lock:
            if not self._without:
                self._logger.warning("notifier.redis_away", fault=str(error))
            self._without.add(loop)

    def ends(self, loop: str) -> None:
        """A loop got an answer."""
        with self._lock:
            if loop in self._without:
                self._without.remove(loop)
                if not self._without:
                    self._logger.info("notifier.redis_back")


class Loop:
    """Runs one step again and again until it is stopped.

    Args:
        name: what the loop does, for its thread and the logs.
        step: waits for something to do and does it; comes back within about a second.
        stopping: set when the loop has to end.
        outage: shared by all loops.
        logger: hears of faults, each once until the loop is well again.
    """

    def __init__(
        self,
        *,
        name: str,
        step: Callable[[], object],
        stopping: threading.Event,
        outage: Outage,
        logger: Logger,
    ) -> None:
        self.name = name
        self._step = step
        self._stopping = stopping
        self._outage = outage
        self._logger = logger
        self._fault = ""
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Run until stopped."""
        while not self._stopping.is_set():
            try:
                self._step()
            except RedisUnavailableError as error:
                self._outage.begins(self.name, error)
                self._wait()
            except _ANYTHING as error:
                self._outage.ends(self.name)
                self._tell(f"{type(error).__name__}: {error}")
                self._wait()
            else:
                self._outage.ends(self.name)
                self._fault, self._pause = "", FIRST_PAUSE

    def _tell(self, fault: str) -> None:
        if fault != self._fault:
            self._logger.error("notifier.loop_failed", loop=self.name, fault=fault)
        self._fault = fault

    def _wait(self) -> None:
        self._stopping.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
