"""Statistics: counts against a model, percentiles against exact ones, and every bucket ends by itself."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TypedDict

import pytest
from builders import make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platform_core.clock import to_millis
from platform_core.job_events import TURKIC, JobDomain, default_events_channel, job_domain
from platform_core.job_types import JOB_STATUSES, JobStatusLiteral

from platform_workers.handlers import HandlerRegistry
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_statistics import (
    ABANDONED_AFTER,
    RECENT,
    WINDOWS,
    JobStatistics,
    StatisticsWindow,
    percentiles,
    read_job_totals,
    read_statistics,
)
from platform_workers.redis import RedisClient
from platform_workers.submission import JobSubmitter
from platform_workers.testing import FakeClock, FakeQueue, FakeRedis

SHOP = job_domain("shop")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ZERO = dict.fromkeys(JOB_STATUSES, 0)


class Nothing(TypedDict):
    """The payload of a job that needs none."""


def store_at(redis: RedisClient, moment: datetime, domain: JobDomain = SHOP) -> JobRecordStore:
    return JobRecordStore(redis=redis, domain=domain, clock=FakeClock(moment))


def context_at(redis: RedisClient, clock: FakeClock) -> JobContext:
    return make_job_context(
        redis=redis, domain=SHOP, events_channel=default_events_channel(SHOP), job_id="job-1", user_id=7,
        queue_name="default", clock=clock,
    )  # fmt: skip


def queued_at(redis: RedisClient, moment: datetime, job_id: str = "job-1") -> None:
    """Say when the server's clock has seen the job enter the queue: the tests have a clock of their own."""
    redis.hset(f"shop:job:{job_id}", {"queued_ms": str(to_millis(moment))})


def read(redis: RedisClient, window: StatisticsWindow = "1h", now: datetime = NOON) -> JobStatistics:
    return read_statistics(redis, [SHOP], window, now=now)


def test_of_no_job_there_is_nothing_to_tell(redis: RedisClient) -> None:
    found = read(redis)
    assert (found["counts"], found["by_type"], found["submitted"]) == (ZERO, {}, 0)
    assert found["finished"] == {"completed": 0, "failed": 0, "cancelled": 0}
    assert found["failure_rate"] is None
    assert found["throughput_per_hour"] == 0
    assert found["run_seconds"] is None
    assert found["queue_seconds"] is None


@pytest.mark.parametrize(
    ("window", "begins", "steps", "step"),
    [
        ("1h", datetime(2026, 1, 2, 11, 20, tzinfo=UTC), 12, timedelta(minutes=5)),
        ("24h", datetime(2026, 1, 1, 13, tzinfo=UTC), 24, timedelta(hours=1)),
        ("7d", datetime(2025, 12, 26, 18, tzinfo=UTC), 28, timedelta(hours=6)),
    ],
)
def test_a_window_is_whole_steps_and_the_present_one(
    redis: RedisClient, window: StatisticsWindow, begins: datetime, steps: int, step: timedelta
) -> None:
    now = NOON + timedelta(minutes=17)
    found = read(redis, window, now)
    assert (found["window"], found["begins"], found["ends"]) == (window, begins, now)
    assert [part["at"] for part in found["series"]] == [begins + step * number for number in range(steps)]
    assert found["series"][-1]["at"] <= now < found["series"][-1]["at"] + step


def test_what_there_is_now_by_status_and_type(redis: RedisClient, store: JobRecordStore) -> None:
    for number in range(6):
        store.save({**make_record(f"job-{number}"), "job_type": "a.b" if number % 3 else "c"})
    store.save({**make_record("job-1", "failed"), "job_type": "a.b"})
    assert read(redis)["counts"] == {**ZERO, "queued": 5, "failed": 1}
    assert read(redis)["by_type"] == {
        "a.b": {**ZERO, "queued": 3, "failed": 1},
        "c": {**ZERO, "queued": 2},
    }
    # Its record has expired in Redis; whoever reads takes it out of the indexes.
    redis.delete("shop:job:job-1")
    assert read(redis)["counts"] == {**ZERO, "queued": 5}


def test_the_rates(redis: RedisClient) -> None:
    """One hour's window has run for 55 minutes at noon sharp; cancelled jobs count for neither rate."""
    outcomes: list[JobStatusLiteral] = ["completed", "completed", "completed", "failed", "cancelled"]
    for number, outcome in enumerate(outcomes):
        store_at(redis, NOON).save(make_record(f"job-{number}"))
        store_at(redis, NOON).save(make_record(f"job-{number}", outcome))
    found = read(redis)
    assert found["submitted"] == 5
    assert found["finished"] == {"completed": 3, "failed": 1, "cancelled": 1}
    assert found["failure_rate"] == 0.25
    assert found["throughput_per_hour"] == pytest.approx(4 / (55 / 60))


def test_the_last_attempt_is_what_ran_and_each_attempt_has_waited(
    redis: RedisClient, store: JobRecordStore, clock: FakeClock
) -> None:
    """Waited 10 s, ran 100 s, paused, waited 1 s, ran 4 s; neither the pause nor the first run is in it."""
    store.save({**make_record(), "created_at": clock.now(), "updated_at": clock.now()})
    queued_at(redis, clock.now())
    job = context_at(redis, clock)
    clock.advance(10)
    job.publish_started()
    clock.advance(100)
    again = clock.now() + timedelta(seconds=600)
    retried = job.builder.retried("boom", run_after=again, guard="lease:", transition_id="r")
    job.apply("retried", retried)
    queued_at(redis, clock.now())
    clock.advance(601)
    job.publish_started()
    clock.advance(4)
    job.publish_completed(result_id="r", result_bytes=1)
    found = read(redis, "1h", clock.now())
    assert found["run_seconds"] == pytest.approx({"p50": 4, "p95": 4, "p99": 4}, rel=0.05)
    assert found["queue_seconds"] == pytest.approx({"p50": 1, "p95": 10, "p99": 10}, rel=0.05)
    assert (found["submitted"], found["finished"]["completed"]) == (1, 1)


def test_a_repeat_of_a_step_counts_once(redis: RedisClient, store: JobRecordStore, clock: FakeClock) -> None:
    store.save(make_record())
    job = context_at(redis, clock)
    call = job.builder.started(guard="lease:", transition_id="one", lease=None)
    for _ in range(3):
        job.apply("started", call)
    ended = job.builder.failed("user", "no", guard="lease:", transition_id="two")
    for _ in range(3):
        job.apply("failed", ended)
    found = read(redis, "1h", clock.now())
    assert found["finished"]["failed"] == 1


def test_what_did_not_run_has_no_run_time(
    redis: RedisClient, store: JobRecordStore, clock: FakeClock
) -> None:
    """A job that is cancelled, or fails while it waits, would pull the percentiles to where nobody ran."""
    store.save(make_record("a"))
    store.save(make_record("a", "failed"))
    store.save({**make_record("b", "processing"), "started_at": clock.now()})
    clock.advance(5)
    store.save(make_record("b", "cancelled"))
    assert read(redis)["run_seconds"] is None
    store.save(make_record("c", "processing"))
    store.save(make_record("c", "completed"))
    assert read(redis)["run_seconds"] is None
    store.save({**make_record("d", "processing"), "started_at": clock.now()})
    clock.advance(5)
    store.save(make_record("d", "completed"))
    assert read(redis)["run_seconds"] == pytest.approx({"p50": 5, "p95": 5, "p99": 5}, rel=0.05)


def test_a_record_without_times_is_counted_and_not_measured(redis: RedisClient, clock: FakeClock) -> None:
    redis.hset("shop:job:job-1", {"status": "queued", "updated_at": "lately"})
    job = context_at(redis, clock)
    job.publish_started()
    redis.hset("shop:job:job-1", {"attempt_started_at": "a while ago", "started_at": ""})
    job.publish_failed("system", "boom")
    found = read(redis)
    assert found["finished"]["failed"] == 1
    assert (found["run_seconds"], found["queue_seconds"]) == (None, None)


def test_a_clock_that_went_back_gives_no_negative_time(
    redis: RedisClient, store: JobRecordStore, clock: FakeClock
) -> None:
    store.save({**make_record(), "created_at": clock.now(), "updated_at": clock.now()})
    queued_at(redis, clock.now())
    clock.advance(-60)
    job = context_at(redis, clock)
    job.publish_started()
    clock.advance(-60)
    job.publish_completed(result_id="r", result_bytes=1)
    found = read(redis)
    assert found["run_seconds"] == found["queue_seconds"] == {"p50": 0, "p95": 0, "p99": 0}


def test_domains_are_counted_together(redis: RedisClient) -> None:
    for domain in (SHOP, TURKIC):
        store_at(redis, NOON, domain).save(make_record())
        store_at(redis, NOON, domain).save(make_record(status="failed"))
    both = read_statistics(redis, [SHOP, TURKIC], "24h", now=NOON)
    assert (both["submitted"], both["finished"]["failed"], both["series"][-1]["failed"]) == (2, 2, 2)
    assert both["by_type"] == {"image.resize": {**ZERO, "failed": 2}}
    assert read_statistics(redis, [], "24h", now=NOON)["submitted"] == 0


def test_every_bucket_ends_by_itself(redis: RedisClient) -> None:
    for number in range(3):
        for status in JOB_STATUSES:
            moment = NOON + timedelta(minutes=40 * number)
            store_at(redis, moment).save(make_record(f"{status}-{number}"))
            store_at(redis, moment).save(make_record(f"{status}-{number}", status))
    minutes, hours = redis.keys("shop:jobs:minute:*"), redis.keys("shop:jobs:hour:*")
    assert (len(minutes), len(hours)) == (3, 2)
    assert all(3600 < redis.ttl(key) <= 2 * 3600 for key in minutes)
    assert all(7 * 86_400 < redis.ttl(key) <= 8 * 86_400 for key in hours)


@pytest.mark.parametrize("wrong_by", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_host_whose_clock_is_wrong_does_not_change_how_long_its_jobs_wait(
    redis: RedisClient, wrong_by: timedelta
) -> None:
    """They waited an hour, or not at all."""
    host = FakeClock(redis.now() + wrong_by)
    registry = HandlerRegistry(domain=SHOP)
    registry.register("image.resize", Nothing, lambda payload, job: {"result_id": "r", "result_bytes": 1})
    JobSubmitter(
        store=JobRecordStore(redis=redis, domain=SHOP, clock=host), queue=FakeQueue(redis),
        registry=registry, clock=host, new_id=lambda: "job-1",
    ).submit({"job_type": "image.resize", "payload": {}, "user_id": 7})  # fmt: skip
    for begins in (timedelta(seconds=100), timedelta(seconds=300)):
        started = FakeClock(redis.now() + begins)
        job = context_at(redis, started)
        job.publish_started()
        retried = job.builder.retried(
            "boom", run_after=redis.now(), guard="lease:", transition_id=str(begins)
        )
        job.apply("retried", retried)
    found = read(redis, "24h", redis.now() + timedelta(minutes=10))
    assert found["queue_seconds"] == pytest.approx({"p50": 100, "p95": 300, "p99": 300}, rel=0.1)


def test_a_record_of_before_counts_from_its_last_change(
    redis: RedisClient, store: JobRecordStore, clock: FakeClock
) -> None:
    store.save({**make_record(), "created_at": clock.now(), "updated_at": clock.now()})
    redis.connection.hdel("shop:job:job-1", "queued_ms")
    clock.advance(10)
    context_at(redis, clock).publish_started()
    assert read(redis)["queue_seconds"] == pytest.approx({"p50": 10, "p95": 10, "p99": 10}, rel=0.05)


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles({}) is None


DURATIONS = st.lists(
    st.one_of(
        st.integers(0, 3), st.integers(0, 100), st.integers(0, 60_000), st.integers(0, 4 * 3_600_000),
        st.integers(0, 75).map(lambda power: ceil(1.1**power)),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(DURATIONS)
def test_percentiles_are_right_within_five_percent(durations: list[int]) -> None:
    redis = FakeRedis()
    for number, milliseconds in enumerate(durations):
        wait = durations[-1 - number]
        begun = NOON + timedelta(milliseconds=wait)
        name = f"job-{number}"
        store_at(redis, NOON).save({**make_record(name), "created_at": NOON, "updated_at": NOON})
        queued_at(redis, NOON, name)
        store_at(redis, begun).save({**make_record(name, "processing"), "started_at": begun})
        ended = begun + timedelta(milliseconds=milliseconds)
        store_at(redis, ended).save(make_record(name, "completed"))
    found = read(redis, "24h", NOON + timedelta(hours=9))
    ordered = sorted(durations)
    for measured in (found["run_seconds"], found["queue_seconds"]):
        assert measured is not None
        for share, seconds in zip((50, 95, 99), measured.values(), strict=True):
            exact = ordered[-(-share * len(ordered) // 100) - 1]
            assert abs(float(str(seconds)) * 1000 - exact) <= exact * 0.05, (exact, seconds)


Step = tuple[int, int, JobStatusLiteral]
HISTORIES: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.integers(0, 9 * 86_400), st.integers(0, 5), st.sampled_from(JOB_STATUSES)), max_size=25
).map(sorted)


def play(redis: RedisClient, history: Sequence[Step]) -> None:
    """Write a random history, and compare every count of every window with a model."""
    begin = NOON - timedelta(days=9)
    status: dict[int, JobStatusLiteral] = {}
    happened: list[tuple[datetime, str]] = []
    for seconds, number, word in history:
        moment = begin + timedelta(seconds=seconds)
        if number not in status:
            happened.append((moment, "submitted"))
        if status.get(number) != word:
            happened.append((moment, word))
        status[number] = word
        store_at(redis, moment).save(make_record(f"job-{number}", word))
    for window in WINDOWS:
        found = read(redis, window)
        times = Counter(word for moment, word in happened if moment >= found["begins"])
        assert found["submitted"] == times["submitted"]
        assert found["finished"] == {name: times[name] for name in ("completed", "failed", "cancelled")}
        starts = [part["at"] for part in found["series"]]
        for start, end, part in zip(
            starts, [*starts[1:], datetime.max.replace(tzinfo=UTC)], found["series"], strict=True
        ):
            here = Counter(word for moment, word in happened if start <= moment < end)
            assert {name: here[name] for name in ("submitted", "completed", "failed", "cancelled")} == {
                "submitted": part["submitted"], "completed": part["completed"], "failed": part["failed"],
                "cancelled": part["cancelled"],
            }  # fmt: skip
        assert found["counts"] == {**ZERO, **Counter(status.values())}


@settings(deadline=None, max_examples=60)
@given(HISTORIES)
def test_counts_agree_with_a_model(history: list[Step]) -> None:
    play(FakeRedis(), history)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES)
def test_and_on_a_real_server(real_redis: RedisClient, history: list[Step]) -> None:
    real_redis.connection.flushall()
    play(real_redis, history)


def test_the_totals_are_those_of_each_domain(redis: RedisClient) -> None:
    assert read_job_totals(redis, now=NOON) == {}
    store_at(redis, NOON).save(make_record("job-1"))
    store_at(redis, NOON).save(make_record("job-2", "failed"))
    store_at(redis, NOON, TURKIC).save(make_record("job-1", "completed"))
    assert read_job_totals(redis, now=NOON) == {
        SHOP: {
            "counts": {**ZERO, "queued": 1, "failed": 1},
            "recent": {"completed": 0, "failed": 1, "cancelled": 0},
            "abandoned": 0,
        },
        TURKIC: {
            "counts": {**ZERO, "completed": 1},
            "recent": {"completed": 1, "failed": 0, "cancelled": 0},
            "abandoned": 0,
        },
    }


def test_what_ended_longer_ago_is_not_recent(redis: RedisClient) -> None:
    """An alert on the share of failures would else go on for as long as failed jobs are kept."""
    store_at(redis, NOON).save(make_record("job-1", "failed"))

    def failed(now: datetime) -> tuple[int, int]:
        totals = read_job_totals(redis, now=now)[SHOP]
        return totals["counts"]["failed"], totals["recent"]["failed"]

    assert failed(NOON + RECENT - timedelta(seconds=1)) == (1, 1)
    assert failed(NOON + RECENT) == (1, 0)
    assert failed(NOON - timedelta(minutes=1)) == (1, 0)


def test_jobs_whose_worker_is_silent_are_counted_until_they_are_settled(redis: RedisClient) -> None:
    """They are `processing` and in no queue: no other figure tells that nobody works on them."""
    store_at(redis, NOON).save(make_record("job-1"))
    store_at(redis, NOON, TURKIC).save(make_record("job-1"))
    now = datetime.now(UTC)

    def lease(queue: str, job_id: str, ended: timedelta) -> None:
        redis.zadd(f"{SHOP}:jobs:leases:{queue}", {job_id: float(to_millis(now - ended))})

    redis.sadd("rq:queues", "rq:queue:default", "rq:queue:default:low", "rq:queue:gpu:low")
    lease("default", "gone", ABANDONED_AFTER + timedelta(seconds=1))
    lease("default", "about to be settled", timedelta(seconds=1))
    lease("default", "running", timedelta(seconds=-40))
    lease("gpu", "gone, and of low priority", timedelta(days=1))

    # The other figures are of the caller's time, this one is not.
    totals = read_job_totals(redis, now=NOON)
    assert {domain: found["abandoned"] for domain, found in totals.items()} == {SHOP: 2, TURKIC: 0}
