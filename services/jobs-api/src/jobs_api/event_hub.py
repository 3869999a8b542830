"""One Redis subscription for the whole process, fanned out to everybody who follows events over HTTP.

A thread reads the feed; listeners live on the event loop and each has a short queue of its own. Listeners are
found by what they want, so an event costs only those who get it. A slow client fills its own queue and nobody
else's: progress is dropped first, because the next one replaces it. What the log keeps is never lost to it: a
client that falls behind reads it there.
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Final, Protocol

from platform_core.logging import Logger
from platform_workers.errors import WorkersError

from jobs_api.event_feed import History
from jobs_api.event_listener import CatchUp, Listener, Wanted
from jobs_api.event_positions import Positions
from jobs_api.event_replay import Replay, Replayed
from jobs_api.published_events import FeedItem, LogGap, PublishedEvent

QUEUE_LENGTH: Final = 256
POLL_SECONDS: Final = 0.2
RECONNECT_SECONDS: Final = 1.0

REPLAY_THREADS: Final = 2
"""How many clients' history is read at once, on threads of their own: no other request waits for them."""


class Feed(Protocol):
    """Where events come from: `jobs_api.event_feed.EventFeed`."""

    @property
    def positions(self) -> Positions:
        """How far it has come."""

    def connect(self) -> None:
        """Subscribe, if it is not done already."""

    def look_soon(self) -> None:
        """Look at all logs with the next call."""

    def next(self, timeout: float) -> list[FeedItem]:
        """Wait up to `timeout` seconds for what is new."""

    def close(self) -> None:
        """Unsubscribe."""


class EventHub:
    """Listens once and tells many.

    Args:
        feed: the one subscription, and the logs.
        history: the logs, for clients that have missed something.
        logger: told when Redis is lost and found.
        queue_length: how many events wait for one listener.
        reconnect_seconds: pause before it asks an absent Redis again.
    """

    def __init__(
        self,
        feed: Feed,
        history: History,
        *,
        logger: Logger,
        queue_length: int = QUEUE_LENGTH,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self._feed = feed
        self._history = history
        self._logger = logger
        self._queue_length = queue_length
        self.reconnect_seconds = reconnect_seconds
        self._listeners: dict[Wanted, set[Listener]] = {}
        self._positions: Positions = {}
        self._is_closed = False
        self._found = asyncio.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._replays = ThreadPoolExecutor(REPLAY_THREADS, thread_name_prefix="event-replay")

    def start(self) -> None:
        """Begin to listen; called on the event loop that the listeners live on."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="event-hub", daemon=True)
        self._thread.start()

    def close_listeners(self) -> None:
        """End every stream, also those still to be opened, so that the server need not wait for them."""
        self._is_closed = True
        self._found.set()
        for listener in self._all():
            listener.put_close()

    async def stop(self) -> None:
        """End the threads and the subscription."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._replays.shutdown(wait=False)

    async def is_ready(self, patience: float) -> bool:
        """Wait up to `patience` seconds until Redis was found for the first time; also when it closes."""
        waiting = asyncio.create_task(self._found.wait())
        await asyncio.wait([waiting], timeout=patience)
        waiting.cancel()
        return self._found.is_set()

    @contextmanager
    def listen(self, wanted: Wanted, *, since: Positions | None = None) -> Iterator[Listener]:
        """Give a listener; what is published from now on reaches it.

        Args:
            wanted: whose events.
            since: where the client is already. The listener is behind then, and is to catch up.
        """
        listener = Listener(wanted, length=self._queue_length, reached=self._reached, since=since)
        if self._is_closed:
            listener.put_close()
        self._listeners.setdefault(wanted, set()).add(listener)
        try:
            yield listener
        finally:
            listeners = self._listeners[wanted]
            listeners.discard(listener)
            if not listeners:
                del self._listeners[wanted]

    def replay(self, wanted: Wanted, missed: CatchUp) -> Replay:
        """Return what reads the logs for a client that has missed something."""
        return Replay(self._history, wanted, missed)

    async def read_on(self, replay: Replay) -> Replayed:
        """Read a part of what was missed, on a thread.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        return await asyncio.get_running_loop().run_in_executor(self._replays, replay.next)

    def _reached(self) -> Positions:
        return self._positions

    def _all(self) -> Iterable[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        lost, told = True, False
        while not self._stop.is_set():
            try:
                self._feed.connect()
                if lost:
                    lost = told = False
                    self._feed.look_soon()
                    loop.call_soon_threadsafe(self._tell_found, self._feed.positions)
                items = self._feed.next(POLL_SECONDS)
                loop.call_soon_threadsafe(self._tell, items, self._feed.positions)
            except Exception as error:
                # Whatever it is: a hub that ends would leave every client deaf without a word.
                if not told:
                    self._log(error)
                self._feed.close()
                lost = told = True
                self._stop.wait(self.reconnect_seconds)
        self._feed.close()

    def _log(self, error: Exception) -> None:
        if isinstance(error, WorkersError):
            self._logger.warning("event_hub.redis_away", error=str(error))
        else:
            self._logger.error("event_hub.unexpected", error=repr(error))

    def _tell(self, items: list[FeedItem], positions: Positions) -> None:
        for item in items:
            if isinstance(item, PublishedEvent):
                self._tell_event(item)
            else:
                self._tell_gap(item)
        self._positions = positions

    def _tell_event(self, event: PublishedEvent) -> None:
        job_id, user_id = event.event["job_id"], event.event["user_id"]
        for wanted in product((event.domain, None), (job_id, None), (user_id, None)):
            for listener in self._listeners.get(wanted, ()):
                listener.put(event)

    def _tell_gap(self, gap: LogGap) -> None:
        for listener in self._all():
            if listener.wanted[0] in {None, gap["domain"]}:
                listener.put_gap(gap)

    def _tell_found(self, positions: Positions) -> None:
        if not self._found.is_set():
            # Later the feed may be further than what was told: what it found before the outage is to come.
            self._positions = positions
            self._found.set()
        for listener in self._all():
            listener.put_outage()
