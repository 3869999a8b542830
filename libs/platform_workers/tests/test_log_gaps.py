"""A log that was trimmed before it was read: that is noticed, and the job store tells what it said."""

from datetime import UTC, datetime

import pytest
from platform_core.clock import Clock, to_millis
from platform_core.event_families import KnownEventV1
from platform_core.job_events import default_events_channel, default_events_log, job_domain
from typing_extensions import override

from platform_workers.domains import DOMAINS_KEY
from platform_workers.errors import RedisCommandError
from platform_workers.event_log import EventLog, LogEntry
from platform_workers.finished_jobs import finished_since
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_control import make_job_control
from platform_workers.log_gaps import SWEEP_MARGIN_MS, LogGap, find_gap, is_covered
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis

GROUP = "readers"
SHOP = job_domain("shop")
LOG = default_events_log(SHOP)


@pytest.fixture
def now() -> FakeClock:
    """The log's ids carry the server's time, so the jobs must be finished by the same clock."""
    return FakeClock(datetime.now(UTC))


def job(redis: RedisClient, clock: Clock, job_id: str) -> JobContext:
    redis.hset(f"{SHOP}:job:{job_id}", {"status": "processing", "user_id": "7", "run": "1"})
    return make_job_context(
        redis=redis,
        domain=SHOP,
        events_channel=default_events_channel(SHOP),
        job_id=job_id,
        user_id=7,
        queue_name="default",
        clock=clock,
    )


def complete(redis: RedisClient, clock: Clock, *names: str) -> None:
    for name in names:
        job(redis, clock, name).publish_completed(result_id=f"result of {name}", result_bytes=5)


def event_log(redis: RedisClient, consumer: str = "one", limit: int = 100) -> EventLog:
    return EventLog(
        redis, group=GROUP, consumer=consumer, idle=lambda seconds: seconds, domains=[SHOP], limit=limit
    )


def trim(redis: RedisClient, keep: int) -> None:
    redis.connection.xtrim(LOG, maxlen=keep, approximate=False)


def event_of(entry: LogEntry) -> KnownEventV1:
    message = entry["message"]
    assert message["kind"] == "event"
    return message["event"]


def missed_jobs(log: EventLog) -> list[str]:
    return [event_of(entry)["job_id"] for gap in log.gaps() for page in log.missed(gap) for entry in page]


# -- noticing ---------------------------------------------------------------------------------------------


def test_no_log_has_no_gap(redis: RedisClient) -> None:
    assert event_log(redis).gaps() == []
    assert not redis.keys("*")


def test_a_whole_log_has_no_gap_for_a_new_group_nor_while_it_is_read(
    redis: RedisClient, now: FakeClock
) -> None:
    complete(redis, now, "a", "b", "c")
    log = event_log(redis, limit=2)
    for _ in range(3):
        assert log.gaps() == []
        log.acknowledge(log.next(0.01))
    assert log.gaps() == []


def test_what_was_read_may_be_trimmed(redis: RedisClient, now: FakeClock) -> None:
    complete(redis, now, "a", "b", "c")
    log = event_log(redis, limit=2)
    log.acknowledge(log.next(0.01))
    trim(redis, 2)
    assert log.gaps() == []


def test_unread_entries_that_were_trimmed_are_a_gap_since_the_last_one_read(
    redis: RedisClient, now: FakeClock
) -> None:
    complete(redis, now, "a", "b", "c", "d")
    log = event_log(redis, limit=1)
    [first] = log.next(0.01)
    log.acknowledge([first])
    trim(redis, 1)
    [gap] = log.gaps()
    assert (gap["stream"], gap["domain"]) == (LOG, SHOP)
    assert gap["since_ms"] == int(first["entry_id"].partition("-")[0])


def test_a_group_that_begins_on_a_trimmed_log_has_a_gap_from_the_beginning(
    redis: RedisClient, now: FakeClock
) -> None:
    complete(redis, now, "a", "b")
    trim(redis, 1)
    assert [gap["since_ms"] for gap in event_log(redis).gaps()] == [0]


def test_a_log_that_was_emptied_is_a_gap_until_it_is_swept(redis: RedisClient, now: FakeClock) -> None:
    complete(redis, now, "a", "b")
    log = event_log(redis, limit=1)
    log.acknowledge(log.next(0.01))
    trim(redis, 0)
    [gap] = log.gaps()
    log.swept(gap)
    assert log.gaps() == []


def test_what_a_dead_reader_had_in_its_hand_is_missed_when_it_was_trimmed(
    redis: RedisClient, now: FakeClock
) -> None:
    """Taking over finds nothing of it any more."""
    complete(redis, now, "a", "b", "c")
    [held] = event_log(redis, consumer="dead", limit=1).next(0.01)
    log = event_log(redis)
    log.acknowledge(log.next(0.01))
    assert log.gaps() == []
    trim(redis, 1)
    [gap] = log.gaps()
    assert gap["since_ms"] <= int(held["entry_id"].partition("-")[0])
    assert missed_jobs(log) == ["a", "b", "c"]


@pytest.mark.parametrize("number", ["0", "3"])
def test_a_gap_before_an_entry_in_hand_ends_just_before_it(redis: RedisClient, number: str) -> None:
    """Whichever number an id ends with, the entry itself is among the missing."""
    redis.sadd(DOMAINS_KEY, SHOP)
    for entry_id in (f"1000-{number}", "2000-0"):
        redis.connection.xadd(LOG, {"event": "{}", "run": "1"}, id=entry_id)
    event_log(redis, limit=1).next(0.01)
    trim(redis, 1)
    gap = find_gap(redis, LOG, SHOP, GROUP)
    assert gap is not None
    assert gap["since_ms"] == (999 if number == "0" else 1000)
    assert (gap["kept_from"], gap["newest"]) == ("2000-0", "2000-0")


def test_ids_of_the_same_millisecond_are_told_apart(redis: RedisClient) -> None:
    for entry_id in ("1000-9", "1000-10", "1000-11"):
        redis.connection.xadd(LOG, {"event": "{}", "run": "1"}, id=entry_id)
    log = event_log(redis, limit=1)
    log.acknowledge(log.next(0.01))
    trim(redis, 2)
    # The server cannot tell that nothing was between 9 and 10: one look too many does no harm.
    assert [gap["kept_from"] for gap in log.gaps()] == ["1000-10"]
    log.acknowledge(log.next(0.01))
    assert log.gaps() == []


def test_a_gap_is_covered_by_a_sweep_that_began_after_the_last_missing_entry(
    redis: RedisClient, now: FakeClock
) -> None:
    complete(redis, now, "a", "b", "c", "d")
    trim(redis, 3)
    log = event_log(redis, limit=1)
    [gap] = log.gaps()
    log.swept(gap)
    assert log.gaps() == []
    trim(redis, 1)
    assert log.gaps() == []  # b and c were in the job store when it was swept
    complete(redis, now, "e", "f")
    trim(redis, 1)
    assert [gap["since_ms"] for gap in log.gaps()] == [0]  # e is missing now
    assert not is_covered({**gap, "kept_from": "1000-2"}, "1000-1")
    assert is_covered({**gap, "kept_from": "1000-1"}, "1000-1")


# -- reading what was missed ------------------------------------------------------------------------------


def test_the_job_store_tells_what_the_log_has_lost(redis: RedisClient, now: FakeClock) -> None:
    complete(redis, now, "a")
    now.advance(1.0)
    job(redis, now, "b").publish_failed("user", "bad row")
    log = event_log(redis, limit=1)
    trim(redis, 0)
    [gap] = log.gaps()
    entries = [entry for page in log.missed(gap) for entry in page]
    assert [event_of(entry) for entry in entries] == [
        {
            "type": "shop.job.completed.v1",
            "domain": SHOP,
            "job_id": "a",
            "user_id": 7,
            "result_id": "result of a",
            "result_bytes": 5,
        },
        {
            "type": "shop.job.failed.v1",
            "domain": SHOP,
            "job_id": "b",
            "user_id": 7,
            "error_kind": "user",
            "message": "bad row",
        },
    ]
    assert entries[1]["entry_id"] == f"{to_millis(now.now())}-0"
    assert [entry["run"] for entry in entries] == [1, 1]


def test_a_sweep_begins_a_little_before_the_gap(redis: RedisClient, now: FakeClock) -> None:
    log = event_log(redis)
    since_ms = to_millis(now.now())
    old, late = since_ms - SWEEP_MARGIN_MS - 1, since_ms - SWEEP_MARGIN_MS
    for name, score in (("old", old), ("late", late), ("new", since_ms + 5)):
        redis.zadd(f"{SHOP}:jobs:finished", {f"{name} - -": score})
        redis.hset(f"{SHOP}:job:{name}", {"status": "failed", "user_id": "1"})
    gap: LogGap = {
        "stream": LOG,
        "domain": SHOP,
        "since_ms": since_ms,
        "kept_from": "9-0",
        "newest": "9-0",
    }
    found = [event_of(entry)["job_id"] for page in log.missed(gap) for entry in page]
    assert found == ["late", "new"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_every_finished_job_is_on_one_page_also_of_the_same_millisecond(
    redis: RedisClient, limit: int
) -> None:
    scores = {"a": 5, "b": 10, "c": 10, "d": 10, "e": 10, "f": 11, "g": 12}
    for name, score in scores.items():
        redis.zadd(f"{SHOP}:jobs:finished", {f"{name} - -": score})
        redis.hset(f"{SHOP}:job:{name}", {"status": "completed", "user_id": "1"})
    pages = list(finished_since(redis, SHOP, 10, limit=limit))
    assert max(len(page) for page in pages) <= limit
    found = [found["job_id"] for page in pages for found in page]
    assert found == ["b", "c", "d", "e", "f", "g"]


def test_a_record_that_is_gone_or_runs_again_has_no_outcome(redis: RedisClient) -> None:
    redis.zadd(f"{SHOP}:jobs:finished", {"gone - -": 1, "again - -": 2})
    redis.hset(f"{SHOP}:job:again", {"status": "processing", "user_id": "1"})
    assert list(finished_since(redis, SHOP, 0, limit=10)) == [[]]


def test_a_record_that_cannot_be_read_is_kept_for_the_operator(redis: RedisClient, now: FakeClock) -> None:
    redis.sadd(DOMAINS_KEY, SHOP)
    complete(redis, now, "a")
    redis.hset(f"{SHOP}:job:a", {"user_id": "nobody"})
    trim(redis, 0)
    log = event_log(redis)
    [gap] = log.gaps()
    [[entry]] = log.missed(gap)
    message = entry["message"]
    assert message["kind"] == "undecodable"
    assert message["reason"].startswith("the record of the finished job a cannot be read: user_id")
    assert (message["channel"], entry["run"]) == (LOG, 1)


def test_a_cancelled_job_ends_as_failed(redis: RedisClient) -> None:
    redis.zadd(f"{SHOP}:jobs:finished", {"a - -": 1})
    redis.hset(f"{SHOP}:job:a", {"status": "cancelled", "user_id": "1", "run": "2"})
    [[found]] = finished_since(redis, SHOP, 0, limit=10)
    event = found["event"]
    assert event is not None
    assert (event["type"], found["run"]) == ("shop.job.failed.v1", 2)


def test_what_is_missed_of_a_cancelled_job_says_so(redis: RedisClient, now: FakeClock) -> None:
    """Or a job that is run again between the look into the store and the intake would be mailed about."""
    complete(redis, now, "a")
    job(redis, now, "b")
    make_job_control(redis=redis, clock=now).cancel(SHOP, "b")
    trim(redis, 0)
    log = event_log(redis)
    [gap] = log.gaps()
    assert [entry["cancelled"] for page in log.missed(gap) for entry in page] == [False, True]


def test_a_key_that_is_no_log_keeps_the_other_domains_logs_from_nothing(redis: RedisClient) -> None:
    """One `SET <domain>:events:log` by hand stopped the reading of every domain."""
    redis.sadd(DOMAINS_KEY, SHOP, "garden")
    redis.set("garden:events:log", "x")
    complete(redis, FakeClock(), "j1")
    log = EventLog(redis, group=GROUP, consumer="one", idle=lambda seconds: seconds)
    assert log.gaps() == []
    assert [*log.strangers] == ["garden:events:log"]
    entries = log.next(0)
    assert [event_of(entry)["job_id"] for entry in entries] == ["j1"]
    assert len([*log.unfinished(min_idle_seconds=0)]) == 1
    log.acknowledge(entries)
    log.forget_readers(idle_seconds=0)
    assert [*log.states()] == [SHOP]
    redis.delete("garden:events:log")
    assert log.gaps() == []
    assert [*log.strangers] == []


def test_a_refusal_of_redis_is_not_taken_for_a_key_that_is_no_log() -> None:
    class Refusing(FakeRedis):
        @override
        def run_script(self, call: ScriptCall) -> list[str]:
            raise RedisCommandError("NOPERM this user has no permissions")

    with pytest.raises(RedisCommandError):
        event_log(Refusing()).gaps()
