"""The sender's loop: at once when something was queued, else when the next delivery is due."""

import threading
from datetime import timedelta
from typing import Final

from platform_core.clock import Clock
from platform_notify.sender import Sender

LOOK_AGAIN_SECONDS: Final = 1.0
"""How long to wait at most: another replica may have queued something that this one could send."""


class SendingLoop:
    """Sends while there is something due, and waits while there is not.

    Args:
        sender: what sends.
        clock: the present time.
        wake: set when something was queued, or when the loop has to end.
    """

    def __init__(self, *, sender: Sender, clock: Clock, wake: threading.Event) -> None:
        self._sender = sender
        self._clock = clock
        self._wake = wake

    def step(self) -> None:
        """Send one batch, or wait for one."""
        # Cleared before looking: what is queued from here on wakes the wait below.
        self._wake.clear()
        done = self._sender.run_once()
        if done["claimed"]:
            return
        now = self._clock.now()
        longest = now + timedelta(seconds=LOOK_AGAIN_SECONDS)
        until = min(done.get("again_at", longest), longest)
        self._wake.wait(max((until - now).total_seconds(), 0.0))
