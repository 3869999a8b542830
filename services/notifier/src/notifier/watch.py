"""Looks every second how things stand, so that the health page never has to wait for Redis.

A page that asks Redis itself hangs when Redis does, and then says nothing at all.
"""

import threading
from collections.abc import Callable
from typing import Final

from platform_core.clock import Clock
from platform_core.errors import PlatformError
from platform_workers.errors import RedisUnavailableError

from notifier.canary import Canary
from notifier.figures import Figures
from notifier.lag_watch import LagWatch

LOOK_SECONDS: Final = 1.0
"""The time between two looks."""

OLDEST_SECONDS: Final = 15.0
"""Figures older than this count as none: whoever reads them hangs."""


class Watch:
    """Sends the canary and keeps the latest figures. One thread steps; any thread may ask.

    Args:
        canary: sent when it is due.
        read_figures: asks Redis.
        clock: the present time.
        wake: ends the wait between two looks.
    """

    def __init__(
        self, *, canary: Canary, read_figures: Callable[[], Figures], clock: Clock, wake: threading.Event
    ) -> None:
        self._canary = canary
        self._read_figures = read_figures
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._lag = LagWatch()
        self._figures: Figures | None = None
        self._read_at = clock.monotonic()
        self._fault = "it has not been asked yet"

    def step(self) -> None:
        """Send the canary if it is due, look, and wait for the next look.

        Raises:
            PlatformError: Redis does not answer, or holds nonsense; kept for whoever asks.
        """
        self._wake.clear()
        try:
            self._canary.send_if_due()
            figures = self._read_figures()
        except PlatformError as error:
            with self._lock:
                self._figures, self._fault = None, str(error)
            raise
        now = self._clock.monotonic()
        with self._lock:
            self._figures, self._read_at = figures, now
            self._lag.look(figures["groups"], now)
        self._wake.wait(LOOK_SECONDS)

    def figures(self) -> Figures:
        """Return how things stood at the last look.

        Raises:
            RedisUnavailableError: it failed, or was too long ago.
        """
        with self._lock:
            figures, age = self._figures, self._clock.monotonic() - self._read_at
            if figures is None:
                raise RedisUnavailableError(self._fault)
        if age > OLDEST_SECONDS:
            raise RedisUnavailableError(f"it has not answered for {age:.0f} seconds")
        return figures

    def lag_reasons(self) -> list[str]:
        """Say what log is not worked off."""
        with self._lock:
            return list(self._lag.reasons(self._clock.monotonic()))
