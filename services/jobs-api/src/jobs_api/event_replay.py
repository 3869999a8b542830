"""What a client has missed, read again in the durable logs: from its own position to where it listens."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeAlias, TypedDict

from platform_core.event_families import KnownEventV1
from platform_core.job_events import JobDomain
from platform_workers.event_log import LOG_START, LogEntry
from platform_workers.log_gaps import id_parts

from jobs_api.event_feed import History
from jobs_api.event_listener import CatchUp, Wanted
from jobs_api.event_positions import Positions, beyond
from jobs_api.published_events import FeedItem, LogGap, PublishedEvent, event_json

ENTRIES_AT_ONCE: Final = 500
"""How many entries are read before others have their turn."""

_Read: TypeAlias = tuple[tuple[int, int], LogEntry | None, LogGap | None]
"""An entry or a gap, and its place in the order in which they come."""


class Replayed(TypedDict):
    """A part of what was missed.

    Attributes:
        items: the events that are wanted, and where logs have lost some; oldest first.
        is_done: True when that was all.
    """

    items: list[FeedItem]
    is_done: bool


class Replay:
    """Reads what one client has missed. `next` may be called by any thread, one at a time.

    Args:
        history: the logs.
        wanted: whose events.
        missed: from where to where.
    """

    def __init__(self, history: History, wanted: Wanted, missed: CatchUp) -> None:
        self._history = history
        self._wanted = wanted
        self._end = missed["end"]
        self._positions: Positions = missed["start"]
        self._merged: Iterator[_Read] | None = None
        self._items: list[FeedItem] = []

    @property
    def positions(self) -> Positions:
        """How far it has come."""
        return self._positions

    def next(self) -> Replayed:
        """Read on.

        Raises:
            RedisUnavailableError: Redis does not answer; called again, it goes on where it was.
        """
        if self._merged is None:
            self._merged = self._merge()
        merged, self._merged = self._merged, None
        count = 0
        for _, entry, gap in islice(merged, ENTRIES_AT_ONCE):
            count += 1
            if gap is not None:
                self._items.append(gap)
            if entry is not None:
                self._take(entry)
        # Where reading fails, the broken iterator is not used again; what was found waits for the next call.
        self._merged = merged
        items, self._items = self._items, []
        return {"items": items, "is_done": count < ENTRIES_AT_ONCE}

    def _take(self, entry: LogEntry) -> None:
        domain, message = entry["domain"], entry["message"]
        self._positions = {**self._positions, domain: entry["entry_id"]}
        if message["kind"] == "event" and is_wanted(self._wanted, domain, message["event"]):
            self._items.append(
                PublishedEvent(
                    domain,
                    message["event"],
                    data=event_json(message["event"]),
                    entry_id=entry["entry_id"],
                    positions=self._positions,
                )
            )

    def _merge(self) -> Iterator[_Read]:
        """Read all logs side by side, the oldest entry first; a gap comes before what is left of its log."""
        missed = self._covered(beyond(self._end, self._positions))
        ahead = self._covered(beyond(self._positions, self._end))
        return heapq.merge(
            *(self._look(domain, entry_id) for domain, entry_id in ahead.items()),
            *(self._read(domain, last) for domain, last in missed.items()),
            key=_place,
        )

    def _look(self, domain: JobDomain, entry_id: str) -> Iterator[_Read]:
        """Give a gap if a log ends before where the client is already: it comes from a log that is gone.

        Otherwise its events came from another process, which was quicker than this one.
        """
        if self._history.page(domain, after=entry_id, last=entry_id)["fate"] == "reset":
            yield (0, 0), None, {"kind": "gap", "domain": domain, "fate": "reset"}

    def _read(self, domain: JobDomain, last: str) -> Iterator[_Read]:
        after, more = self._positions.get(domain, LOG_START), True
        while more:
            page = self._history.page(domain, after=after, last=last)
            if page["fate"] != "whole":
                yield (0, 0), None, {"kind": "gap", "domain": domain, "fate": page["fate"]}
            for entry in page["entries"]:
                after = entry["entry_id"]
                yield id_parts(after), entry, None
            more = page["more"]

    def _covered(self, positions: Positions) -> Positions:
        only = self._wanted[0]
        return {domain: entry_id for domain, entry_id in positions.items() if only in {None, domain}}


def is_wanted(wanted: Wanted, domain: JobDomain, event: KnownEventV1) -> bool:
    """Tell whether a client wants an event."""
    return all(
        want is None or want == have
        for want, have in zip(wanted, (domain, event["job_id"], event["user_id"]), strict=True)
    )


def _place(read: _Read) -> tuple[int, int]:
    return read[0]
