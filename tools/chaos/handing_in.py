"""Hands in jobs at their times, on a thread of its own. What handing in means, the subclasses say."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

from platform_core.clock import SystemClock

from chaos.jobs import PlannedJob

# Bound to a name of its own: whatever ends the thread belongs into the report.
_ANYTHING: type[Exception] = Exception


class HandsIn(ABC):
    """Hands in each job when its time has come.

    Attributes:
        acknowledged: the jobs that were taken.
        fault: what ended it early; empty if nothing did.
    """

    def __init__(self, name: str, jobs: Sequence[PlannedJob]) -> None:
        self.acknowledged: set[str] = set()
        self.fault = ""
        self._jobs = jobs
        self._clock = SystemClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether there is still something to hand in."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop early."""
        self._stop.set()

    @abstractmethod
    def _hand_in(self, number: int, job: PlannedJob) -> None:
        """Hand in one job; `number` is its place among those of this one."""

    def _run(self) -> None:
        started = self._clock.monotonic()
        try:
            for number, job in enumerate(self._jobs):
                if self._stop.wait(max(0.0, started + job["at"] - self._clock.monotonic())):
                    return
                self._hand_in(number, job)
        except _ANYTHING as error:
            self.fault = f"{type(error).__name__}: {error}"
