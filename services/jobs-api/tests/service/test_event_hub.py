"""One subscription, many listeners: found by what they want, told of outages, closed with the server."""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from event_kit import completed, message_of, progress, started
from platform_core.job_events import TURKIC
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.event_history import EventHistory
from platform_workers.event_messages import Message
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from typing_extensions import override

from jobs_api.event_feed import EventFeed
from jobs_api.event_hub import EventHub
from jobs_api.event_listener import Listener, Wanted
from jobs_api.published_events import LogGap
from jobs_api.registry import FILES

T = TypeVar("T")


class ScriptedSource:
    """A subscription whose messages and outages come from the test."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
        self.closed = False

    def connect(self) -> None:
        """Nothing to do."""

    def next(self, timeout: float) -> Message | None:
        """Give what the test put."""
        try:
            message = self.messages.get(timeout=timeout) if timeout else self.messages.get_nowait()
        except queue.Empty:
            return None
        if isinstance(message, Exception):
            raise message
        return message

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def make_hub(source: ScriptedSource, logger: FakeLogger | None = None) -> EventHub:
    history = EventHistory(FakeRedis())
    feed = EventFeed(source, history, clock=FakeClock())
    return EventHub(feed, history, logger=logger or FakeLogger(), reconnect_seconds=0.01)


def in_loop(work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await asyncio.wait_for(work(), 20)

    return asyncio.run(run())


async def next_words(listener: Listener) -> list[str]:
    """Return the words of the next events; what comes without an event is passed over."""
    while True:
        taken = await listener.take()
        if taken["events"] or taken["is_closed"]:
            return [event.word for event in taken["events"]]


WANTED: list[Wanted] = [
    (FILES, "j", 7), (FILES, "j", None), (FILES, None, 7), (None, "j", 7),
    (FILES, None, None), (None, "j", None), (None, None, 7), (None, None, None),
]  # fmt: skip
NOT_WANTED: list[Wanted] = [(TURKIC, "j", 7), (FILES, "k", 7), (FILES, "j", 8), (TURKIC, None, None)]


def test_an_event_reaches_whoever_wants_it_and_nobody_else() -> None:
    source = ScriptedSource()

    async def work() -> None:
        hub = make_hub(source)
        hub.start()
        assert await hub.is_ready(10)
        listeners: list[Listener] = []
        contexts = [hub.listen(wanted) for wanted in [*WANTED, *NOT_WANTED, WANTED[0]]]
        listeners = [context.__enter__() for context in contexts]
        source.messages.put({"kind": "unknown", "channel": "files:events", "event_type": "x", "data": b""})
        source.messages.put(message_of(progress(FILES, 5)))
        for listener in (*listeners[:8], listeners[-1]):
            assert await next_words(listener) == ["progress"]
        hub.close_listeners()
        for listener in listeners[8:12]:
            assert await next_words(listener) == []
        for context in contexts:
            context.__exit__(None, None, None)
        await hub.stop()

    in_loop(work)
    assert source.closed


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (RedisUnavailableError("away"), "event_hub.redis_away"),
        (RedisCommandError("NOPERM"), "event_hub.redis_away"),
        (TypeError("a fault of a library's"), "event_hub.unexpected"),
    ],
)
def test_after_an_outage_everybody_is_told_and_the_log_once(error: Exception, logged: str) -> None:
    source, logger = ScriptedSource(), FakeLogger()

    async def work() -> None:
        hub = make_hub(source, logger)
        with hub.listen((FILES, "j", None)) as listener:
            hub.start()
            assert (await listener.take())["is_outage"]
            source.messages.put(error)
            source.messages.put(error)
            taken = await listener.take()
            while not taken["is_outage"]:
                taken = await listener.take()
            source.messages.put(message_of(started(FILES)))
            assert await next_words(listener) == ["started"]
        await hub.stop()

    in_loop(work)
    assert set(logger.events()) == {logged}


def test_a_server_away_from_the_start_is_waited_for() -> None:
    class AwaySource(ScriptedSource):
        attempts = 0

        @override
        def connect(self) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise RedisUnavailableError("away")

    logger = FakeLogger()

    async def work() -> None:
        hub = make_hub(AwaySource(), logger)
        assert not await hub.is_ready(0.0)
        hub.start()
        assert await hub.is_ready(10)
        await hub.stop()

    in_loop(work)
    assert logger.events() == ["event_hub.redis_away"]


def test_closing_ends_open_streams_and_those_opened_later() -> None:
    async def work() -> None:
        hub = make_hub(ScriptedSource())
        with hub.listen((FILES, "j", None)) as listener:
            hub.close_listeners()
            assert (await listener.take())["is_closed"]
            assert (await listener.take())["is_closed"]
        with hub.listen((FILES, "late", None)) as late:
            assert (await late.take())["is_closed"]
        await hub.stop()

    in_loop(work)


def test_two_processes_publishing_the_same_outcome_is_no_harm_to_the_hub() -> None:
    source = ScriptedSource()

    async def work() -> None:
        hub = make_hub(source)
        hub.start()
        with hub.listen((FILES, None, None)) as listener:
            for event in (completed(FILES), completed(FILES), started(FILES, "k")):
                source.messages.put(message_of(event))
            words: list[str] = []
            while "started" not in words:
                words += await next_words(listener)
            # Without a log nobody can say that they are one.
            assert words == ["completed", "completed", "started"]
        await hub.stop()

    in_loop(work)


def test_a_gap_in_a_log_is_told_to_those_who_hear_that_domain() -> None:
    gap: LogGap = {"kind": "gap", "domain": FILES, "fate": "reset"}

    async def work() -> None:
        hub = make_hub(ScriptedSource())
        with (
            hub.listen((FILES, None, None)) as one,
            hub.listen((None, None, 7)) as other,
            hub.listen((TURKIC, None, None)) as another,
        ):
            hub._tell([gap], {})
            assert (await one.take())["gaps"] == [gap]
            assert (await other.take())["gaps"] == [gap]
            hub.close_listeners()
            assert (await another.take())["gaps"] == []
        await hub.stop()

    in_loop(work)
