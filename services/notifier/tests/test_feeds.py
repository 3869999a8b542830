"""The two feeds: what each hears goes into the same intake, and nothing is dropped on the way."""

from collections.abc import Callable

import pytest
from notifier_kit import INTAKE, add_as, complete_job, completed, foreign_job, heard, our_job, publish
from platform_core.job_events import TURKIC, encode_job_event
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intake import Intake, Taken
from platform_notify.undecodable_store import UNHANDLED_KEY, UNKNOWN_KEY, UndecodableStore
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.event_log import EventLog, LogEntry
from platform_workers.event_messages import Heard, Message, undecodable
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from typing_extensions import override

from notifier.faulty_entries import MAX_TOLD, TELL_AGAIN_SECONDS, FaultyEntries
from notifier.feeds import MAX_TRIES, TAKE_OVER_SECONDS, LiveFeed, LogFeed
from notifier.metrics import Metrics
from notifier.tally import Tally

AWAY = RedisUnavailableError("away")


class Ear(LiveEvents):
    """Hears what the test says: messages, or faults of the connection."""

    def __init__(self, *messages: Message | Exception | None) -> None:
        self._messages = list(messages)
        self.closed = False

    @override
    def next(self, timeout: float) -> Message | None:
        message = self._messages.pop(0)
        if isinstance(message, Exception):
            self.closed = True
            raise message
        return message

    @override
    def is_connected(self) -> bool:
        return not self.closed

    @override
    def close(self) -> None:
        self.closed = True


class Bench:
    """Both feeds of one replica, and what a test asks about them."""

    def __init__(self, redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> None:
        self.redis, self.clock, self.logger = redis, clock, logger
        self.store = DeliveryStore(redis, clock)
        self.intake = Intake(
            redis=redis,
            store=self.store,
            clock=clock,
            logger=logger,
            config=INTAKE,
            wake=lambda: None,
        )
        self.metrics = Metrics()
        self.kept = UndecodableStore(redis, clock)
        self.tally = Tally(metrics=self.metrics, undecodable=self.kept)

    def live(self, events: LiveEvents, intake: Intake | None = None) -> LiveFeed:
        return LiveFeed(events=events, intake=intake or self.intake, tally=self.tally, logger=self.logger)

    def log(self, consumer: str = "one", intake: Intake | None = None, limit: int = 100) -> LogFeed:
        log = EventLog(
            self.redis, group="notifier", consumer=consumer, idle=lambda seconds: seconds, limit=limit
        )
        return LogFeed(
            log=log, intake=intake or self.intake, tally=self.tally, clock=self.clock, logger=self.logger
        )

    def queued(self) -> int:
        return self.store.sizes(EMAIL)["waiting"]

    def counted(self, line: str) -> bool:
        return line in self.metrics.exposition().decode().splitlines()

    def pending(self) -> int:
        state = self.redis.xgroup_state("turkic:events:log", "notifier")
        assert state is not None
        return state["pending"]


@pytest.fixture
def bench(redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> Bench:
    return Bench(redis, clock, logger)


class FailingIntake(Intake):
    """Fails as the test says, event by event, and passes the others on."""

    def __init__(self, intake: Intake, *faults: Exception | None) -> None:
        self._inner = intake
        self._faults = list(faults)

    @override
    def take_live(self, heard: Heard) -> Taken:
        return self._or_fail(lambda: self._inner.take_live(heard))

    @override
    def take_logged(self, heard: Heard, *, run: int, ended_at: object, cancelled: bool = False) -> Taken:
        return self._or_fail(lambda: self._inner.take_live(heard))

    def _or_fail(self, take: Callable[[], Taken]) -> Taken:
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        return take()


def is_subscribed(feed: LiveFeed) -> bool:
    return feed.subscribed


# -- live ---------------------------------------------------------------------------------------------


def test_a_published_outcome_is_queued(bench: Bench) -> None:
    with LiveEvents(bench.redis) as events:
        feed = bench.live(events)
        assert not is_subscribed(feed)
        events.connect()
        foreign_job(bench.redis)
        publish(bench.redis, completed())
        feed.step()
        assert is_subscribed(feed)
        assert bench.queued() == 1
        feed.close()
        assert not events.is_connected()
    assert bench.counted('notifier_events_total{feed="live",type="job.completed.v1"} 1.0')
    assert bench.counted('notifier_intake_total{feed="live",result="queued"} 1.0')
    assert bench.counted('notifier_deliveries_total{reason="",state="queued"} 1.0')


def test_a_quiet_moment_changes_nothing(bench: Bench) -> None:
    bench.live(Ear(None)).step()
    assert bench.queued() == 0


def test_what_cannot_be_decoded_is_counted_and_kept(bench: Bench) -> None:
    feed = bench.live(Ear(undecodable("turkic:events", "no JSON", b"\xff")))
    feed.step()
    assert [message["reason"] for message in bench.kept.latest()] == ["no JSON"]
    assert bench.counted('notifier_undecodable_total{feed="live"} 1.0')
    assert bench.logger.lines == []


def test_what_nobody_knows_is_counted_and_kept_apart(bench: Bench) -> None:
    bench.live(
        Ear(
            {
                "kind": "unknown",
                "channel": "turkic:events",
                "event_type": "turkic.job.paused.v7",
                "data": b"{}",
            }
        )
    ).step()
    assert bench.kept.latest() == []
    assert len(bench.kept.latest(UNKNOWN_KEY)) == 1
    assert bench.counted('notifier_events_total{feed="live",type="unknown"} 1.0')
    assert bench.logger.lines == []


def test_what_meets_an_outage_while_it_is_kept_is_counted_once(
    fake_redis: FakeRedis, clock: FakeClock
) -> None:
    bench = Bench(fake_redis, clock, FakeLogger())
    feed = bench.live(Ear(undecodable("turkic:events", "no JSON", b"{")))
    fake_redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        feed.step()
    fake_redis.server.connected = True
    feed.step()
    assert len(bench.kept.latest()) == 1
    assert bench.counted('notifier_undecodable_total{feed="live"} 1.0')


def test_a_message_in_hand_outlives_an_outage(bench: Bench) -> None:
    foreign_job(bench.redis)
    feed = bench.live(Ear(heard(completed())), FailingIntake(bench.intake, AWAY, AWAY))
    for _ in range(2):
        with pytest.raises(RedisUnavailableError):
            feed.step()
    feed.step()
    assert bench.queued() == 1


def test_an_event_that_meets_a_fault_is_put_aside_and_can_be_published_again(bench: Bench) -> None:
    """A foreign publisher writes no log: what was let go of here was a mail lost without a trace."""
    foreign_job(bench.redis, "j1")
    foreign_job(bench.redis, "j2")
    ear = Ear(heard(completed("j1")), heard(completed("j2")))
    feed = bench.live(ear, FailingIntake(bench.intake, ZeroDivisionError("by zero")))
    feed.step()
    feed.step()
    assert bench.queued() == 1, "the fault of one keeps no other back"
    (kept,) = bench.kept.latest(UNHANDLED_KEY)
    assert (kept["channel"], kept["reason"]) == ("turkic:events", "ZeroDivisionError: by zero")
    assert bench.counted('notifier_unhandled_total{feed="live"} 1.0')
    (line,) = bench.logger.lines
    assert (line["level"], line["event"]) == ("error", "notifier.message_put_aside")
    with LiveEvents(bench.redis) as events:
        events.connect()
        assert [message["data"] for message in bench.kept.publish_again()] == [kept["data"]]
        bench.live(events).step()
    assert bench.queued() == 2
    assert bench.kept.latest(UNHANDLED_KEY) == []


def test_a_huge_event_that_meets_a_fault_is_kept_as_much_as_its_mail_would_have_said(bench: Bench) -> None:
    event = completed()
    event["result_id"] = "r" * 1_000_000
    bench.live(Ear(heard(event)), FailingIntake(bench.intake, ZeroDivisionError())).step()
    (kept,) = bench.kept.latest(UNHANDLED_KEY)
    assert kept["data"] == encode_job_event({**event, "result_id": "r" * 2000})


def test_what_cannot_even_be_put_aside_is_tried_again_for_a_while(bench: Bench) -> None:
    """A person used the key for something else. The messages behind must be heard all the same."""
    bench.redis.set("notify:unhandled", "x")
    foreign_job(bench.redis, "j2")
    ear = Ear(heard(completed("j1")), heard(completed("j2")))
    faults = [ZeroDivisionError() for _ in range(MAX_TRIES)]
    feed = bench.live(ear, FailingIntake(bench.intake, *faults))
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(RedisCommandError):
            feed.step()
    feed.step()
    (line,) = bench.logger.lines
    assert (line["level"], line["event"]) == ("error", "notifier.message_lost")
    assert line["fields"]["data"] == encode_job_event(completed("j1"))
    feed.step()
    assert bench.queued() == 1


def test_what_cannot_even_be_kept_as_undecodable_is_put_aside(bench: Bench) -> None:
    bench.redis.set("notify:undecodable", "x")
    bench.live(Ear(undecodable("turkic:events", "no JSON", b"\xff{"))).step()
    (kept,) = bench.kept.latest(UNHANDLED_KEY)
    assert kept["data"] == "\\xff{"


def test_an_event_to_put_aside_outlives_an_outage(fake_redis: FakeRedis, clock: FakeClock) -> None:
    bench = Bench(fake_redis, clock, FakeLogger())
    foreign_job(fake_redis)
    feed = bench.live(Ear(heard(completed())), FailingIntake(bench.intake, ZeroDivisionError()))
    fake_redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        feed.step()
    fake_redis.server.connected = True
    feed.step()
    assert bench.queued() == 1
    assert bench.kept.latest(UNHANDLED_KEY) == []


def test_without_a_connection_it_is_not_subscribed(bench: Bench) -> None:
    feed = bench.live(Ear(None, AWAY))
    feed.step()
    assert is_subscribed(feed)
    with pytest.raises(RedisUnavailableError):
        feed.step()
    assert not is_subscribed(feed)


# -- the log ------------------------------------------------------------------------------------------


def test_what_was_logged_is_queued_and_acknowledged(bench: Bench) -> None:
    complete_job(bench.redis)
    feed = bench.log()
    feed.step()
    assert feed.read_at == 0.0
    assert bench.queued() == 1
    assert bench.pending() == 0
    assert bench.counted('notifier_intake_total{feed="log",result="queued"} 1.0')
    assert bench.counted('notifier_intake_total{feed="log",result="ignored"} 1.0')
    feed.close()
    assert bench.redis.xgroup_readers("turkic:events:log", "notifier") == []


def test_both_feeds_make_one_delivery_of_an_outcome(bench: Bench) -> None:
    complete_job(bench.redis)
    bench.log().step()
    bench.live(Ear(heard(completed()))).step()
    assert bench.queued() == 1
    (delivery,) = bench.store.of_job(TURKIC, "j1")
    assert delivery["run"] == 1


def test_what_a_killed_replica_had_in_its_hand_is_taken_over_at_start(bench: Bench) -> None:
    complete_job(bench.redis)
    dead = EventLog(bench.redis, group="notifier", consumer="dead", idle=lambda seconds: seconds)
    assert len(dead.next(0)) == 2
    bench.log("heir").step()
    assert bench.queued() == 1
    assert bench.pending() == 0


def test_later_only_what_was_left_for_a_while_is_taken_over(bench: Bench) -> None:
    our_job(bench.redis)
    feed = bench.log("one")
    feed.step()
    complete_job(bench.redis, "j2")
    other = EventLog(bench.redis, group="notifier", consumer="two", idle=lambda seconds: seconds)
    assert len(other.next(0)) == 2
    bench.clock.advance(TAKE_OVER_SECONDS)
    feed.step()
    assert bench.queued() == 0, "the other one has it since a moment only"
    assert bench.pending() == 2


def test_an_entry_that_nobody_can_handle_keeps_no_other_back(bench: Bench) -> None:
    complete_job(bench.redis, "j1")
    complete_job(bench.redis, "j2")
    feed = bench.log(intake=FailingIntake(bench.intake, None, ZeroDivisionError("by zero")))
    feed.step()
    assert bench.queued() == 1
    assert bench.pending() == 1, "it stays unfinished"
    (line,) = bench.logger.lines
    assert (line["level"], line["event"]) == ("error", "notifier.entry_failed")
    assert line["fields"]["fault"] == "ZeroDivisionError: by zero"
    bench.log("next start").step()
    assert bench.queued() == 2
    assert bench.pending() == 0


def test_an_entry_that_fails_again_and_again_is_told_once(bench: Bench) -> None:
    our_job(bench.redis)
    faults = [ZeroDivisionError("by zero") for _ in range(4)]
    feed = bench.log(intake=FailingIntake(bench.intake, *faults))
    feed.step()
    feed._took_over_at = None
    feed.step()
    assert bench.pending() == 1
    assert bench.logger.events() == ["notifier.entry_failed"]
    assert bench.counted('notifier_unhandled_total{feed="log"} 2.0')


def test_an_outage_in_the_middle_leaves_everything_unfinished(bench: Bench) -> None:
    complete_job(bench.redis)
    feed = bench.log(intake=FailingIntake(bench.intake, AWAY))
    with pytest.raises(RedisUnavailableError):
        feed.step()
    assert feed.read_at is None
    assert bench.pending() == 2
    feed.step()
    assert bench.queued() == 1


def test_an_undecodable_entry_is_kept_and_finished(bench: Bench) -> None:
    our_job(bench.redis)
    bench.redis.xadd("turkic:events:log", {"event": "{}"}, max_length=10)
    bench.log().step()
    assert len(bench.kept.latest()) == 1
    assert bench.pending() == 0
    assert bench.counted('notifier_undecodable_total{feed="log"} 1.0')


def test_what_was_left_unfinished_is_taken_over_page_by_page(bench: Bench) -> None:
    """Of 40,000 entries in one step a stop had to wait for all."""
    for number in range(5):
        complete_job(bench.redis, f"j{number}")
    dead = EventLog(bench.redis, group="notifier", consumer="dead", idle=lambda seconds: seconds)
    assert len(dead.next(0)) == 10
    feed = bench.log("heir", limit=4)
    told: list[int] = []
    for _ in range(4):
        feed.step()
        told.append(bench.pending())
    assert told == [6, 2, 0, 0]
    assert bench.queued() == 5


def test_what_fails_in_the_middle_of_taking_over_is_taken_over_anew(bench: Bench) -> None:
    for number in range(3):
        complete_job(bench.redis, f"j{number}")
    dead = EventLog(bench.redis, group="notifier", consumer="dead", idle=lambda seconds: seconds)
    assert len(dead.next(0)) == 6
    feed = bench.log("heir", FailingIntake(bench.intake, None, None, None, AWAY), limit=2)
    feed.step()
    with pytest.raises(RedisUnavailableError):
        feed.step()
    for _ in range(3):
        feed.step()
    assert (bench.pending(), bench.queued()) == (0, 3)


def test_an_entry_with_a_made_up_time_is_taken_in(bench: Bench) -> None:
    complete_job(bench.redis, "j1")
    fields = bench.redis.xrange("turkic:events:log")[-1]["fields"]
    bench.redis.connection.delete("turkic:events:log")
    add_as(bench.redis, f"{2**64 - 1}-0", fields)
    bench.log().step()
    assert (bench.pending(), bench.queued()) == (0, 1)


def test_a_key_that_is_no_log_is_told_and_the_others_are_read(bench: Bench) -> None:
    bench.redis.sadd("platform:domains", "garden")
    bench.redis.set("garden:events:log", "x")
    complete_job(bench.redis, "j1")
    feed = bench.log()
    for _ in range(2):
        feed.step()
    assert bench.queued() == 1
    assert bench.logger.events("error") == ["notifier.log_is_none"]
    assert feed.troubles() == [
        "The key garden:events:log is no event log, so its domain is heard live at best."
    ]
    bench.redis.delete("garden:events:log")
    feed.step()
    assert feed.troubles() == []


# -- entries that cannot be handled ---------------------------------------------------------------------


def entry_named(entry_id: str) -> LogEntry:
    return {
        "stream": "turkic:events:log",
        "entry_id": entry_id,
        "domain": TURKIC,
        "run": 1,
        "cancelled": False,
        "message": heard(completed()),
    }


def test_an_entry_that_failed_and_was_handled_is_news_when_it_fails_again(
    clock: FakeClock, logger: FakeLogger
) -> None:
    faulty, entry = FaultyEntries(clock=clock, logger=logger), entry_named("1-0")
    for _ in range(2):
        faulty.tell(entry, ZeroDivisionError())
    faulty.forget(entry)
    faulty.tell(entry, ZeroDivisionError())
    assert logger.events() == ["notifier.entry_failed"] * 2


def test_an_entry_that_fails_for_hours_is_told_each_hour(clock: FakeClock, logger: FakeLogger) -> None:
    faulty, entry = FaultyEntries(clock=clock, logger=logger), entry_named("1-0")
    for _ in range(5):
        faulty.tell(entry, ZeroDivisionError())
        clock.advance(TELL_AGAIN_SECONDS / 2)
    assert len(logger.lines) == 3


def test_after_a_thousand_faulty_entries_new_ones_are_told_when_old_ones_are_gone(
    clock: FakeClock, logger: FakeLogger
) -> None:
    """The names of the first thousand stayed for ever, and no other fault was ever told."""
    faulty = FaultyEntries(clock=clock, logger=logger)
    for number in range(MAX_TOLD + 5):
        faulty.tell(entry_named(f"{number}-0"), ZeroDivisionError())
    assert len(logger.lines) == MAX_TOLD
    clock.advance(TELL_AGAIN_SECONDS)
    faulty.tell(entry_named("9999-0"), ZeroDivisionError())
    assert len(logger.lines) == MAX_TOLD + 1
