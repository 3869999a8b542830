"""How far an operation is: bytes read become percents, each told once."""

from typing import Protocol


class ProgressReport(Protocol):
    """Where an operation tells how far it is; the worker publishes it as a progress event."""

    def __call__(self, percent: int, message: str, /) -> None:
        """Take the share of the whole work that is done, 0 to 100, and what is being done, in a few words."""


class Progress:
    """Passes on a percent only when it is higher than the last one, across all stages of one operation."""

    def __init__(self, report: ProgressReport) -> None:
        self._report = report
        self._last = -1

    def tell(self, percent: int, message: str) -> None:
        """Report `percent` (0 to 100) unless this or a higher one was reported before."""
        if percent > self._last:
            self._last = percent
            self._report(percent, message)

    def stage(self, start: int, end: int, total: int, message: str) -> "Stage":
        """Open a part of the work, from `start` to `end` percent, of `total` steps (bytes, columns)."""
        return Stage(self, start, end, total, message)


class Stage:
    """One part of the work, with its own unit and its share of the whole."""

    def __init__(self, progress: Progress, start: int, end: int, total: int, message: str) -> None:
        self._progress = progress
        self._start = start
        self._span = end - start
        self._total = max(total, 1)
        self._message = message

    def at(self, done: int) -> None:
        """Say that `done` of the total is done; more than the total counts as all of it."""
        share = min(done, self._total)
        self._progress.tell(self._start + self._span * share // self._total, self._message)
