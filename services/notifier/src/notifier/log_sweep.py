"""Takes in what a log has lost, out of the job store, page by page, before anything else of the log is read.

A log counts as swept only when every outcome was taken in. One that fails in two sweeps is put aside for the
operator, so that it does not hold up the log for ever. If very many fail, the fault is not theirs: then the
sweep is made again and again, and `/readyz` says why.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypedDict

from platform_core.errors import PlatformError
from platform_core.logging import Logger
from platform_workers.event_log import EventLog, LogEntry
from platform_workers.event_messages import Message
from platform_workers.log_gaps import LogGap

from notifier.tally import fault_of

MOST_PUT_ASIDE: Final = 50
"""At most so many outcomes of one sweep are put aside: half of what is kept for the operator."""


class SweepError(PlatformError):
    """A sweep could not take in very many outcomes; it is made again."""


class _Sweep(TypedDict):
    """A sweep under way.

    Attributes:
        failed: how many outcomes could not be taken in.
        names: which, as far as they are few.
        fault: why, of the last one.
    """

    gap: LogGap
    pages: Iterator[list[LogEntry]]
    failed: int
    names: set[str]
    fault: str


class LogSweep:
    """Sweeps; one thread uses it.

    Args:
        log: knows what is missing.
        take: takes an entry in and returns its fault, if it has one.
        put_aside: keeps for the operator what cannot be taken in.
        logger: hears of each sweep.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        take: Callable[[LogEntry], Exception | None],
        put_aside: Callable[[Message, Exception], None],
        logger: Logger,
    ) -> None:
        self._log = log
        self._take = take
        self._put_aside = put_aside
        self._logger = logger
        self._sweep: _Sweep | None = None
        self._failed_before: frozenset[str] = frozenset()
        self._trouble: list[str] = []

    def take_page(self) -> bool:
        """Take in a page of what the log has lost, if it has lost anything; True if it has.

        Nothing may be read meanwhile: that moves the group on, and a process that died here would leave no
        sign that something is missing.

        Raises:
            SweepError: very many could not be taken in.
        """
        sweep = self._sweep or self._begin()
        if sweep is None:
            self._trouble = []
            return False
        # A fault in the middle begins the sweep anew: half of it is none.
        self._sweep = None
        page = next(sweep["pages"], None)
        if page is None:
            self._end(sweep)
        else:
            for entry in page:
                self._take_entry(sweep, entry)
            self._sweep = sweep
        return True

    def troubles(self) -> list[str]:
        """Say what is wrong, if anything is."""
        return self._trouble

    def _begin(self) -> _Sweep | None:
        gap = next(iter(self._log.gaps()), None)
        if gap is None:
            return None
        self._logger.warning("notifier.log_gap", log=gap["stream"], since_ms=gap["since_ms"])
        return {"gap": gap, "pages": self._log.missed(gap), "failed": 0, "names": set(), "fault": ""}

    def _take_entry(self, sweep: _Sweep, entry: LogEntry) -> None:
        error = self._take(entry)
        if error is None:
            return
        name = _name_of(entry)
        if name in self._failed_before:
            self._put_aside(entry["message"], error)
            return
        sweep["failed"], sweep["fault"] = sweep["failed"] + 1, fault_of(error)
        if sweep["failed"] <= MOST_PUT_ASIDE:
            sweep["names"].add(name)

    def _end(self, sweep: _Sweep) -> None:
        log, failed = sweep["gap"]["stream"], sweep["failed"]
        failed_before, self._failed_before, self._trouble = self._failed_before, frozenset(), []
        if failed > MOST_PUT_ASIDE:
            trouble = f"Of the outcomes that {log} has lost, {failed} cannot be taken in: {sweep['fault']}"
            self._trouble = [trouble]
            raise SweepError(trouble)
        if failed:
            self._failed_before = failed_before | sweep["names"]
            self._logger.warning("notifier.log_gap_swept_again", log=log, failed=failed)
        else:
            self._log.swept(sweep["gap"])
            self._logger.info("notifier.log_gap_swept", log=log)


def _name_of(entry: LogEntry) -> str:
    message = entry["message"]
    job = message["event"]["job_id"] if message["kind"] == "event" else ""
    return f"{entry['stream']} {entry['entry_id']} {entry['run']} {job}"
