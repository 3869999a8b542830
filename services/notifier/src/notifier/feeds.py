"""The two ears of the notifier: the live channels and the durable log. Both feed the same intake.

Where the log was trimmed before it was read, the job store tells what it said.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_notify.intake import Intake, Taken
from platform_notify.undecodable_store import UndecodableStore
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_log import EventLog, LogEntry
from platform_workers.event_messages import Heard, Message
from platform_workers.live_events import LiveEvents
from platform_workers.log_gaps import LogGap

from notifier.metrics import Feed, Metrics

WAIT_SECONDS: Final = 0.5
"""How long one step waits for something to hear, and so how long a stop takes to be noticed."""

TAKE_OVER_SECONDS: Final = 10.0
"""What another replica was given and has not finished for this long is taken over."""

FORGET_READERS_SECONDS: Final = 24 * 3600.0
"""After this long the name of a replica that was killed leaves the group."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_FAULTY: Final = 1000

# Bound to a name of its own: one entry that nobody can handle must not keep the others back.
_ANYTHING: type[Exception] = Exception


class Tally:
    """Counts what a feed hears, and keeps what nobody can decode or knows."""

    def __init__(self, *, metrics: Metrics, undecodable: UndecodableStore) -> None:
        self._metrics = metrics
        self._undecodable = undecodable

    def count(self, feed: Feed, message: Message) -> Heard | None:
        """Count a message; give it back if it is an event."""
        if message["kind"] == "event":
            self._metrics.event_heard(feed, message["event"])
            return message
        # Kept first: one that meets an outage of Redis comes again, and is to be counted once.
        self._undecodable.keep(message)
        if message["kind"] == "unknown":
            self._metrics.unknown_heard(feed)
        else:
            self._metrics.undecodable_heard(feed)
        return None

    def taken(self, feed: Feed, taken: Taken) -> None:
        """Count what came of an event."""
        self._metrics.taken(feed, taken)


class LiveFeed:
    """Hears what is published now.

    Attributes:
        subscribed: whether there is a subscription at this moment.
    """

    def __init__(self, *, events: LiveEvents, intake: Intake, tally: Tally) -> None:
        self._events = events
        self._intake = intake
        self._tally = tally
        self._in_hand: Message | None = None
        self.subscribed = False

    def step(self) -> None:
        """Wait for a message and take it in; one that meets an outage of Redis is taken in after it.

        Nothing else may know of it: a foreign publisher writes no log.
        """
        if self._in_hand is None:
            try:
                self._in_hand = self._events.next(WAIT_SECONDS)
            finally:
                self.subscribed = self._events.is_connected()
        try:
            self._take()
        except RedisUnavailableError:
            raise
        except _ANYTHING:
            self._in_hand = None
            raise

    def close(self) -> None:
        """Unsubscribe."""
        self._events.close()

    def _take(self) -> None:
        if self._in_hand is not None:
            heard = self._tally.count("live", self._in_hand)
            if heard is not None:
                self._tally.taken("live", self._intake.take_live(heard))
            self._in_hand = None


class LogFeed:
    """Reads the durable log, and takes over what other replicas left unfinished.

    Attributes:
        read_at: when the log was last read to no fault, by the monotonic clock; None before the first time.
    """

    def __init__(self, *, log: EventLog, intake: Intake, tally: Tally, clock: Clock, logger: Logger) -> None:
        self._log = log
        self._intake = intake
        self._tally = tally
        self._clock = clock
        self._logger = logger
        self._faulty: set[str] = set()
        self._took_over_at: float | None = None
        self._sweep: tuple[LogGap, Iterator[list[LogEntry]]] | None = None
        self.read_at: float | None = None

    def step(self) -> None:
        """Wait for new entries and take them in."""
        try:
            if not self._sweep_page():
                self._take_over_if_due()
                self._take(self._log.next(WAIT_SECONDS))
        except RedisUnavailableError:
            # This one's own entries may be unfinished now; the next step takes everything again.
            self._took_over_at = None
            raise
        self.read_at = self._clock.monotonic()

    def close(self) -> None:
        """Leave the group."""
        self._log.leave()

    def _sweep_page(self) -> bool:
        """Take in a page of what the log has lost, if it has lost anything; True if it has.

        Nothing may be read meanwhile: that moves the group on, and a process that died here would leave no
        sign that something is missing.
        """
        if self._sweep is None:
            gap = next(iter(self._log.gaps()), None)
            if gap is None:
                return False
            self._logger.warning("notifier.log_gap", log=gap["stream"], since_ms=gap["since_ms"])
            self._sweep = gap, self._log.missed(gap)
        gap, pages = self._sweep
        # A fault in the middle begins the sweep anew: half of it is none.
        self._sweep = None
        page = next(pages, None)
        if page is None:
            self._log.swept(gap)
            self._logger.info("notifier.log_gap_swept", log=gap["stream"])
        else:
            for entry in page:
                self._is_taken(entry)
            self._sweep = gap, pages
        return True

    def _take_over_if_due(self) -> None:
        now = self._clock.monotonic()
        if self._took_over_at is not None and now - self._took_over_at < TAKE_OVER_SECONDS:
            return
        # At the start everything: what a killed process had in its hand is this one's to do, and if another
        # replica is just at it, the second intake finds the first one's record.
        min_idle = 0.0 if self._took_over_at is None else TAKE_OVER_SECONDS
        for entries in self._log.unfinished(min_idle_seconds=min_idle):
            self._take(entries)
        self._log.forget_readers(idle_seconds=FORGET_READERS_SECONDS)
        self._took_over_at = now

    def _take(self, entries: Sequence[LogEntry]) -> None:
        # Acknowledged only now: who dies before leaves them to others.
        done = [entry for entry in entries if self._is_taken(entry)]
        self._log.acknowledge(done)

    def _is_taken(self, entry: LogEntry) -> bool:
        try:
            heard = self._tally.count("log", entry["message"])
            if heard is not None:
                taken = self._intake.take_logged(
                    heard, run=entry["run"], ended_at=_time_of(entry), cancelled=entry["cancelled"]
                )
                self._tally.taken("log", taken)
        except RedisUnavailableError:
            raise
        except _ANYTHING as error:
            self._tell(entry, error)
            return False
        return True

    def _tell(self, entry: LogEntry, error: Exception) -> None:
        """Tell of an entry that cannot be handled, once: it stays unfinished and comes back."""
        name = f"{entry['stream']} {entry['entry_id']}"
        if name not in self._faulty and len(self._faulty) < _MAX_FAULTY:
            self._faulty.add(name)
            self._logger.error(
                "notifier.entry_failed",
                log=entry["stream"],
                entry_id=entry["entry_id"],
                fault=f"{type(error).__name__}: {error}",
            )


def _time_of(entry: LogEntry) -> datetime:
    """Return when an entry was appended; its id begins with the milliseconds."""
    return _EPOCH + timedelta(milliseconds=int(entry["entry_id"].partition("-")[0]))
