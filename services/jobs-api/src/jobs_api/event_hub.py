"""One Redis subscription for the whole process, fanned out to everybody who follows a job over HTTP.

A thread listens; listeners live on the event loop and each has a short queue of its own. A slow listener
fills its own queue and nobody else's: progress is dropped first, because the next one replaces it. When
something may have been missed (the subscription was lost, or an outcome had to be dropped), listeners are
told to read the record again.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, Protocol, TypeAlias, TypedDict

from platform_core.event_families import KnownEventV1
from platform_core.job_events import JobDomain
from platform_core.logging import Logger
from platform_workers.errors import WorkersError
from platform_workers.event_subscriber import Message

QUEUE_LENGTH: Final = 64
POLL_SECONDS: Final = 0.2
RECONNECT_SECONDS: Final = 1.0


class LiveSource(Protocol):
    """Where events come from: `platform_workers.event_subscriber.LiveEvents`."""

    def connect(self) -> None:
        """Subscribe, if it is not done already."""

    def next(self, timeout: float) -> Message | None:
        """Wait up to `timeout` seconds for a message."""

    def close(self) -> None:
        """Unsubscribe."""


class HeardEvent(TypedDict):
    """An event of the job."""

    kind: Literal["event"]
    event: KnownEventV1


class Gap(TypedDict):
    """Something may have been missed: read the record."""

    kind: Literal["gap"]


class Quiet(TypedDict):
    """Nothing came within the time."""

    kind: Literal["quiet"]


class Closed(TypedDict):
    """The server is shutting down; nothing more will come."""

    kind: Literal["closed"]


Heard: TypeAlias = HeardEvent | Gap | Quiet | Closed

_JobKey: TypeAlias = tuple[JobDomain, str]


class Listener:
    """One follower of one job. Used on the event loop only."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._events: deque[KnownEventV1] = deque()
        self._gap = False
        self._closed = False
        self._ready = asyncio.Event()

    def put(self, event: KnownEventV1) -> None:
        """Add an event; a full queue loses its oldest progress, or, without any, becomes a gap."""
        if len(self._events) >= self._length:
            self._make_room()
        self._events.append(event)
        self._ready.set()

    def put_gap(self) -> None:
        """Say that something may have been missed."""
        self._gap = True
        self._ready.set()

    def put_close(self) -> None:
        """Say that nothing more will come."""
        self._closed = True
        self._ready.set()

    async def next(self, patience: float) -> Heard:
        """Wait up to `patience` seconds for what comes next."""
        try:
            async with asyncio.timeout(patience):
                await self._ready.wait()
        except TimeoutError:
            return {"kind": "quiet"}
        return self._take()

    def _take(self) -> Heard:
        if self._closed:
            return {"kind": "closed"}
        if self._gap:
            self._gap = False
            taken: Heard = {"kind": "gap"}
        else:
            taken = {"kind": "event", "event": self._events.popleft()}
        if not self._events:
            self._ready.clear()
        return taken

    def _make_room(self) -> None:
        for index, event in enumerate(self._events):
            if event["type"].endswith(".progress.v1"):
                del self._events[index]
                return
        self._events.popleft()
        self._gap = True


class EventHub:
    """Listens once and tells many.

    Args:
        source: the one subscription.
        logger: told when Redis is lost and found.
        queue_length: how many events wait for one listener.
        reconnect_seconds: pause before it asks an absent Redis again.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        logger: Logger,
        queue_length: int = QUEUE_LENGTH,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self._source = source
        self._reconnect_seconds = reconnect_seconds
        self._logger = logger
        self._queue_length = queue_length
        self._listeners: dict[_JobKey, set[Listener]] = {}
        self._closed = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; called on the event loop that the listeners live on."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="event-hub", daemon=True)
        self._thread.start()

    def close_listeners(self) -> None:
        """End every stream, also those still to be opened, so that the server need not wait for them."""
        self._closed = True
        for listener in self._all():
            listener.put_close()

    async def stop(self) -> None:
        """End the thread and the subscription."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    @contextmanager
    def listen(self, domain: JobDomain, job_id: str) -> Iterator[Listener]:
        """Give a listener for one job; what is published from now on reaches it."""
        listener = Listener(self._queue_length)
        if self._closed:
            listener.put_close()
        key = (domain, job_id)
        self._listeners.setdefault(key, set()).add(listener)
        try:
            yield listener
        finally:
            listeners = self._listeners[key]
            listeners.discard(listener)
            if not listeners:
                del self._listeners[key]

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        lost, told = True, False
        while not self._stop.is_set():
            try:
                self._source.connect()
                if lost:
                    lost = told = False
                    loop.call_soon_threadsafe(self._tell_gap)
                message = self._source.next(POLL_SECONDS)
            except WorkersError as error:
                if not told:
                    self._logger.warning("event_hub.redis_away", error=str(error))
                lost = told = True
                self._stop.wait(self._reconnect_seconds)
            else:
                if message is not None and message["kind"] == "event":
                    loop.call_soon_threadsafe(self._tell, message["domain"], message["event"])
        self._source.close()

    def _tell(self, domain: JobDomain, event: KnownEventV1) -> None:
        for listener in self._listeners.get((domain, event["job_id"]), ()):
            listener.put(event)

    def _tell_gap(self) -> None:
        for listener in self._all():
            listener.put_gap()
