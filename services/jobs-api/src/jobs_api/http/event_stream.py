"""The stream of events for one client: live, and out of the logs what it has missed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from platform_workers.errors import RedisUnavailableError

from jobs_api.event_hub import EventHub
from jobs_api.event_listener import Listener, Taken, Wanted
from jobs_api.event_positions import Positions, write_positions
from jobs_api.event_replay import Replayed
from jobs_api.http.event_texts import EventTexts
from jobs_api.published_events import PublishedEvent


class EventStream:
    """What is sent to one client, until the server stops.

    Args:
        hub: live events and the logs.
        wanted: whose events.
        since: where the client is already; None begins with what is published from now on.
        texts: how it is written.
        heartbeat_seconds: at least so often the client is told where it is.
    """

    def __init__(
        self,
        hub: EventHub,
        wanted: Wanted,
        since: Positions | None,
        texts: EventTexts,
        heartbeat_seconds: float,
    ) -> None:
        self._hub = hub
        self._wanted = wanted
        self._since = since
        self._texts = texts
        self._heartbeat_seconds = heartbeat_seconds

    async def parts(self) -> AsyncGenerator[list[str], None]:
        """Give the texts for the client, several at once where several have come."""
        if self._texts.opening:
            yield [self._texts.opening]
        while not await self._hub.is_ready(self._heartbeat_seconds):
            yield [self._texts.waiting]
        with (
            self._hub.listen(self._wanted, since=self._since) as listener,
            listener.reminded_every(self._heartbeat_seconds),
        ):
            if self._since is None and not listener.is_closed:
                # So that a connection that breaks before the first event can be resumed, too.
                yield [self._position(listener.position)]
            async for texts in self._follow(listener):
                yield texts

    async def _follow(self, listener: Listener) -> AsyncIterator[list[str]]:
        while True:
            taken = await listener.take()
            if taken["is_closed"]:
                return
            if taken["is_behind"]:
                async for missed in self._catch_up(listener):
                    yield missed
            texts = self._written(taken, listener.position)
            if taken["is_reminder"]:
                # Also while progress keeps coming, which has no ids: a position must not grow old.
                texts.append(self._position(listener.position))
            if texts:
                yield texts

    def _written(self, taken: Taken, position: Positions) -> list[str]:
        write, of_one_domain = self._texts.event, self._wanted[0] is not None
        texts = [event.text(write, of_one_domain=of_one_domain) for event in taken["events"]]
        return texts + [self._texts.gap(gap, self._id(position)) for gap in taken["gaps"]]

    async def _catch_up(self, listener: Listener) -> AsyncIterator[list[str]]:
        """Give what was missed up to now; what comes meanwhile waits with the listener."""
        replay = self._hub.replay(self._wanted, listener.catch_up())
        is_done = False
        while not is_done and not listener.is_closed:
            try:
                read = await self._hub.read_on(replay)
            except RedisUnavailableError:
                yield [self._texts.waiting]
                await asyncio.sleep(self._hub.reconnect_seconds)
            else:
                is_done = read["is_done"]
                yield self._written_again(read, replay.positions, listener)
        yield [self._position(listener.position)]

    def _written_again(self, read: Replayed, positions: Positions, listener: Listener) -> list[str]:
        texts: list[str] = []
        for item in read["items"]:
            if isinstance(item, PublishedEvent):
                texts.append(item.text(self._texts.event, of_one_domain=self._wanted[0] is not None))
            else:
                texts.append(self._texts.gap(item, self._id(positions)))
                if item["fate"] == "reset":
                    listener.forget_ahead(item["domain"])
        return texts

    def _position(self, positions: Positions) -> str:
        return self._texts.position(self._id(positions))

    def _id(self, positions: Positions) -> str:
        return write_positions(positions, self._wanted[0])
