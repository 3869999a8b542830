"""One subscription, many listeners: who is slow loses progress and nothing else."""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from typing import TypeVar

from platform_core.event_families import KnownEventV1
from platform_core.job_events import (
    TURKIC,
    make_completed_event,
    make_progress_event,
    make_started_event,
)
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_subscriber import Message
from platform_workers.testing import FakeLogger
from typing_extensions import override

from jobs_api.event_hub import EventHub, Heard, Listener
from jobs_api.registry import FILES

T = TypeVar("T")


def progress(percent: int, job_id: str = "j") -> KnownEventV1:
    return make_progress_event(domain=FILES, job_id=job_id, user_id=1, progress=percent)


def started(job_id: str = "j") -> KnownEventV1:
    return make_started_event(domain=FILES, job_id=job_id, user_id=1, queue="files")


def completed(job_id: str = "j") -> KnownEventV1:
    return make_completed_event(domain=FILES, job_id=job_id, user_id=1, result_id="r", result_bytes=1)


def event_message(event: KnownEventV1) -> Message:
    return {"kind": "event", "channel": "files:events", "domain": FILES, "event": event}


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
            message = self.messages.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(message, Exception):
            raise message
        return message

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def in_loop(work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await asyncio.wait_for(work(), 20)

    return asyncio.run(run())


async def taken(listener: Listener, count: int) -> list[Heard]:
    return [await listener.next(10) for _ in range(count)]


def test_a_listener_gets_events_in_order() -> None:
    async def work() -> list[Heard]:
        listener = Listener(10)
        for event in (started(), progress(1), completed()):
            listener.put(event)
        return await taken(listener, 3)

    assert in_loop(work) == [
        {"kind": "event", "event": event} for event in (started(), progress(1), completed())
    ]


def test_a_slow_listener_loses_its_oldest_progress_and_no_outcome() -> None:
    async def work() -> list[Heard]:
        listener = Listener(3)
        for event in (started(), progress(1), progress(2), progress(3), completed()):
            listener.put(event)
        return [*await taken(listener, 3), await listener.next(0)]

    assert in_loop(work) == [
        {"kind": "event", "event": started()},
        {"kind": "event", "event": progress(3)},
        {"kind": "event", "event": completed()},
        {"kind": "quiet"},
    ]


def test_when_an_outcome_must_go_the_listener_is_told_of_a_gap() -> None:
    async def work() -> list[Heard]:
        listener = Listener(2)
        for event in (started(), completed(), started()):
            listener.put(event)
        return [*await taken(listener, 3), await listener.next(0)]

    assert in_loop(work) == [
        {"kind": "gap"},
        {"kind": "event", "event": completed()},
        {"kind": "event", "event": started()},
        {"kind": "quiet"},
    ]


def test_only_the_jobs_own_listeners_hear() -> None:
    source = ScriptedSource()

    async def work() -> list[Heard]:
        hub = EventHub(source, logger=FakeLogger())
        with (
            hub.listen(FILES, "j") as first,
            hub.listen(FILES, "j") as second,
            hub.listen(TURKIC, "j") as other,
        ):
            hub.start()
            for listener in (first, second, other):
                assert await listener.next(10) == {"kind": "gap"}
            source.messages.put(
                {"kind": "unknown", "channel": "files:events", "event_type": "x", "data": b"{}"}
            )
            source.messages.put(event_message(progress(1, "another")))
            source.messages.put(event_message(progress(5)))
            heard = [await first.next(10), await second.next(10), await other.next(0)]
        with hub.listen(FILES, "j"):
            pass
        await hub.stop()
        return heard

    event: Heard = {"kind": "event", "event": progress(5)}
    assert in_loop(work) == [event, event, {"kind": "quiet"}]
    assert source.closed


def test_after_an_outage_everybody_is_told_of_the_gap_and_the_log_once() -> None:
    source, logger = ScriptedSource(), FakeLogger()

    async def work() -> list[Heard]:
        hub = EventHub(source, logger=logger, reconnect_seconds=0.01)
        with hub.listen(FILES, "j") as listener:
            hub.start()
            first = await listener.next(10)
            source.messages.put(RedisUnavailableError("away"))
            second = await listener.next(10)
            source.messages.put(event_message(progress(5)))
            third = await listener.next(10)
        await hub.stop()
        return [first, second, third]

    assert in_loop(work) == [{"kind": "gap"}, {"kind": "gap"}, {"kind": "event", "event": progress(5)}]
    assert logger.events() == ["event_hub.redis_away"]


def test_a_server_away_from_the_start_is_waited_for() -> None:
    class AwaySource(ScriptedSource):
        attempts = 0

        @override
        def connect(self) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise RedisUnavailableError("away")

    source, logger = AwaySource(), FakeLogger()

    async def work() -> Heard:
        hub = EventHub(source, logger=logger, reconnect_seconds=0.01)
        with hub.listen(FILES, "j") as listener:
            hub.start()
            heard = await listener.next(10)
        await hub.stop()
        return heard

    assert in_loop(work) == {"kind": "gap"}
    assert logger.events() == ["event_hub.redis_away"]


def test_closing_ends_open_streams_and_those_opened_later() -> None:
    async def work() -> list[Heard]:
        hub = EventHub(ScriptedSource(), logger=FakeLogger())
        with hub.listen(FILES, "j") as listener:
            listener.put(progress(1))
            hub.close_listeners()
            first = await listener.next(10)
        with hub.listen(FILES, "late") as late:
            second = await late.next(10)
        await hub.stop()
        return [first, second]

    assert in_loop(work) == [{"kind": "closed"}, {"kind": "closed"}]
