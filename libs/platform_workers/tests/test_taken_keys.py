"""Another program has written among the keys of a domain: a step is made whole or refused whole, by name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import pytest
from builders import make_record
from platform_core.job_events import JobDomain
from platform_core.job_types import JOB_STATUSES, JobRecord, JobStatusLiteral
from test_lifecycle_table import STEPS, TABLE, call_of, everything, stored

from platform_workers.errors import KeyTakenError, RedisCommandError, RedisUnavailableError
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_listing import list_jobs
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_statistics import read_statistics
from platform_workers.job_store import read_log
from platform_workers.job_transitions import Step, guard_lease
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeQueue

Act: TypeAlias = Callable[[], object]

LEADING: Final[list[tuple[Step, JobStatusLiteral]]] = [
    (step, status) for step in STEPS for status in JOB_STATUSES if TABLE[step, status] in JOB_STATUSES
]
LAST_ID: Final = "18446744073709551615-18446744073709551615"


def take(redis: RedisClient, key: str, kind: str) -> None:
    """Put something else where a key of the store is, or will be."""
    redis.delete(key)
    if kind == "string":
        redis.set(key, "mine")
    elif kind == "set":
        redis.sadd(key, "job-1")
    else:
        redis.zadd(key, {"job-1": 1.0})


def context_of(redis: RedisClient, domain: JobDomain, clock: FakeClock) -> JobContext:
    return make_job_context(
        redis=redis, domain=domain, events_channel="shop:events", job_id="job-1", user_id=7,
        queue_name="default", clock=clock,
    )  # fmt: skip


def assert_whole_or_refused(redis: RedisClient, prepare: Act, act: Act) -> set[str]:
    """Take each key that an act writes, in turn, by each kind of thing; return those keys."""
    prepare()
    before = dict(everything(redis))
    act()
    after = dict(everything(redis))
    written = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    for key in sorted(written):
        for kind in ("string", "set", "zset"):
            redis.connection.flushall()
            prepare()
            if kind == kind_of(key):
                continue
            take(redis, key, kind)
            as_it_was = everything(redis)
            with pytest.raises(KeyTakenError, match=f"^{key} holds a {kind} where"):
                act()
            assert everything(redis) == as_it_was, (key, kind)
    return written


def kind_of(key: str) -> str:
    """What belongs where a key of the store is."""
    if key in {"platform:domains", "shop:jobs:types"}:
        return "set"
    return "zset" if key.startswith("shop:jobs:") and ":minute:" not in key and ":hour:" not in key else ""


@pytest.mark.parametrize(("step", "status"), LEADING)
def test_a_step_is_made_whole_or_refused_whole(
    real_redis: RedisClient, domain: JobDomain, clock: FakeClock, step: Step, status: JobStatusLiteral
) -> None:
    """The record moved and nobody heard of it: no event, no outcome for the notifier."""
    store = JobRecordStore(redis=real_redis, domain=domain, clock=clock)
    context = context_of(real_redis, domain, clock)
    written = assert_whole_or_refused(
        real_redis,
        lambda: stored(store, real_redis, status),
        lambda: context.apply(step, call_of(step, context.builder, clock, guard_lease(""))),
    )
    assert "shop:job:job-1" in written
    moves = TABLE[step, status] != status
    assert ("shop:jobs:status:processing:type:image.resize:user:7" in written) == (
        moves and "processing" in {status, TABLE[step, status]}
    )


def other_type(record: JobRecord) -> JobRecord:
    return {**record, "job_type": "image.crop", "status": "failed"}


@pytest.mark.parametrize("case", ["new", "again", "renamed", "after an expired one"])
def test_a_save_is_made_whole_or_refused_whole(
    real_redis: RedisClient, domain: JobDomain, clock: FakeClock, case: str
) -> None:
    """A record outside every list, or in the lists and without its hash."""
    store = JobRecordStore(redis=real_redis, domain=domain, clock=clock)
    record = make_record()

    def prepare() -> None:
        if case != "new":
            store.save(record if case == "again" else other_type(record))
        if case == "after an expired one":
            real_redis.delete("shop:job:job-1")

    written = assert_whole_or_refused(
        real_redis,
        prepare,
        lambda: real_redis.run_script(
            store.create_call(record)
            if case in {"new", "after an expired one"}
            else store.save_call({**record, "status": "completed"}, mode="save", message="saved")
        ),
    )
    assert len(written) > 5


def test_a_line_in_the_log_and_a_purge_name_the_key(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    store.save(make_record())
    context = context_of(redis, domain, clock)
    redis.delete("shop:job:job-1:log")
    redis.set("shop:job:job-1:log", "mine")
    with pytest.raises(KeyTakenError, match=r"^shop:job:job-1:log holds a string where a stream belongs"):
        context.write_log("hello")
    redis.set("shop:jobs:finished", "mine")
    with pytest.raises(KeyTakenError, match=r"^shop:jobs:finished holds a string where a zset belongs"):
        store.purge()


def test_a_refused_step_goes_through_once_the_key_is_free(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    store.save(make_record())
    redis.set("shop:events:log", "mine")
    context = context_of(redis, domain, clock)
    with pytest.raises(KeyTakenError):
        context.publish_started()
    redis.delete("shop:events:log")
    assert context.publish_started()["status"] == "processing"
    assert len(redis.xrange("shop:events:log")) == 1


def test_in_a_transaction_the_key_is_named_too(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    """The client puts a part of the command in front of what the server says."""
    redis.set("shop:jobs:types", "mine")
    with pytest.raises(KeyTakenError, match=r"^shop:jobs:types holds a string where a set belongs$"):
        FakeQueue(redis).enqueue(
            {
                "domain": domain, "job_id": "job-1", "run": 1, "attempt": 1, "timeout_seconds": 1,
                "priority": "normal",
            },
            store.create_call(make_record()),
            run_at=None,
        )  # fmt: skip
    assert store.load("job-1") is None


def test_a_durable_log_whose_ids_have_come_to_their_end_refuses_the_step(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    """Of the right type, and the record moved all the same: the one write whose failure no type foretells."""
    store.save(make_record())
    redis.connection.xadd("shop:events:log", {"event": "x"}, id=LAST_ID)
    before = everything(redis)
    with pytest.raises(KeyTakenError, match=r"^shop:events:log takes no entry any more"):
        context_of(redis, domain, clock).publish_started()
    assert everything(redis) == before


def test_a_jobs_log_whose_ids_have_come_to_their_end_holds_up_no_job(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    store.save(make_record())
    redis.connection.xadd("shop:job:job-1:log", {"message": "the last"}, id=LAST_ID)
    context_of(redis, domain, clock).publish_started()
    assert store.list_ids("status:processing") == ["job-1"]
    assert [line["message"] for line in read_log(redis, domain, "job-1")] == ["the last"]


@pytest.mark.parametrize("field", ["run", "attempt_count"])
@pytest.mark.parametrize("text", ["three", "1e300", "-1"])
def test_a_record_whose_counters_are_text_counts_from_the_beginning(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock, field: str, text: str
) -> None:
    """The step was made, and then its caller got a `ValueError`; or it could not be made for ever."""
    store.save(make_record())
    redis.hset("shop:job:job-1", {field: text})
    applied = context_of(redis, domain, clock).publish_started()
    assert applied == {"status": "processing", "attempt_count": 1, "run": 1}
    assert redis.xrange("shop:events:log")[0]["fields"]["run"] == "1"


def test_words_among_the_counts_hold_up_neither_jobs_nor_statistics(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    store.save(make_record())
    context = context_of(redis, domain, clock)
    context.publish_started()
    hour = redis.keys("shop:jobs:hour:*")[0]
    redis.hset(
        hour,
        {
            "completed": "many", "run:1": "9" * 400, "run:99999": "1", "queue:1": "-3", "mine": "x",
            "failed": "0x10",
        },
    )  # fmt: skip
    context.publish_completed(result_id="r", result_bytes=1)
    found = read_statistics(redis, [domain], "24h", now=clock.now())
    assert found["finished"] == {"completed": 1, "failed": 0, "cancelled": 0}
    assert found["run_seconds"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0}


@pytest.mark.parametrize("key", ["shop:jobs:types", "hour"])
def test_statistics_and_lists_name_a_key_that_is_taken(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock, key: str
) -> None:
    store.save(make_record())
    name = redis.keys("shop:jobs:hour:*")[0] if key == "hour" else key
    take(redis, name, "string")
    with pytest.raises(KeyTakenError, match=f"^{name} holds a string"):
        read_statistics(redis, [domain], "24h", now=clock.now())
    take(redis, "shop:jobs:all", "string")
    with pytest.raises(KeyTakenError, match=r"^shop:jobs:all holds a string where a zset belongs"):
        list_jobs(redis, [domain], {}, limit=1, read=lambda *_: None)


def test_what_old_jobs_left_behind_keeps_nobody_from_an_outcome(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain, clock: FakeClock
) -> None:
    """The outcome was published, and who published it was told that it was refused."""
    now = datetime.now(UTC)
    clock.advance((now - clock.now()).total_seconds())
    store.save(make_record())
    context = context_of(redis, domain, clock)
    context.publish_started()
    redis.set("shop:job:odd", "mine")
    long_ago = (now - timedelta(days=40)).timestamp() * 1000
    redis.zadd("shop:jobs:finished", {"odd image.crop 7": long_ago, "old image.crop 7": long_ago + 1})
    redis.zadd("shop:jobs:all", {"odd": long_ago, "old": long_ago})
    assert context.publish_completed(result_id="r", result_bytes=1)["status"] == "completed"
    assert redis.zrange("shop:jobs:finished", 0, -1) == ["job-1 image.resize 7"]
    assert "old" not in store.list_ids("all")


def test_who_reads_is_not_held_up_by_what_cannot_be_cleaned_up(
    redis: RedisClient, store: JobRecordStore, domain: JobDomain
) -> None:
    store.save(make_record())
    redis.zadd("shop:jobs:finished", {"gone image.crop 7": 1.0})
    redis.set("shop:jobs:all:", "")
    redis.set("shop:jobs:type:image.crop", "mine")
    page = list_jobs(redis, [domain], {}, limit=5, read=lambda _domain, job_id, _fields: job_id)
    assert page["jobs"] == ["job-1"]
    redis.set("shop:jobs:finished", "mine")
    page = list_jobs(redis, [domain], {}, limit=5, read=lambda _domain, job_id, _fields: job_id)
    assert page["jobs"] == ["job-1"]


@pytest.mark.parametrize("limits", ["channel", "keys"])
def test_a_redis_user_who_may_not_do_all_of_a_step_does_none_of_it(
    server: EmbeddedRedis, real_redis: RedisClient, domain: JobDomain, clock: FakeClock, limits: str
) -> None:
    """A new user of Redis may publish nowhere, unless told otherwise: jobs moved and nobody heard of it."""
    store = JobRecordStore(redis=real_redis, domain=domain, clock=clock)
    real_redis.connection.acl_setuser(
        "limited", enabled=True, passwords=["+word"], commands=["+@all"],
        keys=["*"] if limits == "channel" else ["shop:*"],
        channels=["shop:events"] if limits == "keys" else [],
    )  # fmt: skip
    limited = connect(server.url.replace("redis://", "redis://limited:word@"))
    try:
        if limits == "channel":
            store.save(make_record())
            before = everything(real_redis)
            with pytest.raises(RedisCommandError, match="may not publish to shop:events"):
                context_of(limited, domain, clock).publish_started()
            assert everything(real_redis) == before
        else:
            with pytest.raises(RedisCommandError, match="No permissions"):
                JobRecordStore(redis=limited, domain=domain, clock=clock).save(make_record())
            assert real_redis.keys("*") == []
    finally:
        limited.close()
        real_redis.connection.acl_deluser("limited")


@pytest.mark.parametrize(("step", "status"), LEADING)
def test_a_full_server_refuses_a_step_whole(
    real_redis: RedisClient, domain: JobDomain, clock: FakeClock, step: Step, status: JobStatusLiteral
) -> None:
    store = JobRecordStore(redis=real_redis, domain=domain, clock=clock)
    stored(store, real_redis, status)
    before = everything(real_redis)
    context = context_of(real_redis, domain, clock)
    real_redis.connection.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(RedisUnavailableError):
            context.apply(step, call_of(step, context.builder, clock, guard_lease("")))
    finally:
        real_redis.connection.config_set("maxmemory", "0")
    assert everything(real_redis) == before
