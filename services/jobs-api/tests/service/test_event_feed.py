"""Live events and the logs made into one stream: in order, each once, whatever the subscription loses."""

from collections import deque

import pytest
from event_kit import completed, message_of, new_job, progress, publish_only, run_job, started
from platform_core.job_events import TURKIC, JobDomain, default_events_log, job_domain
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_history import EventHistory
from platform_workers.event_messages import Message
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis
from typing_extensions import override

from jobs_api.event_feed import LOOK_SECONDS, MOST_AT_ONCE, EventFeed
from jobs_api.published_events import FeedItem, PublishedEvent
from jobs_api.registry import FILES

SHOP = job_domain("shop")


class Deaf:
    """A subscription that hears only what the test says, as one whose messages are lost."""

    def __init__(self) -> None:
        self.messages: deque[Message | None] = deque()

    def connect(self) -> None:
        """Nothing to do."""

    def next(self, timeout: float) -> Message | None:
        """Give what the test put."""
        return self.messages.popleft() if self.messages else None

    def close(self) -> None:
        """Nothing to do."""


class World:
    """A feed, the server behind it, and the clock by which it looks at the logs."""

    def __init__(self, live: Deaf | None = None, limit: int = 500) -> None:
        self.redis = FakeRedis()
        self.clock = FakeClock()
        self.history = EventHistory(self.redis, limit=limit)
        self.feed = EventFeed(live or LiveEvents(self.redis), self.history, clock=self.clock)

    def all(self) -> list[FeedItem]:
        """Read until nothing comes, and look at the logs in between."""
        found = self.feed.next(0)
        self.clock.advance(LOOK_SECONDS)
        return [*found, *self.feed.next(0), *self.feed.next(0)]


def words(items: list[FeedItem]) -> list[str]:
    """Name what came: domain, job and word, with a star where it has an id."""
    return [
        f"{item.event['job_id']} {item.word}{'*' if item.entry_id else ''}"
        if isinstance(item, PublishedEvent)
        else f"gap {item['domain']} {item['fate']}"
        for item in items
    ]


JOB = ["j started*", "j progress", "j completed*"]


def test_events_come_in_the_order_of_publication_with_the_ids_of_the_log() -> None:
    world = World()
    world.feed.connect()
    run_job(world.redis, FILES, "j")
    found = world.feed.next(0)
    assert words(found) == JOB
    newest = world.history.newest(FILES)
    assert world.feed.positions == {FILES: newest}
    assert isinstance(found[2], PublishedEvent)
    assert (found[2].entry_id, found[2].positions) == (newest, {FILES: newest})
    assert world.all() == []


def test_what_was_logged_before_it_began_is_not_given_out() -> None:
    world = World()
    run_job(world.redis, FILES, "old")
    world.feed.connect()
    assert world.feed.positions == {FILES: world.history.newest(FILES)}
    run_job(world.redis, FILES, "j")
    assert words(world.all()) == JOB


def test_what_the_subscription_lost_is_found_in_the_log_within_a_look() -> None:
    world = World(Deaf())
    world.feed.connect()
    assert world.feed.next(0) == []
    run_job(world.redis, FILES, "j")
    run_job(world.redis, TURKIC, "k")
    assert world.feed.next(0) == []
    world.clock.advance(LOOK_SECONDS)
    # They are found, and given out when it is clear that nobody says them.
    assert world.feed.next(0) == []
    assert words(world.feed.next(0)) == ["j started*", "j completed*", "k started*", "k completed*"]


def test_a_look_can_be_asked_for() -> None:
    world = World(Deaf())
    world.feed.connect()
    world.feed.next(0)
    run_job(world.redis, FILES, "j")
    world.feed.look_soon()
    world.feed.next(0)
    assert words(world.feed.next(0)) == ["j started*", "j completed*"]


def test_an_entry_heard_brings_those_before_it_that_were_not() -> None:
    live = Deaf()
    world = World(live)
    world.feed.connect()
    job = new_job(world.redis, FILES, "j")
    job.publish_started()
    job.publish_completed(result_id="r", result_bytes=1)
    live.messages.append(message_of(completed(FILES)))
    assert words(world.feed.next(0)) == ["j started*", "j completed*"]


def test_an_entry_that_is_heard_after_it_was_given_out_is_not_given_out_again() -> None:
    live = Deaf()
    world = World(live)
    world.feed.connect()
    run_job(world.redis, FILES, "j")
    assert words(world.all()) == ["j started*", "j completed*"]
    live.messages.extend([message_of(started(FILES)), message_of(completed(FILES))])
    assert world.all() == []


def test_an_outcome_never_overtakes_the_progress_before_it() -> None:
    """The log is read ahead: here the progress is still on its way while the outcome is in the log."""
    live = Deaf()
    world = World(live)
    world.feed.connect()
    run_job(world.redis, FILES, "j")
    live.messages.append(message_of(started(FILES)))
    assert words(world.feed.next(0)) == ["j started*"]
    live.messages.extend([message_of(progress(FILES, 50)), message_of(completed(FILES))])
    assert words(world.feed.next(0)) == ["j progress", "j completed*"]


def test_what_waits_is_kept_while_there_is_more_to_hear() -> None:
    live = Deaf()
    world = World(live)
    world.feed.connect()
    run_job(world.redis, FILES, "j")
    live.messages.extend(message_of(progress(FILES, 50)) for _ in range(3 * MOST_AT_ONCE))
    world.feed.next(0)
    # The log was looked at, but what it holds may still be heard.
    assert set(words(world.feed.next(0))) == {"j progress"}
    assert world.feed.next(0)[-1:] != []
    assert words(world.feed.next(0)) == ["j started*", "j completed*"]


@pytest.mark.parametrize("domain", [FILES, SHOP])
def test_an_outcome_that_no_log_has_is_given_out_without_an_id(domain: JobDomain) -> None:
    world = World()
    run_job(world.redis, FILES, "old")
    world.feed.connect()
    publish_only(world.redis, completed(domain, "foreign"))
    assert words(world.all()) == ["foreign completed"]
    assert world.feed.positions.keys() == {FILES}


def test_a_domain_that_begins_later_is_read_from_its_beginning() -> None:
    world = World()
    world.feed.connect()
    world.feed.next(0)
    run_job(world.redis, SHOP, "j")
    assert words(world.feed.next(0)) == JOB


def test_a_log_is_read_to_its_end_however_many_pages_it_has() -> None:
    world = World(Deaf(), limit=2)
    world.feed.connect()
    for number in range(5):
        run_job(world.redis, FILES, f"j{number}")
    assert len(world.all()) == 10


def test_an_entry_that_is_no_event_moves_the_position_and_says_nothing() -> None:
    world = World(Deaf())
    world.redis.sadd("platform:domains", "files")
    world.feed.connect()
    entry_id = world.redis.xadd(default_events_log(FILES), {"other": "x"}, max_length=10)
    assert world.all() == []
    assert world.feed.positions == {FILES: entry_id}


@pytest.mark.parametrize("keep", [0, 1])
def test_what_was_trimmed_before_it_was_read_is_a_gap(keep: int) -> None:
    world = World(Deaf())
    run_job(world.redis, FILES, "old")
    world.feed.connect()
    run_job(world.redis, FILES, "j")
    trim(world.redis, keep)
    assert words(world.all()) == ["gap files trimmed", "j completed*"][: 1 + keep]
    assert world.all() == []
    run_job(world.redis, FILES, "k")
    assert words(world.all())[-2:] == ["k started*", "k completed*"]


def trim(redis: RedisClient, keep: int) -> None:
    redis.connection.xtrim(default_events_log(FILES), maxlen=keep, approximate=False)


def test_a_server_that_lost_its_data_is_a_gap_and_its_new_log_is_read() -> None:
    world = World(Deaf())
    run_job(world.redis, FILES, "old")
    world.feed.connect()
    world.redis.connection.flushall()
    assert words(world.all()) == ["gap files reset"]
    run_job(world.redis, FILES, "j")
    assert words(world.all()) == ["j started*", "j completed*"]


def test_when_redis_goes_away_in_the_middle_nothing_that_was_heard_is_lost() -> None:
    class Breaking(EventHistory):
        """Does not answer once."""

        broken = 0

        @override
        def domains(self) -> list[JobDomain]:
            self.broken += 1
            if self.broken == 2:
                raise RedisUnavailableError("away")
            return super().domains()

    redis, clock = FakeRedis(), FakeClock()
    history = Breaking(redis)
    feed = EventFeed(LiveEvents(redis), history, clock=clock)
    feed.connect()
    publish_only(redis, progress(FILES, 50))
    run_job(redis, FILES, "j")
    with pytest.raises(RedisUnavailableError):
        feed.next(0)
    feed.connect()
    assert words(feed.next(0)) == ["j progress", *JOB]
    feed.close()
