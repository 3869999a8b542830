"""Records and indexes stay in step; absent fields stay absent; nothing leaks after expiry."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from builders import CREATED, make_record
from hypothesis import given
from hypothesis import strategies as st
from platform_core.clock import to_iso, to_millis
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.job_types import (
    JOB_PRIORITIES,
    JOB_STATUSES,
    BaseJobStatus,
    JobRecord,
    JobStatusLiteral,
    is_outcome,
)

from platform_workers.errors import JobExistsError
from platform_workers.job_context import make_job_context
from platform_workers.job_record_store import JobRecordEncoder, JobRecordStore
from platform_workers.job_store import (
    JOB_SAVE,
    BaseJobStore,
    parse_datetime_field,
    parse_int_field,
    parse_optional_str,
    parse_status,
    raise_if_exists,
    read_log,
)
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis

FULL: JobRecord = {
    **make_record(status="failed"),
    "message": "halfway",
    "error": "boom",
    "run_after": datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2))),
    "started_at": datetime(2026, 1, 2, 12, tzinfo=UTC),
    "finished_at": datetime(2026, 1, 2, 13, tzinfo=UTC),
    "locked_by": "worker-1",
    "locked_until": datetime(2026, 1, 2, 14, tzinfo=UTC),
    "result_id": "file-1",
    "result_bytes": 12,
    "error_kind": "system",
    "context": {"user_id": "user-1", "email": "me@example.com", "more": [1, None]},
    "notifications": {"email": {"enabled": True, "on": ["SUCCESS"]}},
}


def test_a_record_comes_back_as_it_was_saved(store: JobRecordStore) -> None:
    assert store.load("job-1") is None
    store.save(FULL)
    assert store.load("job-1") == FULL


def test_absent_fields_are_absent_from_the_hash(store: JobRecordStore, redis: RedisClient) -> None:
    store.save(FULL)
    store.save(make_record())
    stored = redis.hgetall("shop:job:job-1")
    assert "" not in stored.values()
    assert "context" not in stored
    assert store.load("job-1") == make_record()


def test_saving_keeps_the_fields_a_team_added(store: JobRecordStore, redis: RedisClient) -> None:
    store.save(make_record())
    redis.hset("shop:job:job-1", {"team_field": "x"})
    store.save(make_record(status="processing"))
    assert redis.hgetall("shop:job:job-1")["team_field"] == "x"


def test_indexes_follow_the_status(store: JobRecordStore) -> None:
    store.save(make_record("job-1"))
    store.save(make_record("job-2"))
    store.save(make_record("job-1", "processing"))
    assert store.list_ids("status:queued") == ["job-2"]
    assert store.list_ids("status:processing") == ["job-1"]
    assert sorted(store.list_ids()) == ["job-1", "job-2"]
    assert sorted(store.list_ids("type:image.resize")) == ["job-1", "job-2"]
    assert sorted(store.list_ids("user:7")) == ["job-1", "job-2"]
    assert store.count("status:queued") == 1


def test_listing_is_newest_first_and_paged(store: JobRecordStore, clock: FakeClock) -> None:
    for number in range(5):
        store.save(make_record(f"job-{number}"))
        clock.advance(1)
    assert store.list_ids(limit=2) == ["job-4", "job-3"]
    assert store.list_ids(offset=2, limit=2) == ["job-2", "job-1"]


BUCKETS = ("shop:jobs:minute:", "shop:jobs:hour:")


def lasting_keys(redis: RedisClient) -> list[str]:
    """Every key but the counts by time, which end by themselves: a test that leaks one of them fails here."""
    keys = redis.keys("*")
    assert all(redis.ttl(key) > 0 for key in keys if key.startswith(BUCKETS))
    return [key for key in keys if not key.startswith(BUCKETS)]


def index_entries(redis: RedisClient, job_id: str) -> list[str]:
    """Every sorted set that a job is in."""
    keys = [key for key in redis.keys("shop:jobs:*") if not key.startswith(BUCKETS)]
    return [key.removeprefix("shop:jobs:") for key in keys if key != "shop:jobs:types"
            and any(member.partition(" ")[0] == job_id for member in redis.zrange(key, 0, -1))]  # fmt: skip


def test_an_expired_record_leaves_no_index_entry(
    redis: RedisClient, domain: JobDomain, clock: FakeClock
) -> None:
    store = JobRecordStore(redis=redis, domain=domain, clock=clock, retention=timedelta(days=1))
    outcomes: list[JobStatusLiteral] = ["completed", "failed", "cancelled"]
    for number, status in enumerate(outcomes):
        store.save({**make_record(f"job-{number}", status), "job_type": f"type.{number}"})
    store.save(make_record("running", "processing"))
    assert 0 < redis.ttl("shop:job:job-0") <= 86_400
    assert redis.ttl("shop:job:running") == -1
    clock.advance(86_401)
    assert store.purge(limit=2) == 2
    assert store.purge() == 1
    assert store.purge() == 0
    assert lasting_keys(redis) == [
        "platform:domains", "shop:job:running", "shop:jobs:all", "shop:jobs:status:processing",
        "shop:jobs:status:processing:type:image.resize",
        "shop:jobs:status:processing:type:image.resize:user:7", "shop:jobs:status:processing:user:7",
        "shop:jobs:type:image.resize", "shop:jobs:type:image.resize:user:7", "shop:jobs:types",
        "shop:jobs:user:7",
    ]  # fmt: skip
    assert redis.smembers("shop:jobs:types") == ["image.resize"]


def test_nothing_is_left_of_jobs_that_all_have_ended_and_expired(
    redis: RedisClient, domain: JobDomain, clock: FakeClock
) -> None:
    """Through the whole life, also of a job that failed, was queued again and failed once more."""
    store = JobRecordStore(redis=redis, domain=domain, clock=clock, retention=timedelta(days=1))
    life: list[JobStatusLiteral] = [
        "queued", "processing", "queued", "processing", "failed", "queued", "failed"
    ]  # fmt: skip
    for number in range(6):
        for status in life:
            store.save(make_record(f"job-{number}", status))
            clock.advance(0.1)
    without_end = [key for key in lasting_keys(redis) if redis.ttl(key) == -1]
    assert all(key.startswith(("shop:jobs:", "platform:")) for key in without_end)
    clock.advance(86_400)
    assert store.purge() == 6
    assert lasting_keys(redis) == ["platform:domains"]


def test_a_move_changes_the_sets_of_the_status_alone(store: JobRecordStore, redis: RedisClient) -> None:
    by_status = ["", ":type:image.resize", ":type:image.resize:user:7", ":user:7"]
    lasting = ["all", "type:image.resize", "type:image.resize:user:7", "user:7"]

    def expected(status: str, *more: str) -> list[str]:
        return sorted([*lasting, *more, *(f"status:{status}{rest}" for rest in by_status)])

    moves: list[tuple[JobStatusLiteral, list[str]]] = [
        ("queued", []), ("processing", []), ("failed", ["finished"]), ("failed", ["finished"]),
        ("queued", []), ("cancelled", ["finished"]), ("completed", ["finished"]), ("processing", []),
    ]  # fmt: skip
    for status, more in moves:
        store.save(make_record(status=status))
        assert index_entries(redis, "job-1") == expected(status, *more)


def test_a_job_of_another_type_and_user_leaves_the_old_sets(
    store: JobRecordStore, redis: RedisClient, clock: FakeClock
) -> None:
    store.save(make_record(status="failed"))
    first = redis.zscore("shop:jobs:all", "job-1")
    clock.advance(60)
    store.save({**make_record(status="failed"), "job_type": "other", "user_id": -8})
    assert index_entries(redis, "job-1") == sorted(
        [
            "all", "finished", "type:other", "user:-8", "type:other:user:-8", "status:failed",
            "status:failed:type:other", "status:failed:user:-8", "status:failed:type:other:user:-8",
        ]
    )  # fmt: skip
    assert redis.zscore("shop:jobs:all", "job-1") == first
    assert redis.smembers("shop:jobs:types") == ["other"]
    assert redis.zrange("shop:jobs:finished", 0, -1) == ["job-1 other -8"]


@pytest.mark.parametrize("odd", ["a:user:8", "two words", ""])
def test_a_word_that_would_name_another_set_is_not_indexed(
    store: JobRecordStore, redis: RedisClient, clock: FakeClock, odd: str
) -> None:
    """A team's own record may hold any text; and what is not in a set can't be left there after expiry."""
    store.save({**make_record(status="completed"), "job_type": odd})
    assert index_entries(redis, "job-1") == [
        "all", "finished", "status:completed", "status:completed:user:7", "user:7"
    ]  # fmt: skip
    clock.advance(31 * 86_400)
    assert store.purge() == 1
    assert lasting_keys(redis) == ["platform:domains"]


def test_a_new_job_under_the_id_of_an_expired_one_is_another_job(
    store: JobRecordStore, redis: RedisClient, clock: FakeClock
) -> None:
    """Its hash is gone, its index entries are not yet: neither they nor their expiry are the new job's."""
    store.save(make_record(status="completed"))
    redis.delete("shop:job:job-1")
    later = CREATED + timedelta(days=31)
    store.save({**make_record(), "created_at": later})
    assert "finished" not in index_entries(redis, "job-1")
    assert store.count("status:completed") == 0
    assert redis.zscore("shop:jobs:all", "job-1") == to_millis(later)
    clock.advance(60 * 86_400)
    assert store.purge() == 0
    assert store.load("job-1") is not None


@pytest.mark.parametrize("status", JOB_STATUSES)
def test_the_expiry_of_an_old_job_leaves_the_new_one_of_its_id_alone(
    store: JobRecordStore, redis: RedisClient, clock: FakeClock, status: JobStatusLiteral
) -> None:
    """An idempotency key gives the same id after a month, perhaps to another type and user."""
    store.save({**make_record(status="failed"), "job_type": "old", "user_id": 1})
    redis.delete("shop:job:job-1")
    clock.advance(31 * 86_400)
    store.save({**make_record("job-1", status), "created_at": clock.now()})
    store.purge()
    assert store.load("job-1") is not None
    expected = [
        f"{head}{rest}"
        for head in ("", f"status:{status}:")
        for rest in ("type:image.resize", "type:image.resize:user:7", "user:7")
    ]
    more = ["all", f"status:{status}"] + (["finished"] if is_outcome(status) else [])
    assert index_entries(redis, "job-1") == sorted([*expected, *more])
    assert redis.smembers("shop:jobs:types") == ["image.resize"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05.678901+00:00", datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2026-03-01 00:30:00.5+05:30", datetime(2026, 2, 28, 19, 0, 0, 500_000, UTC)),
        ("2000-12-31T20:00:00-0800", datetime(2001, 1, 1, 4, tzinfo=UTC)),
        ("1969-12-31T23:59:59.999+00:00", datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
        ("yesterday", None), ("2026-01-02T03:04:05", None), ("", None),
    ],
)  # fmt: skip
def test_the_index_goes_by_created_at_however_it_is_written(
    store: JobRecordStore, redis: RedisClient, clock: FakeClock, text: str, moment: datetime | None
) -> None:
    """A record without a time that can be read is as old as its first move."""
    redis.hset("shop:job:old", {"status": "queued", "created_at": text})
    redis.run_script(
        {
            "script": JOB_SAVE, "keys": ["shop:job:old"],
            "args": ["shop", "old", "save", str(to_millis(clock.now())), "1000", "", "1", "progress", "1"],
        }
    )  # fmt: skip
    assert redis.zscore("shop:jobs:all", "old") == to_millis(clock.now() if moment is None else moment)


@given(
    st.integers(-(10**13), 10**13).map(
        lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    )
)
def test_the_scripts_know_the_calendar(moment: datetime) -> None:
    redis = FakeRedis()
    store = JobRecordStore(redis=redis, domain=JobDomain("shop"))
    store.save({**make_record(), "created_at": moment})
    assert redis.zscore("shop:jobs:all", "job-1") == to_millis(moment)


def test_every_outcome_clears_a_few_expired_ones(
    redis: RedisClient, domain: JobDomain, clock: FakeClock
) -> None:
    store = JobRecordStore(redis=redis, domain=domain, clock=clock, retention=timedelta(days=1))
    store.save(make_record("old", "failed"))
    clock.advance(86_401)
    store.save(make_record("new", "failed"))
    assert store.list_ids() == ["new"]


def test_a_finished_record_that_is_queued_again_does_not_expire(
    store: JobRecordStore, redis: RedisClient
) -> None:
    """Nor does its log: it would end in the middle of the new run."""
    redis.run_script(store.create_call(make_record()))
    store.save(make_record(status="failed"))
    assert redis.ttl("shop:job:job-1") > 0
    assert redis.ttl("shop:job:job-1:log") > 0
    store.save(make_record(status="queued"))
    assert redis.ttl("shop:job:job-1") == -1
    assert redis.ttl("shop:job:job-1:log") == -1
    assert redis.keys("shop:jobs:finished") == []


def test_create_refuses_an_id_that_is_taken(store: JobRecordStore, redis: RedisClient) -> None:
    raise_if_exists(redis.run_script(store.create_call(make_record())), "job-1")
    reply = redis.run_script(store.create_call({**make_record(), "user_id": 8}))
    with pytest.raises(JobExistsError, match="job-1"):
        raise_if_exists(reply, "job-1")
    loaded = store.load("job-1")
    assert loaded is not None
    assert loaded["user_id"] == 7
    assert [line["message"] for line in read_log(redis, store.domain, "job-1")] == [
        "submitted as image.resize"
    ]


class NoteStatus(BaseJobStatus):
    """A team's own status: the base and one field more."""

    note: str


class NoteEncoder:
    def encode(self, status: NoteStatus) -> dict[str, str]:
        return {
            "user_id": str(status["user_id"]),
            "status": status["status"],
            "progress": str(status["progress"]),
            "created_at": to_iso(status["created_at"]),
            "updated_at": to_iso(status["updated_at"]),
            "note": status["note"],
        }

    def decode(self, job_id: str, raw: Mapping[str, str]) -> NoteStatus:
        return {
            "job_id": job_id,
            "user_id": parse_int_field(raw, "user_id"),
            "status": parse_status(raw),
            "progress": parse_int_field(raw, "progress"),
            "message": parse_optional_str(raw, "message"),
            "created_at": parse_datetime_field(raw, "created_at"),
            "updated_at": parse_datetime_field(raw, "updated_at"),
            "error": parse_optional_str(raw, "error"),
            "note": raw["note"],
        }


def test_a_team_keeps_its_own_status_type(redis: RedisClient, domain: JobDomain) -> None:
    store: BaseJobStore[NoteStatus] = BaseJobStore(redis=redis, domain=domain, encoder=NoteEncoder())
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    status: NoteStatus = {
        "job_id": "n", "user_id": 1, "status": "queued", "progress": 0, "message": None,
        "created_at": moment, "updated_at": moment, "error": None, "note": "mine",
    }  # fmt: skip
    redis.hset("shop:job:n", {"context": "{}"})
    store.save(status)
    assert store.load("n") == status
    assert redis.hgetall("shop:job:n")["context"] == "{}"
    assert store.list_ids("user:1") == ["n"]


@pytest.mark.parametrize("status", JOB_STATUSES)
def test_parse_status_knows_every_word(status: str) -> None:
    assert parse_status({"status": status}) == status


@pytest.mark.parametrize(
    ("parse", "text", "fault"),
    [
        (parse_status, None, "status: expected str, found missing"),
        (parse_status, "done", "status: expected queued|"),
        (partial(parse_int_field, field="status"), "1e3", "status: expected int"),
        (partial(parse_int_field, field="status"), "٣", "status: expected int"),
        (partial(parse_int_field, field="status"), None, "status: expected str, found missing"),
        (partial(parse_datetime_field, field="status"), "yesterday", "status: expected ISO 8601"),
        (partial(parse_datetime_field, field="status"), "2026-01-02T03:04:05", "found time without offset"),
        # No moments in UTC: comparing or writing them raised OverflowError.
        (partial(parse_datetime_field, field="status"), "0001-01-01T00:00:00+14:00", "expected ISO 8601"),
        (partial(parse_datetime_field, field="status"), "9999-12-31T23:59:59-14:00", "expected ISO 8601"),
    ],
)
def test_parse_helpers_name_the_field(
    parse: Callable[[Mapping[str, str]], object], text: str | None, fault: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        parse({} if text is None else {"status": text})
    assert fault in str(caught.value)


def test_parse_helpers_take_what_is_right() -> None:
    assert parse_int_field({"n": "-12"}, "n") == -12
    assert parse_optional_str({"error": ""}, "error") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("priority", "urgent"), ("error_kind", "nobody"), ("payload", "{"), ("context", "nope"), ("run", "x")],
)
def test_a_broken_hash_is_refused_by_name(field: str, value: str) -> None:
    encoder = JobRecordEncoder()
    with pytest.raises(DecodeError):
        encoder.decode("job-1", {**encoder.encode(FULL), field: value})


@pytest.mark.parametrize("priority", JOB_PRIORITIES)
def test_priorities_round_trip(priority: str) -> None:
    encoder = JobRecordEncoder()
    raw = {**encoder.encode(make_record()), "priority": priority, "error_kind": "user"}
    record = encoder.decode("job-1", raw)
    assert (record["priority"], record["error_kind"]) == (priority, "user")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
TIMES = st.datetimes(timezones=st.just(UTC))


@given(
    message=TEXTS | st.none(),
    moment=TIMES,
    count=st.integers(0, 2**31),
    payload=st.dictionaries(TEXTS, TEXTS),
)
def test_any_record_round_trips(
    message: str | None, moment: datetime, count: int, payload: dict[str, str]
) -> None:
    encoder = JobRecordEncoder()
    record: JobRecord = {
        **make_record(), "message": message, "created_at": moment, "started_at": moment,
        "result_bytes": count, "payload": dict(payload.items()),
    }  # fmt: skip
    assert encoder.decode("job-1", encoder.encode(record)) == record


def test_a_log_is_read_from_a_line_on(store: JobRecordStore, redis: RedisClient) -> None:
    for number in range(5):
        redis.xadd("shop:job:job-1:log", {"level": "warning", "message": f"line {number}"}, max_length=200)
    lines = list(read_log(redis, store.domain, "job-1"))
    assert [line["message"] for line in lines] == [f"line {number}" for number in range(5)]
    assert {line["level"] for line in lines} == {"warning"}
    assert list(read_log(redis, store.domain, "job-1", limit=2)) == lines[:2]
    assert list(read_log(redis, store.domain, "job-1", after=lines[1]["id"], limit=2)) == lines[2:4]
    assert list(read_log(redis, store.domain, "job-1", after=lines[4]["id"])) == []
    assert list(read_log(redis, store.domain, "job-1", after="9999999999999999999-9999999999999999999")) == []
    assert list(read_log(redis, store.domain, "nobody")) == []


@pytest.mark.parametrize("after", ["-", "5", "a-b", "(1-1", "1-1 ", "٣-1", "1" * 20 + "-0"])
def test_what_is_no_id_of_a_line_is_refused_by_name(redis: RedisClient, after: str) -> None:
    with pytest.raises(DecodeError) as caught:
        list(read_log(redis, JobDomain("shop"), "job-1", after=after))
    assert caught.value.path == "$.after"


@pytest.mark.parametrize("job_id", ["", "a b", "a:b", "a\nb", "x" * 129])
def test_an_id_that_cannot_be_part_of_a_key_is_refused(job_id: str, store: JobRecordStore) -> None:
    with pytest.raises(DecodeError, match="job_id"):
        store.save(make_record(job_id))


def test_a_clock_that_is_far_ahead_removes_no_fresh_record(redis: RedisClient, domain: JobDomain) -> None:
    today = JobRecordStore(redis=redis, domain=domain)
    today.save(make_record("fresh", "completed"))
    wrong = FakeClock(datetime.now(UTC) + timedelta(days=400))
    JobRecordStore(redis=redis, domain=domain, clock=wrong).save(make_record("other", "completed"))
    assert JobRecordStore(redis=redis, domain=domain, clock=wrong).purge() == 0
    assert today.load("fresh") is not None


def test_a_log_takes_the_room_that_its_lines_take(real_redis: RedisClient, domain: JobDomain) -> None:
    """A server sets 4 KB aside for a stream's first entry: it was two thirds of what a finished job took."""
    store = JobRecordStore(redis=real_redis, domain=domain)
    real_redis.run_script(store.create_call(make_record()))
    context = make_job_context(
        redis=real_redis, domain=domain, events_channel="shop:events", job_id="job-1", user_id=7,
        queue_name="default",
    )  # fmt: skip
    context.publish_started()
    context.publish_completed(result_id="file-1", result_bytes=3)
    assert [line["message"] for line in read_log(real_redis, domain, "job-1")] == [
        "submitted as image.resize", "started", "completed, result of 3 bytes",
    ]  # fmt: skip
    size = real_redis.connection.memory_usage("shop:job:job-1:log", samples=0)
    assert size is not None
    assert size < 1_000
    assert real_redis.ttl("shop:job:job-1:log") > 0
    assert real_redis.keys("shop:job:*") == ["shop:job:job-1", "shop:job:job-1:log"]
