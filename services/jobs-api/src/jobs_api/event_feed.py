"""One stream of events out of two sources: what is published live, and the durable logs.

Pub/sub is quick and forgets; the log is the truth for what counts (started, completed, failed) and gives each
entry an id. An entry is written and published in one step, so whoever hears it published finds it in the log:
the channel is the doorbell. Live events and entries come out in the order in which they were published, each
once:

- A live `started` or outcome stands for its entry of the log, and for those before it that were not heard.
- One that the log does not have comes from a publisher that writes no log; it goes out without an id.
- Every second or so all logs are looked at. What is found there and was not heard is given out as well: the
  subscription may have been lost and renewed without a word.
"""

from collections import deque
from typing import Final, Protocol, TypedDict

from platform_core.clock import Clock
from platform_core.event_families import KnownEventV1
from platform_core.job_events import JobDomain
from platform_workers.event_history import HistoryPage
from platform_workers.event_log import LOG_START, LogEntry
from platform_workers.event_messages import Message
from platform_workers.log_gaps import id_parts

from jobs_api.event_positions import Positions
from jobs_api.published_events import KEPT_WORDS, FeedItem, PublishedEvent, event_json, event_word

LOOK_SECONDS: Final = 1.0
"""How often all logs are looked at."""

MOST_AT_ONCE: Final = 500
"""How many live messages are taken before they are given out."""

REMEMBERED: Final = 1000
"""How many entries of a log are remembered, to know them when they are heard late."""


class LiveSource(Protocol):
    """Where live events come from: `platform_workers.live_events.LiveEvents`."""

    def connect(self) -> None:
        """Subscribe, if it is not done already."""

    def next(self, timeout: float) -> Message | None:
        """Wait up to `timeout` seconds for a message."""

    def close(self) -> None:
        """Unsubscribe."""


class History(Protocol):
    """Where logged events are read: `platform_workers.event_history.EventHistory`."""

    def domains(self) -> list[JobDomain]:
        """Return every domain that has a job."""

    def newest(self, domain: JobDomain) -> str:
        """Return the id of the newest entry of a domain's log."""

    def page(self, domain: JobDomain, *, after: str, last: str = "+") -> HistoryPage:
        """Read the entries that follow a position."""


class _Live(TypedDict):
    domain: JobDomain
    event: KnownEventV1
    data: str
    is_kept: bool


class _Entry(TypedDict):
    """An entry that was read and not yet given out; `turn` is the call that read it."""

    entry: LogEntry
    data: str
    turn: int


class EventFeed:
    """Reads both sources. Used by one thread.

    Every method raises `WorkersError` when Redis does not answer; called again, it goes on where it was.

    Args:
        live: the one subscription.
        history: the logs.
        clock: for the looks at all logs.
    """

    def __init__(self, live: LiveSource, history: History, *, clock: Clock) -> None:
        self._live = live
        self._history = history
        self._clock = clock
        self._positions: Positions | None = None
        self._read_to: dict[JobDomain, str] = {}
        self._heard: deque[_Live] = deque()
        self._waiting: dict[JobDomain, deque[_Entry]] = {}
        # Their hashes: the text of an event may be long.
        self._known: dict[JobDomain, deque[int]] = {}
        self._found: list[FeedItem] = []
        self._look_at = 0.0
        self._turn = 0

    @property
    def positions(self) -> Positions:
        """How far each log was given out; a mapping that is never changed, only replaced."""
        return self._positions or {}

    def connect(self) -> None:
        """Subscribe, if it is not done already; the first time it begins at the present end of the logs."""
        if self._positions is None:
            # Before the subscription: what comes in between is found in the log, not taken for foreign.
            self._positions = {domain: self._history.newest(domain) for domain in self._history.domains()}
            self._read_to = dict(self._positions)
        self._live.connect()

    def look_soon(self) -> None:
        """Look at all logs with the next call: something may have been missed."""
        self._look_at = self._clock.monotonic()

    def next(self, timeout: float) -> list[FeedItem]:
        """Wait up to `timeout` seconds for a live message; return what is new, in the order published."""
        self._turn += 1
        caught_up = self._hear(timeout)
        self._read_logs()
        while self._heard:
            self._place(self._heard.popleft())
        if caught_up:
            self._give_out_unheard()
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """Unsubscribe."""
        self._live.close()

    def _hear(self, timeout: float) -> bool:
        """Take what was published; tell whether that was all."""
        wait = timeout
        while len(self._heard) < MOST_AT_ONCE:
            message = self._live.next(wait)
            if message is None:
                return True
            wait = 0.0
            if message["kind"] == "event":
                event = message["event"]
                self._heard.append(
                    {
                        "domain": message["domain"],
                        "event": event,
                        "data": event_json(event),
                        "is_kept": event_word(event) in KEPT_WORDS,
                    }
                )
        return False

    def _read_logs(self) -> None:
        """Read the logs that rang, and from time to time all."""
        rang = {live["domain"] for live in self._heard if live["is_kept"]}
        now = self._clock.monotonic()
        is_time = now >= self._look_at
        if is_time or rang - self._read_to.keys():
            for domain in self._history.domains():
                self._read_to.setdefault(domain, LOG_START)
        for domain in sorted(self._read_to if is_time else rang & self._read_to.keys()):
            self._read_log(domain)
        if is_time:
            self._look_at = now + LOOK_SECONDS

    def _read_log(self, domain: JobDomain) -> None:
        more = True
        while more:
            page = self._history.page(domain, after=self._read_to[domain])
            if page["fate"] != "whole":
                self._give_out(domain, len(self._waiting.get(domain, ())))
                self._found.append({"kind": "gap", "domain": domain, "fate": page["fate"]})
            if page["fate"] == "reset":
                self._move_to(domain, LOG_START)
                continue
            if page["fate"] == "trimmed" and not page["entries"]:
                self._move_to(domain, page["newest"])
            for entry in page["entries"]:
                message = entry["message"]
                data = event_json(message["event"]) if message["kind"] == "event" else ""
                waiting = self._waiting.setdefault(domain, deque())
                waiting.append({"entry": entry, "data": data, "turn": self._turn})
                self._read_to[domain] = entry["entry_id"]
            more = page["more"]

    def _move_to(self, domain: JobDomain, entry_id: str) -> None:
        self._read_to[domain] = entry_id
        self._positions = {**self.positions, domain: entry_id}

    def _place(self, live: _Live) -> None:
        """Give out a live event: its entry and those before it, or itself if the log does not have it."""
        domain, data = live["domain"], live["data"]
        if live["is_kept"]:
            for index, waiting in enumerate(self._waiting.get(domain, ())):
                if waiting["data"] == data:
                    self._give_out(domain, index + 1)
                    return
            if hash(data) in self._known.get(domain, ()):
                return
        self._found.append(PublishedEvent(domain, live["event"], data=data, entry_id=None, positions={}))

    def _give_out_unheard(self) -> None:
        """Give out what was read before this call: by now it would have been heard."""
        unheard = [
            (id_parts(entry["entry"]["entry_id"]), domain)
            for domain, waiting in self._waiting.items()
            for entry in waiting
            if entry["turn"] < self._turn
        ]
        for _, domain in sorted(unheard):
            self._give_out(domain, 1)

    def _give_out(self, domain: JobDomain, count: int) -> None:
        """Give out the first entries of a log that wait."""
        for _ in range(count):
            waiting = self._waiting[domain].popleft()
            entry = waiting["entry"]
            message = entry["message"]
            self._positions = {**self.positions, domain: entry["entry_id"]}
            if message["kind"] == "event":
                self._known.setdefault(domain, deque(maxlen=REMEMBERED)).append(hash(waiting["data"]))
                self._found.append(
                    PublishedEvent(
                        domain,
                        message["event"],
                        data=waiting["data"],
                        entry_id=entry["entry_id"],
                        positions=self._positions,
                    )
                )
