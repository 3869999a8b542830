"""The two ears of the notifier: the live channels and the durable log. Both feed the same intake.

Where the log was trimmed before it was read, the job store tells what it said.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_notify.intake import Intake
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_log import EventLog, LogEntry
from platform_workers.event_messages import Message
from platform_workers.live_events import LiveEvents

from notifier.faulty_entries import FaultyEntries
from notifier.log_sweep import LogSweep
from notifier.tally import MAX_LOGGED, Tally, fault_of, text_of

WAIT_SECONDS: Final = 0.5
"""How long one step waits for something to hear, and so how long a stop takes to be noticed."""

TAKE_OVER_SECONDS: Final = 10.0
"""What another replica was given and has not finished for this long is taken over."""

FORGET_READERS_SECONDS: Final = 24 * 3600.0
"""After this long the name of a replica that was killed leaves the group."""

MAX_TRIES: Final = 60
"""So often a message that can be neither handled nor put aside is tried again; the loop pauses up to 1 s."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_300_799_000  # the year 9999

# Bound to a name of its own: one entry that nobody can handle must not keep the others back.
_ANYTHING: type[Exception] = Exception


class LiveFeed:
    """Hears what is published now.

    Attributes:
        subscribed: whether there is a subscription at this moment.
    """

    def __init__(self, *, events: LiveEvents, intake: Intake, tally: Tally, logger: Logger) -> None:
        self._events = events
        self._intake = intake
        self._tally = tally
        self._logger = logger
        self._in_hand: Message | None = None
        self._tries = 0
        self.subscribed = False

    def step(self) -> None:
        """Wait for a message and take it in; one that meets an outage of Redis is taken in after it.

        Nothing else may know of it: a foreign publisher writes no log. So one that cannot be taken in is put
        aside for the operator, and if that fails, too, it is tried again for about a minute.
        """
        if self._in_hand is None:
            try:
                self._in_hand = self._events.next(WAIT_SECONDS)
            finally:
                self.subscribed = self._events.is_connected()
        if self._in_hand is not None:
            self._take(self._in_hand)
            self._in_hand, self._tries = None, 0

    def close(self) -> None:
        """Unsubscribe."""
        self._events.close()

    def _take(self, message: Message) -> None:
        try:
            heard = self._tally.count("live", message)
            if heard is not None:
                self._tally.taken("live", self._intake.take_live(heard))
        except RedisUnavailableError:
            raise
        except _ANYTHING as error:
            self._put_aside(message, error)

    def _put_aside(self, message: Message, error: Exception) -> None:
        fields = {"channel": message["channel"], "fault": fault_of(error)}
        self._tries += 1
        try:
            self._tally.put_aside(message, error)
        except RedisUnavailableError:
            raise
        except _ANYTHING:
            if self._tries < MAX_TRIES:
                raise
            # The log line is all that is left of it; the messages behind it must be heard.
            self._logger.error("notifier.message_lost", **fields, data=text_of(message)[:MAX_LOGGED])
        else:
            self._logger.error("notifier.message_put_aside", **fields)
        self._tally.failed("live")


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
        self._strangers: tuple[str, ...] = ()
        self._faulty = FaultyEntries(clock=clock, logger=logger)
        self._sweep = LogSweep(log=log, take=self._fault_in, put_aside=tally.put_aside, logger=logger)
        self._took_over_at: float | None = None
        self._taking_over: Iterator[list[LogEntry]] | None = None
        self.read_at: float | None = None

    def step(self) -> None:
        """Take in one page of what the log has lost, or else of what was left unfinished and of what is new.

        A page at a time, so that a stop does not wait for all of them.
        """
        try:
            has_swept = self._sweep.take_page()
            self._tell_strangers()
            if not has_swept:
                self._take(self._log.next(0.0 if self._take_over_page() else WAIT_SECONDS))
        except RedisUnavailableError:
            # This one's own entries may be unfinished now; the next step takes everything again.
            self._took_over_at = None
            raise
        self.read_at = self._clock.monotonic()

    def troubles(self) -> list[str]:
        """Say what keeps it from reading, if anything does."""
        strangers = [
            f"The key {log} is no event log, so its domain is heard live at best." for log in self._strangers
        ]
        return [*strangers, *self._sweep.troubles()]

    def close(self) -> None:
        """Leave the group."""
        self._log.leave()

    def _tell_strangers(self) -> None:
        """Tell of keys that should be logs and are none, when they come up."""
        found = self._log.strangers
        for log in found:
            if log not in self._strangers:
                self._logger.error("notifier.log_is_none", log=log)
        self._strangers = found

    def _take_over_page(self) -> bool:
        """Take in a page of what was left unfinished, if it is time to; True if there may be more."""
        now = self._clock.monotonic()
        if self._taking_over is None:
            if self._took_over_at is not None and now - self._took_over_at < TAKE_OVER_SECONDS:
                return False
            # At the start everything: what a killed process had in its hand is this one's to do, and if
            # another replica is just at it, the second intake finds the first one's record.
            min_idle = 0.0 if self._took_over_at is None else TAKE_OVER_SECONDS
            self._taking_over = self._log.unfinished(min_idle_seconds=min_idle)
        # A fault in the middle begins it anew.
        pages, self._taking_over = self._taking_over, None
        page = next(pages, None)
        if page is None:
            self._log.forget_readers(idle_seconds=FORGET_READERS_SECONDS)
            self._took_over_at = now
            return False
        self._take(page)
        self._taking_over = pages
        return True

    def _take(self, entries: Sequence[LogEntry]) -> None:
        # Acknowledged only now: who dies before leaves them to others.
        done = [entry for entry in entries if self._fault_in(entry) is None]
        self._log.acknowledge(done)

    def _fault_in(self, entry: LogEntry) -> Exception | None:
        """Take an entry in; return what kept it from being taken in, None if nothing did."""
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
            self._tally.failed("log")
            self._faulty.tell(entry, error)
            return error
        self._faulty.forget(entry)
        return None


def _time_of(entry: LogEntry) -> datetime:
    """Return when an entry was appended; its id begins with the milliseconds, and may be made up."""
    return _EPOCH + timedelta(milliseconds=min(int(entry["entry_id"].partition("-")[0]), _LAST_MS))
