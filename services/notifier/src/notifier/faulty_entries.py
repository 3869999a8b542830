"""The entries of the log that cannot be handled: each is told, and not at every try.

Such an entry stays unfinished in its log and comes back every ten seconds, until a version of the notifier
can handle it or it is trimmed away.
"""

from typing import Final

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_workers.event_log import LogEntry

from notifier.tally import fault_of

TELL_AGAIN_SECONDS: Final = 3600.0
"""An entry that still fails after this long is told once more."""

MAX_TOLD: Final = 1000
"""Of so many it is known that they were told; while all of these still fail, more are only counted."""


class FaultyEntries:
    """Tells of them.

    Args:
        clock: the present time.
        logger: hears of each.
    """

    def __init__(self, *, clock: Clock, logger: Logger) -> None:
        self._clock = clock
        self._logger = logger
        self._told: dict[str, float] = {}

    def tell(self, entry: LogEntry, error: Exception) -> None:
        """An entry could not be handled."""
        now, name = self._clock.monotonic(), _name_of(entry)
        if len(self._told) >= MAX_TOLD or name in self._told:
            self._told = {told: at for told, at in self._told.items() if now - at < TELL_AGAIN_SECONDS}
        if name not in self._told and len(self._told) < MAX_TOLD:
            self._told[name] = now
            self._logger.error(
                "notifier.entry_failed",
                log=entry["stream"],
                entry_id=entry["entry_id"],
                fault=fault_of(error),
            )

    def forget(self, entry: LogEntry) -> None:
        """An entry was handled; if it fails once more, that is news."""
        self._told.pop(_name_of(entry), None)


def _name_of(entry: LogEntry) -> str:
    return f"{entry['stream']} {entry['entry_id']}"
