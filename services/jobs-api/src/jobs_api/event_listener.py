"""One client's place in the stream of events: what it wants to hear, what waits for it, how far it is."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypedDict

from platform_core.job_events import JobDomain
from platform_workers.log_gaps import id_parts

from jobs_api.event_positions import Positions, beyond
from jobs_api.published_events import LogGap, PublishedEvent

Wanted: TypeAlias = tuple[JobDomain | None, str | None, int | None]
"""Whose events a client wants: of a domain, a job (its id), a user; None for any."""


class Taken(TypedDict):
    """What has come since a listener was last asked.

    Attributes:
        events: in the order in which they were published.
        gaps: logs that have lost entries before anybody read them.
        is_behind: events were passed over: what the log keeps of them is to be read there.
        is_reminder: it is time for a sign of life.
        is_outage: Redis was away; what was published live meanwhile is lost.
        is_closed: the server is shutting down; nothing more will come.
    """

    events: list[PublishedEvent]
    gaps: list[LogGap]
    is_behind: bool
    is_reminder: bool
    is_outage: bool
    is_closed: bool


class CatchUp(TypedDict):
    """What a listener has passed over: the logs' entries between two positions."""

    start: Positions
    end: Positions


class Listener:
    """What waits for one client. Used on the event loop only.

    Args:
        wanted: whose events.
        length: how many events wait at most. Then progress is dropped, the oldest first; where that is not
            enough the client is behind, and reads the log.
        reached: how far the hub is.
        since: how far the client is already; None for as far as the hub.
    """

    def __init__(
        self, wanted: Wanted, *, length: int, reached: Callable[[], Positions], since: Positions | None = None
    ) -> None:
        self.wanted = wanted
        self._length = length
        self._reached = reached
        self._events: deque[PublishedEvent] = deque()
        self._gaps: list[LogGap] = []
        self._is_behind = since is not None
        self._is_reminder = False
        self._is_outage = False
        self._is_closed = False
        self._position: Positions = reached() if since is None else since
        # Where the client is further than the hub: it comes from another process, which was quicker.
        self._ahead: dict[JobDomain, str] = {}
        self._ready = asyncio.Event()
        if self._is_behind:
            self._ready.set()

    @property
    def position(self) -> Positions:
        """How far the client is, once it has got everything that was taken for it."""
        return {**self._position, **self._ahead} if self._ahead else self._position

    @property
    def is_closed(self) -> bool:
        """True when nothing more will come."""
        return self._is_closed

    def put(self, event: PublishedEvent) -> None:
        """Add an event, unless the client has it already or will read it in the log."""
        if self._is_behind or self._has(event):
            return
        if len(self._events) >= self._length:
            self._make_room()
        if not self._is_behind:
            self._events.append(event.as_seen_from(self._ahead) if self._ahead else event)
        self._ready.set()

    def put_gap(self, gap: LogGap) -> None:
        """Say that a log has lost entries."""
        self._gaps.append(gap)
        self._ready.set()

    def put_outage(self) -> None:
        """Say that Redis was away."""
        self._is_outage = True
        self._ready.set()

    def put_close(self) -> None:
        """Say that nothing more will come."""
        self._is_closed = True
        self._ready.set()

    async def take(self) -> Taken:
        """Wait for what comes next, and take all of it."""
        # No time limit here: with thousands of listeners its timers would cost as much as the sending.
        await self._ready.wait()
        return self._take()

    @contextmanager
    def reminded_every(self, seconds: float) -> Iterator[None]:
        """Let `take` return every so many seconds within the block, also when nothing has come."""
        loop = asyncio.get_running_loop()
        timer: deque[asyncio.TimerHandle] = deque(maxlen=1)

        def remind() -> None:
            self._is_reminder = True
            self._ready.set()
            timer.append(loop.call_later(seconds, remind))

        timer.append(loop.call_later(seconds, remind))
        try:
            yield
        finally:
            timer[0].cancel()

    def catch_up(self) -> CatchUp:
        """Begin to listen again, from here on; return what is to be read in the logs up to here."""
        start, end = self.position, self._reached()
        self._ahead = beyond(start, end)
        self._position = end
        self._is_behind = False
        return {"start": start, "end": end}

    def forget_ahead(self, domain: JobDomain) -> None:
        """Take the position of a domain back to where the hub was: the client's is of a log that is gone."""
        self._ahead.pop(domain, None)
        self._fall_behind()

    def _has(self, event: PublishedEvent) -> bool:
        reached = self._ahead.get(event.domain)
        return (
            reached is not None
            and event.entry_id is not None
            and id_parts(event.entry_id) <= id_parts(reached)
        )

    def _make_room(self) -> None:
        for index, event in enumerate(self._events):
            if not event.is_kept:
                del self._events[index]
                return
        self._fall_behind()

    def _fall_behind(self) -> None:
        self._events.clear()
        self._is_behind = True
        self._ready.set()

    def _take(self) -> Taken:
        taken: Taken = {
            "events": list(self._events),
            "gaps": self._gaps,
            "is_behind": self._is_behind,
            "is_reminder": self._is_reminder,
            "is_outage": self._is_outage,
            "is_closed": self._is_closed,
        }
        self._events.clear()
        self._gaps, self._is_reminder, self._is_outage = [], False, False
        if not self._is_behind:
            self._position = self._reached()
            self._ahead = beyond(self._ahead, self._position)
        if not self._is_behind and not self._is_closed:
            self._ready.clear()
        return taken
