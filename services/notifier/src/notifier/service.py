"""The running notifier: its loops on threads, until it is told to stop."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from platform_core.clock import Clock
from platform_core.errors import PlatformError
from platform_core.logging import Logger

from notifier.health_server import HealthServer
from notifier.loops import Loop

STOP_SECONDS: Final = 8.0
"""How long a stop waits for what is in flight; the whole process has 10 s."""


class LoopThreads:
    """The loops, each on a thread of its own."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = loops
        # Daemons: a call that hangs must not keep the process from ending.
        self._threads = [threading.Thread(target=loop.run, name=loop.name, daemon=True) for loop in loops]

    def start(self) -> None:
        """Start them all."""
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        """Tell whether every loop still runs."""
        return all(thread.is_alive() for thread in self._threads)

    def troubles(self) -> list[str]:
        """Say which loop has ended, hangs or fails, and how; empty if all are well."""
        found: list[str] = []
        for loop, thread in zip(self._loops, self._threads, strict=True):
            if thread.is_alive():
                found += loop.troubles()
            else:
                found.append(f"The part `{loop.name}` has ended; only a restart brings it back.")
        return found

    def join(self, seconds: float, clock: Clock) -> list[str]:
        """Wait until they have ended, so long in all; return the names of those that have not."""
        deadline = clock.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - clock.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]


class Service:
    """Starts and stops the notifier.

    Args:
        threads: the loops.
        health: tells how it goes; started with the loops.
        stopping: ends the loops.
        wakes: end the loops' waits.
        clean_up: called after the loops have ended, in this order; a fault of Redis in one is passed over.
        clock: the present time.
        logger: hears of start and stop.
    """

    def __init__(
        self,
        *,
        threads: LoopThreads,
        health: HealthServer,
        stopping: threading.Event,
        wakes: Sequence[threading.Event],
        clean_up: Sequence[Callable[[], None]],
        clock: Clock,
        logger: Logger,
    ) -> None:
        self._threads = threads
        self._health = health
        self._stopping = stopping
        self._wakes = wakes
        self._clean_up = clean_up
        self._clock = clock
        self._logger = logger

    @property
    def port(self) -> int:
        """Return the port of the health page."""
        return self._health.port

    def start(self) -> None:
        """Start everything; comes back at once."""
        self._health.start()
        self._threads.start()
        self._logger.info("notifier.started", port=self.port)

    def stop(self) -> None:
        """Stop hearing, finish what is being sent, and end; after 8 s at the latest."""
        self._stopping.set()
        for wake in self._wakes:
            wake.set()
        busy = self._threads.join(STOP_SECONDS, self._clock)
        if busy:
            # What it was sending comes back under the same delivery id when the lease ends.
            self._logger.warning("notifier.stopped_while_busy", loops=", ".join(busy))
        self._health.stop()
        if not busy:
            self._close()
        self._logger.info("notifier.stopped")

    def _close(self) -> None:
        for close in self._clean_up:
            try:
                close()
            except PlatformError as error:
                self._logger.debug("notifier.clean_up_failed", fault=str(error))
