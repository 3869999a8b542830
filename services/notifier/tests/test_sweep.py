"""The log was trimmed before it was read: the job store tells what it said, and each mail leaves once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from notifier_kit import INTAKE, complete_job, mails, settings_for, told_jobs, wait_until
from platform_core.job_events import TURKIC
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intake import Intake, Taken
from platform_notify.undecodable_store import UNHANDLED_KEY, UndecodableStore
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_log import EventLog
from platform_workers.event_messages import Heard
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger
from typing_extensions import override

from notifier.feeds import LogFeed
from notifier.log_sweep import MOST_PUT_ASIDE, SweepError
from notifier.metrics import Metrics
from notifier.settings import read_settings
from notifier.tally import Tally
from notifier.wiring import build_service

LOG = "turkic:events:log"
NAMES = [f"j{number:03}" for number in range(100)]


@contextmanager
def running(environ: dict[str, str]) -> Iterator[None]:
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    try:
        yield
    finally:
        service.stop()


def trim(redis: RedisClient, keep: int) -> None:
    redis.connection.xtrim(LOG, maxlen=keep, approximate=False)


def is_idle(redis: RedisClient) -> bool:
    state = redis.xgroup_state(LOG, "notifier")
    return state is not None and state["pending"] == 0 and not redis.zcard("notify:due:email")


def lose_hundred(server: EmbeddedRedis, redis: RedisClient, folder: Path, *, group: bool) -> None:
    """Let 100 jobs end while no notifier runs, lose their entries, and start one."""
    environ = settings_for(server.url, folder)
    if group:
        with running(environ):
            complete_job(redis, "before")
            wait_until(lambda: len(mails(folder)) == 1 and is_idle(redis))
    for name in NAMES:
        complete_job(redis, name)
    trim(redis, 0)
    with running(environ):
        wait_until(lambda: len(mails(folder)) == 100 + group)
        complete_job(redis, "after")
        wait_until(lambda: len(mails(folder)) == 101 + group and is_idle(redis))


def test_a_hundred_outcomes_trimmed_while_the_notifier_was_down_are_mailed_once(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    lose_hundred(server, redis, tmp_path, group=True)
    assert told_jobs(tmp_path) == sorted([*NAMES, "before", "after"])


def test_a_first_notifier_finds_what_was_trimmed_before_it_came(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    lose_hundred(server, redis, tmp_path, group=False)
    assert told_jobs(tmp_path) == sorted([*NAMES, "after"])


# -- step by step, on the fake and on the real server ---------------------------------------------------


class FaultyIntake(Intake):
    """Raises these first, one for each event (None takes it), and takes what comes after."""

    def __init__(self, inner: Intake, *faults: Exception | None) -> None:
        self._inner = inner
        self._faults = list(faults)

    @override
    def take_logged(self, heard: Heard, *, run: int, ended_at: object, cancelled: bool = False) -> Taken:
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        return self._inner.take_live(heard)


class Replica:
    """One replica's log feed, and what a test asks about it."""

    def __init__(self, redis: RedisClient, *faults: Exception | None) -> None:
        clock, self.logger, self.redis = FakeClock(), FakeLogger(), redis
        self.store = DeliveryStore(redis, clock)
        intake = Intake(
            redis=redis,
            store=self.store,
            clock=clock,
            logger=self.logger,
            config=INTAKE,
            wake=lambda: None,
        )
        log = EventLog(redis, group="notifier", consumer="one", idle=lambda seconds: seconds, limit=2)
        self.kept = UndecodableStore(redis, clock)
        self.feed = LogFeed(
            log=log,
            intake=FaultyIntake(intake, *faults),
            tally=Tally(metrics=Metrics(), undecodable=self.kept),
            clock=clock,
            logger=self.logger,
        )

    def queued(self) -> int:
        return self.store.sizes(EMAIL)["waiting"]

    def cursor(self) -> str:
        state = self.redis.xgroup_state(LOG, "notifier")
        return "no group" if state is None else state["last_delivered_id"]


@pytest.fixture(params=["fake", "real"])
def either(request: pytest.FixtureRequest) -> RedisClient:
    kind: str = request.param
    client: RedisClient = request.getfixturevalue("fake_redis" if kind == "fake" else "redis")
    return client


def test_nothing_is_read_before_all_that_is_missing_was_taken_in(either: RedisClient) -> None:
    """Killed before the last page, the next notifier finds the same gap."""
    for name in NAMES[:3]:
        complete_job(either, name)
    trim(either, 1)
    first = Replica(either)
    for queued in (2, 3):
        first.feed.step()
        assert (first.queued(), first.cursor()) == (queued, "no group")
    heir = Replica(either)
    for _ in range(4):
        heir.feed.step()
    assert heir.queued() == 3
    assert heir.cursor() == either.xrange(LOG)[-1]["entry_id"]
    assert heir.logger.events("warning", "info") == ["notifier.log_gap", "notifier.log_gap_swept"]
    heir.feed.step()
    assert len(heir.logger.events("warning")) == 1


def test_an_outage_in_the_middle_begins_the_sweep_anew(either: RedisClient) -> None:
    for name in NAMES[:3]:
        complete_job(either, name)
    trim(either, 0)
    replica = Replica(either, RedisUnavailableError("away"))
    with pytest.raises(RedisUnavailableError):
        replica.feed.step()
    assert replica.queued() == 0
    for _ in range(3):
        replica.feed.step()
    assert replica.queued() == 3
    assert replica.logger.events("warning") == ["notifier.log_gap"] * 2


def test_a_log_counts_as_swept_only_when_every_outcome_was_taken_in(either: RedisClient) -> None:
    """What failed once was gone: the group moved on, and nothing showed that a mail was missing."""
    for name in NAMES[:3]:
        complete_job(either, name)
    trim(either, 0)
    replica = Replica(either, ZeroDivisionError("by zero"))
    for _ in range(3):
        replica.feed.step()
    assert (replica.queued(), replica.cursor()) == (2, "no group")
    assert replica.logger.events("error") == ["notifier.entry_failed"]
    for _ in range(4):
        replica.feed.step()
    assert replica.queued() == 3
    assert replica.logger.events("warning", "info") == [
        "notifier.log_gap",
        "notifier.log_gap_swept_again",
        "notifier.log_gap",
        "notifier.log_gap_swept",
    ]


def test_an_outcome_that_nobody_can_take_in_is_put_aside_and_keeps_the_log_back_no_longer(
    either: RedisClient,
) -> None:
    for name in NAMES[:3]:
        complete_job(either, name)
    trim(either, 0)
    fault = ZeroDivisionError("by zero")
    replica = Replica(either, fault, None, None, fault)
    for _ in range(6):
        replica.feed.step()
    assert replica.queued() == 2
    (kept,) = replica.kept.latest(UNHANDLED_KEY)
    assert (kept["reason"], '"job_id":"j000"' in kept["data"]) == ("ZeroDivisionError: by zero", True)
    complete_job(either, "after")
    replica.feed.step()
    assert replica.queued() == 3


def test_a_record_that_cannot_be_read_is_put_aside_if_it_cannot_be_kept_as_undecodable(
    either: RedisClient,
) -> None:
    complete_job(either, "j1")
    either.hset("turkic:job:j1", {"user_id": "x"})
    either.set("notify:undecodable", "x")
    trim(either, 0)
    replica = Replica(either)
    for _ in range(4):
        replica.feed.step()
    (kept,) = replica.kept.latest(UNHANDLED_KEY)
    assert kept["channel"] == LOG
    assert replica.logger.events("info") == ["notifier.log_gap_swept"]


def test_where_very_many_fail_the_log_is_not_read_on_and_the_reason_is_told(either: RedisClient) -> None:
    """Then it is no fault of theirs, and only a few would be kept."""
    for number in range(MOST_PUT_ASIDE + 1):
        complete_job(either, f"j{number}")
    trim(either, 0)
    faults = [ZeroDivisionError("by zero") for _ in range(2 * (MOST_PUT_ASIDE + 1))]
    replica = Replica(either, *faults)
    why = "Of the outcomes that turkic:events:log has lost, 51 cannot be taken in: ZeroDivisionError: by zero"
    for _ in range(2):
        for _ in range((MOST_PUT_ASIDE + 2) // 2):
            replica.feed.step()
        with pytest.raises(SweepError, match=r"51 cannot be taken in"):
            replica.feed.step()
        assert replica.feed.troubles() == [why]
    assert (replica.queued(), replica.cursor()) == (0, "no group")
    assert replica.kept.latest(UNHANDLED_KEY) == []
    for _ in range((MOST_PUT_ASIDE + 2) // 2 + 2):
        replica.feed.step()
    assert replica.queued() == MOST_PUT_ASIDE + 1
    assert replica.feed.troubles() == []


def test_an_outcome_that_is_in_the_log_too_is_mailed_once(either: RedisClient) -> None:
    for name in NAMES[:3]:
        complete_job(either, name)
    trim(either, 3)
    replica = Replica(either)
    for _ in range(6):
        replica.feed.step()
    assert replica.queued() == 3
    assert [len(replica.store.of_job(TURKIC, name)) for name in NAMES[:3]] == [1, 1, 1]
