"""One client's place: a slow one loses progress and nothing else, one from elsewhere gets nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from event_kit import completed, progress, started
from platform_core.errors import DecodeError
from platform_core.job_events import TURKIC, JobDomain, JobEventV1

from jobs_api.event_listener import Listener
from jobs_api.event_positions import Positions, read_positions, write_positions
from jobs_api.published_events import PublishedEvent, event_json
from jobs_api.registry import FILES


class Hub:
    """Gives out events as the hub does: ids go up, and the positions come after the events."""

    def __init__(self) -> None:
        self.reached: dict[JobDomain, str] = {FILES: "5-0"}
        self.listeners: list[Listener] = []

    def listener(self, length: int = 3, since: Positions | None = None) -> Listener:
        listener = Listener(
            (None, None, None), length=length, reached=lambda: dict(self.reached), since=since
        )
        self.listeners.append(listener)
        return listener

    def tell(self, event: JobEventV1, entry_id: str | None = None) -> PublishedEvent:
        positions = {} if entry_id is None else {**self.reached, event["domain"]: entry_id}
        published = PublishedEvent(
            event["domain"],
            event,
            data=event_json(event),
            entry_id=entry_id,
            positions=positions,
        )
        for listener in self.listeners:
            listener.put(published)
        self.reached = {**self.reached, **positions}
        return published


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(run())


async def words(listener: Listener) -> list[str]:
    return [f"{event.event['job_id']} {event.word}" for event in (await listener.take())["events"]]


def test_events_are_taken_in_order_and_all_at_once() -> None:
    async def work() -> None:
        hub = Hub()
        listener = hub.listener()
        assert listener.position == {FILES: "5-0"}
        hub.tell(started(FILES), "6-0")
        hub.tell(progress(FILES, 1))
        hub.tell(completed(FILES), "7-0")
        assert await words(listener) == ["j started", "j progress", "j completed"]
        assert listener.position == {FILES: "7-0"}

    in_loop(work)


def test_a_slow_client_loses_its_oldest_progress_and_no_outcome() -> None:
    async def work() -> None:
        hub = Hub()
        listener = hub.listener()
        hub.tell(started(FILES), "6-0")
        for percent in (1, 2, 3):
            hub.tell(progress(FILES, percent, f"p{percent}"))
        hub.tell(completed(FILES), "7-0")
        assert await words(listener) == ["j started", "p3 progress", "j completed"]

    in_loop(work)


def test_where_that_is_not_enough_the_log_is_to_be_read_from_where_the_client_is() -> None:
    async def work() -> None:
        hub = Hub()
        listener = hub.listener(length=2)
        hub.tell(started(FILES), "6-0")
        assert await words(listener) == ["j started"]
        for number in (7, 8, 9):
            hub.tell(started(FILES, f"j{number}"), f"{number}-0")
        # Whatever comes now is passed over: the log will tell it.
        hub.tell(started(FILES, "j10"), "10-0")
        taken = await listener.take()
        assert (taken["events"], taken["is_behind"]) == ([], True)
        assert listener.catch_up() == {"start": {FILES: "6-0"}, "end": {FILES: "10-0"}}
        hub.tell(started(FILES, "j11"), "11-0")
        taken = await listener.take()
        assert [event.entry_id for event in taken["events"]] == ["11-0"]
        assert not taken["is_behind"]

    in_loop(work)


def test_a_client_that_comes_back_is_behind_at_once() -> None:
    async def work() -> None:
        hub = Hub()
        listener = hub.listener(since={FILES: "3-0"})
        hub.tell(started(FILES), "6-0")
        assert (await listener.take())["is_behind"]
        assert listener.catch_up() == {"start": {FILES: "3-0"}, "end": {FILES: "6-0"}}

    in_loop(work)


def test_a_client_from_a_process_that_was_quicker_gets_nothing_twice() -> None:
    """Its ids say also then what it has: all of the log it brought, not only what this process has read."""

    async def work() -> None:
        hub = Hub()
        listener = hub.listener(length=9, since={FILES: "7-0", TURKIC: "2-0"})
        assert listener.catch_up()["start"] == {FILES: "7-0", TURKIC: "2-0"}
        assert listener.position == {FILES: "7-0", TURKIC: "2-0"}
        hub.tell(started(FILES, "had"), "6-0")
        hub.tell(completed(FILES, "had"), "7-0")
        hub.tell(progress(FILES, 5))
        hub.tell(started(FILES, "new"), "8-0")
        taken = await listener.take()
        assert [event.event["job_id"] for event in taken["events"]] == ["j", "new"]
        assert [event.positions for event in taken["events"]] == [{}, {FILES: "8-0", TURKIC: "2-0"}]
        assert listener.position == {FILES: "8-0", TURKIC: "2-0"}
        hub.tell(started(TURKIC, "new"), "3-0")
        await listener.take()
        assert listener.position == {FILES: "8-0", TURKIC: "3-0"}

    in_loop(work)


def test_a_position_in_a_log_that_is_gone_is_given_up() -> None:
    async def work() -> None:
        hub = Hub()
        listener = hub.listener(since={FILES: "99-0"})
        listener.catch_up()
        hub.tell(started(FILES, "passed over"), "6-0")
        listener.forget_ahead(FILES)
        assert (await listener.take())["is_behind"]
        assert listener.catch_up() == {"start": {FILES: "5-0"}, "end": {FILES: "6-0"}}

    in_loop(work)


def test_a_reminder_comes_though_nothing_happens_and_ends_with_the_block() -> None:
    async def work() -> None:
        listener = Hub().listener()
        with listener.reminded_every(0.001):
            for _ in range(3):
                taken = await listener.take()
                assert taken["is_reminder"]
                assert taken["events"] == []

    in_loop(work)


def test_an_event_is_written_once_for_all_who_get_it() -> None:
    written: list[str | None] = []

    def write(word: str, data: str, event_id: str | None) -> str:
        written.append(event_id)
        return f"{word} {data} {event_id}"

    hub = Hub()
    hub.reached[TURKIC] = "1-0"
    event = hub.tell(started(FILES), "6-0")
    for _ in range(3):
        assert event.text(write, of_one_domain=True).endswith(" files=6-0")
        assert event.text(write, of_one_domain=False).endswith(" files=6-0,turkic=1-0")
    assert written == ["files=6-0", "files=6-0,turkic=1-0"]
    assert hub.tell(progress(FILES, 1)).text(write, of_one_domain=True).endswith(" None")


# -- ids ----------------------------------------------------------------------------------------------------


def test_an_id_comes_back_as_it_went() -> None:
    positions: Positions = {TURKIC: "1732-1", FILES: "1733-0"}
    assert write_positions(positions) == "files=1733-0,turkic=1732-1"
    assert read_positions(write_positions(positions), "id") == positions
    assert write_positions(positions, FILES) == "files=1733-0"
    assert write_positions({}) == write_positions(positions, TURKIC).replace("turkic=1732-1", "-") == "-"
    assert read_positions("-", "id") == {}
    assert read_positions("files=0017-00", "id") == {FILES: "17-0"}


@pytest.mark.parametrize(
    "text",
    [
        "", "17-0", "files", "files=", "files=1", "files=1-", "files=1-1,", "Files=1-1",
        "files=1-1;turkic=1-1",
        "files=1234567890123456-0", "files=1-1,files=1-1", "files=1-1\n", " files=1-1", "files=1-1," * 2000,
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused_by_the_name_of_the_field(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_positions(text, "the field")
    assert caught.value.path == "the field"
