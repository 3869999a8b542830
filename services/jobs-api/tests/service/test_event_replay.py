"""Reading again what a client has missed: all of it, in order, over outages, from several logs."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest
from event_kit import new_job, run_job, told
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from platform_core.job_events import DIGITS, TURKIC, JobDomain, default_events_log
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_history import EventHistory, HistoryPage
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from typing_extensions import override

from jobs_api.event_feed import EventFeed
from jobs_api.event_hub import EventHub
from jobs_api.event_listener import Wanted
from jobs_api.event_positions import Positions, read_positions
from jobs_api.event_replay import ENTRIES_AT_ONCE, Replay
from jobs_api.http.event_stream import EventStream
from jobs_api.http.event_texts import SERVER_SENT
from jobs_api.published_events import PublishedEvent
from jobs_api.registry import FILES

EVERYTHING: Wanted = (None, None, None)


def ends(redis: RedisClient) -> dict[JobDomain, str]:
    history = EventHistory(redis)
    return {domain: history.newest(domain) for domain in history.domains()}


def all_of(replay: Replay) -> list[str]:
    names: list[str] = []
    done = False
    while not done:
        try:
            read = replay.next()
        except RedisUnavailableError:
            names.append("away")
            continue
        done = read["is_done"]
        names += [
            f"{item.event['job_id']} {item.word}"
            if isinstance(item, PublishedEvent)
            else f"gap {item['domain']} {item['fate']}"
            for item in read["items"]
        ]
    return names


def test_a_long_history_is_read_in_parts_and_whole() -> None:
    redis = FakeRedis()
    for number in range(ENTRIES_AT_ONCE):
        run_job(redis, FILES, f"j{number}")
    end = ends(redis)
    replay = Replay(EventHistory(redis, limit=7), EVERYTHING, {"start": {}, "end": end})
    first = replay.next()
    assert (len(first["items"]), first["is_done"]) == (ENTRIES_AT_ONCE, False)
    assert len(all_of(replay)) == ENTRIES_AT_ONCE
    assert replay.positions == end


def test_it_goes_on_where_it_was_when_redis_comes_back() -> None:
    class Breaking(EventHistory):
        """Does not answer every third time."""

        asked = 0

        @override
        def page(self, domain: JobDomain, *, after: str, last: str = "+") -> HistoryPage:
            self.asked += 1
            if self.asked % 3 == 0:
                raise RedisUnavailableError("away")
            return super().page(domain, after=after, last=last)

    redis = FakeRedis()
    for number in range(6):
        run_job(redis, FILES, f"j{number}")
    names = all_of(Replay(Breaking(redis, limit=2), EVERYTHING, {"start": {}, "end": ends(redis)}))
    assert names.count("away") > 1
    assert [name for name in names if name != "away"] == [
        f"j{number} {word}" for number in range(6) for word in ("started", "completed")
    ]


def test_only_what_is_wanted_is_given_and_only_its_logs_are_read() -> None:
    redis = FakeRedis()
    run_job(redis, FILES, "a", 7)
    run_job(redis, FILES, "b", 8)
    run_job(redis, TURKIC, "c", 8)
    redis.xadd(default_events_log(FILES), {"other": "x"}, max_length=10)
    history, missed = EventHistory(redis), {"start": {}, "end": ends(redis)}
    wanted: dict[Wanted, list[str]] = {
        (FILES, None, None): ["a", "b"],
        (None, None, 8): ["b", "c"],
        (None, "a", None): ["a"],
        (TURKIC, None, 7): [],
    }
    for want, jobs in wanted.items():
        names = all_of(Replay(history, want, {"start": {}, "end": missed["end"]}))
        assert sorted(names) == [f"{job} {word}" for job in jobs for word in ("completed", "started")]


def test_gaps_are_told_and_the_rest_is_read() -> None:
    redis = FakeRedis()
    run_job(redis, FILES, "a")
    run_job(redis, TURKIC, "b")
    redis.connection.xtrim(default_events_log(FILES), maxlen=1, approximate=False)
    end = ends(redis)
    start: Positions = {DIGITS: "5-0", TURKIC: end[TURKIC]}
    names = all_of(Replay(EventHistory(redis), EVERYTHING, {"start": start, "end": end}))
    assert names == ["gap digits reset", "gap files trimmed", "a completed"]


def test_a_client_that_is_ahead_of_this_process_has_no_gap() -> None:
    redis = FakeRedis()
    run_job(redis, FILES, "a")
    assert all_of(Replay(EventHistory(redis), EVERYTHING, {"start": ends(redis), "end": {}})) == []


# -- any history, any reconnection --------------------------------------------------------------------------

Step: TypeAlias = tuple[str, int]
STEPS: SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(["run", "start", "progress", "hear", "back", "look"]), st.integers(0, 2)),
    max_size=25,
)


def for_all_steps(test: Callable[[list[Step]], None]) -> Callable[[], None]:
    """`given`, typed: hypothesis declares its decorator with `Callable[..., None]`."""
    decorate: Callable[[Callable[[list[Step]], None]], Callable[[], None]] = given(STEPS)
    return decorate(settings(max_examples=60, deadline=None)(test))


class Client:
    """Follows everything; comes back from any of the ids it has got, as after a broken connection."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._id = ""
        self.kept: list[tuple[str, str]] = []
        self._task = asyncio.create_task(self._follow())

    async def come_back(self) -> None:
        await self.leave()
        self._task = asyncio.create_task(self._follow())

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        since = read_positions(self._id, "id") if self._id else None
        async for texts in EventStream(self._hub, EVERYTHING, since, SERVER_SENT, 60).parts():
            for message in told("".join(texts).splitlines()):
                self._id = message["id"] or self._id
                if message["name"] in {"started", "completed"}:
                    self.kept.append((str(message["data"]["job_id"]), message["name"]))


def publish(redis: RedisClient, step: str, domain: JobDomain, job_id: str) -> list[tuple[str, str]]:
    """Do the step, if it is a job's; return what a client must get of it."""
    if step == "run":
        run_job(redis, domain, job_id)
        return [(job_id, "started"), (job_id, "completed")]
    if step == "start":
        new_job(redis, domain, job_id).publish_started()
        return [(job_id, "started")]
    if step == "progress":
        job = new_job(redis, domain, job_id)
        redis.hset(f"{domain}:job:{job_id}", {"status": "processing"})
        job.publish_progress(50)
    return []


@for_all_steps
def test_whatever_happens_each_event_comes_once(steps: list[Step]) -> None:
    """Jobs of three domains, a queue of two; the client leaves at any time, the hub hears at any time."""

    async def work() -> None:
        redis, clock = FakeRedis(), FakeClock()
        history = EventHistory(redis, limit=2)
        feed = EventFeed(LiveEvents(redis), history, clock=clock)
        hub = EventHub(feed, history, logger=FakeLogger(), queue_length=2)
        feed.connect()
        hub._tell_found(feed.positions)
        client = Client(hub)
        await settled()
        published: list[tuple[str, str]] = []
        for number, (step, which) in enumerate([*steps, ("run", 0), ("look", 0), ("hear", 0), ("hear", 0)]):
            published += publish(redis, step, (FILES, TURKIC, DIGITS)[which], f"j{number}")
            if step == "look":
                clock.advance(1)
            elif step == "back":
                await client.come_back()
            elif step == "hear":
                hub._tell(feed.next(0), feed.positions)
            await settled()
        async with asyncio.timeout(20):
            for _ in iter(lambda: len(client.kept) < len(published), False):
                await asyncio.sleep(0)
        await settled()
        await client.leave()
        await hub.stop()
        assert sorted(client.kept) == sorted(published)

    async def settled() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(work())


@pytest.mark.parametrize("wanted", [EVERYTHING, (FILES, None, None)])
def test_a_position_that_was_given_up_is_caught_up_from_the_hubs(wanted: Wanted) -> None:
    """The client's id is of a log that is gone; what came while that was found out is not passed over."""

    async def work() -> list[str]:
        redis = FakeRedis()
        history = EventHistory(redis)
        feed = EventFeed(LiveEvents(redis), history, clock=FakeClock())
        hub = EventHub(feed, history, logger=FakeLogger())
        feed.connect()
        hub._tell_found(feed.positions)
        names: list[str] = []
        since: Positions = {FILES: "999999999999999-0"}
        parts = EventStream(hub, wanted, since, SERVER_SENT, 60).parts()
        async with asyncio.timeout(20):
            async for texts in parts:
                if "retry" in texts[0]:
                    # Before the stream has asked Redis about its id: live, and taken for known.
                    continue
                names += [message["name"] for message in told("".join(texts).splitlines()) if message["name"]]
                if names == ["gap"] and not redis.keys("*"):
                    run_job(redis, FILES, "j")
                    hub._tell(feed.next(0), feed.positions)
                if "completed" in names:
                    break
        await hub.stop()
        return names

    names = asyncio.run(work())
    assert names[0] == "gap"
    assert [name for name in names if name != "progress"] == ["gap", "started", "completed"]
