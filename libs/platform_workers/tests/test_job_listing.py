"""Pages of jobs: newest first, by every combination of filters, none skipped and none twice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, combinations

import pytest
from builders import CREATED, make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platform_core.clock import to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import TURKIC, JobDomain, job_domain
from platform_core.job_types import JOB_STATUSES, JobRecord, JobStatusLiteral

from platform_workers.job_listing import (
    JobFilter,
    JobPage,
    Position,
    decode_cursor,
    encode_cursor,
    list_jobs,
)
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import required_str
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis

SHOP = job_domain("shop")
FILTERS = ("status", "job_type", "user_id")


def read_id(domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> str:
    return f"{domain}/{job_id}"


def page_of(
    redis: RedisClient,
    wanted: JobFilter | None = None,
    *,
    domains: Sequence[JobDomain] = (SHOP,),
    limit: int = 50,
    cursor: str | None = None,
) -> JobPage[str]:
    return list_jobs(redis, domains, wanted or {}, limit=limit, cursor=cursor, read=read_id)


def pages_of(
    redis: RedisClient,
    wanted: JobFilter | None = None,
    *,
    domains: Sequence[JobDomain] = (SHOP,),
    limit: int = 50,
) -> Iterator[list[str]]:
    cursor: str | None = None
    while True:
        page = page_of(redis, wanted, domains=domains, limit=limit, cursor=cursor)
        yield page["jobs"]
        if "next_cursor" not in page:
            return
        cursor = page["next_cursor"]


def all_of(redis: RedisClient, wanted: JobFilter | None = None) -> list[str]:
    return [job.removeprefix("shop/") for page in pages_of(redis, wanted, limit=3) for job in page]


def job(job_id: str, **changes: object) -> JobRecord:
    record = make_record(job_id)
    known: dict[str, object] = {**record, **changes}
    assert known.keys() == record.keys()
    record["status"] = next(word for word in JOB_STATUSES if word == known["status"])
    record["job_type"] = str(known["job_type"])
    record["user_id"] = int(str(known["user_id"]))
    created = known["created_at"]
    assert isinstance(created, datetime)
    record["created_at"] = created
    return record


def test_newest_first_by_creation_and_not_by_the_time_of_writing(
    store: JobRecordStore, redis: RedisClient
) -> None:
    """An import writes old jobs later than new ones; the list goes by `created_at`."""
    store.save(job("new", created_at=CREATED + timedelta(hours=1)))
    store.save(job("old", created_at=CREATED))
    assert all_of(redis) == ["new", "old"]
    store.save(job("old", created_at=CREATED, status="processing"))
    assert all_of(redis) == ["new", "old"]


def test_a_page_is_full_and_the_last_one_has_no_cursor(store: JobRecordStore, redis: RedisClient) -> None:
    for number in range(6):
        store.save(job(f"job-{number}"))
    assert [len(page) for page in pages_of(redis, limit=3)] == [3, 3]
    assert [len(page) for page in pages_of(redis, limit=4)] == [4, 2]
    assert list(pages_of(redis, {"status": "failed"})) == [[]]


def test_every_combination_of_filters_is_answered_from_one_set(
    store: JobRecordStore, redis: RedisClient
) -> None:
    """The jobs by brute force, and the same from the one set of each combination, before and after moves."""
    jobs = {
        f"{status}-{job_type}-{user_id}": job(
            f"{status}-{job_type}-{user_id}", status=status, job_type=job_type, user_id=user_id
        )
        for status in JOB_STATUSES
        for job_type in ("a.b", "c")
        for user_id in (7, -8)
    }
    for record in jobs.values():
        store.save(record)
    move: dict[JobStatusLiteral, JobStatusLiteral] = {
        "queued": "processing", "processing": "failed", "failed": "queued", "completed": "completed",
        "cancelled": "queued",
    }  # fmt: skip
    for _ in range(3):
        for parts in chain.from_iterable(
            combinations(("status", "job_type", "user_id"), n) for n in range(4)
        ):
            for status in JOB_STATUSES:
                wanted: JobFilter = {}
                if "status" in parts:
                    wanted["status"] = status
                if "job_type" in parts:
                    wanted["job_type"] = "a.b"
                if "user_id" in parts:
                    wanted["user_id"] = -8
                expected = sorted(
                    name
                    for name, record in jobs.items()
                    if record["status"] == wanted.get("status", record["status"])
                    and record["job_type"] == wanted.get("job_type", record["job_type"])
                    and record["user_id"] == wanted.get("user_id", record["user_id"])
                )
                assert sorted(all_of(redis, wanted)) == expected, wanted
        for record in jobs.values():
            record["status"] = move[record["status"]]
            store.save(record)


def test_times_bound_a_list_from_and_before(store: JobRecordStore, redis: RedisClient) -> None:
    for hour in range(5):
        store.save(job(f"at-{hour}", created_at=CREATED + timedelta(hours=hour)))

    def between(low: int, high: int) -> list[str]:
        return all_of(
            redis,
            {
                "created_from": CREATED + timedelta(hours=low),
                "created_before": CREATED + timedelta(hours=high),
            },
        )

    assert between(1, 3) == ["at-2", "at-1"]
    assert between(-9, 99) == ["at-4", "at-3", "at-2", "at-1", "at-0"]
    assert between(3, 3) == []
    assert all_of(redis, {"created_from": CREATED + timedelta(hours=3)}) == ["at-4", "at-3"]
    assert all_of(redis, {"created_before": CREATED + timedelta(hours=2)}) == ["at-1", "at-0"]


def test_a_job_that_has_left_the_list_still_marks_the_place(
    store: JobRecordStore, redis: RedisClient
) -> None:
    """All in one millisecond: the page goes on exactly behind a job that is gone, and leaves no trace."""
    for number in range(9):
        store.save(job(f"job-{number}"))
    first = page_of(redis, {"status": "queued"}, limit=4)
    assert first["jobs"] == ["shop/job-8", "shop/job-7", "shop/job-6", "shop/job-5"]
    store.save(job("job-5", status="processing"))
    second = page_of(redis, {"status": "queued"}, limit=9, cursor=first["next_cursor"])
    assert second["jobs"] == [f"shop/job-{number}" for number in (4, 3, 2, 1, 0)]
    assert "job-5" not in redis.zrange("shop:jobs:status:queued", 0, -1)
    for number in range(9):
        store.save(job(f"job-{number}", status="processing"))
    assert page_of(redis, {"status": "queued"}, cursor=first["next_cursor"])["jobs"] == []
    assert redis.keys("shop:jobs:status:queued*") == []


@pytest.mark.parametrize(("hours", "left"), [(1, ["b", "a"]), (-1, ["b", "a", "c"])])
def test_a_cursor_holds_when_its_job_was_made_anew_elsewhere(
    redis: RedisClient, store: JobRecordStore, hours: int, left: list[str]
) -> None:
    for name in ("a", "b", "c", "d"):
        store.save(job(name))
    first = page_of(redis, limit=2)
    assert first["jobs"] == ["shop/d", "shop/c"]
    redis.delete("shop:job:c")
    store.save(job("c", created_at=CREATED + timedelta(hours=hours)))
    rest = page_of(redis, cursor=first["next_cursor"])["jobs"]
    assert rest == [f"shop/{name}" for name in left]
    assert sorted(all_of(redis)) == ["a", "b", "c", "d"]


def test_thousands_in_one_millisecond(real_redis: RedisClient) -> None:
    store = JobRecordStore(redis=real_redis, domain=SHOP)
    for number in range(2000):
        store.save(job(f"job-{number:04}"))
    seen = [name for page in pages_of(real_redis, limit=170) for name in page]
    assert seen == [f"shop/job-{number:04}" for number in reversed(range(2000))]


def test_expired_records_are_passed_over_and_leave_the_indexes(real_redis: RedisClient) -> None:
    """Redis has removed 800 hashes, the newest and the oldest; the page is full all the same."""
    store = JobRecordStore(redis=real_redis, domain=SHOP)
    for number in range(1200):
        store.save(job(f"job-{number:04}", status="completed"))
    gone = [*range(300), *range(640, 1200)]
    real_redis.delete(*(f"shop:job:job-{number:04}" for number in gone))
    page = page_of(real_redis, limit=50)
    assert page["jobs"] == [f"shop/job-{number:04}" for number in reversed(range(590, 640))]
    everything = [name for page in pages_of(real_redis, limit=50) for name in page]
    assert everything == [f"shop/job-{number:04}" for number in reversed(range(300, 640))]
    # Whoever reads takes the oldest ones out of every index, a few each time, and those it meets out of this.
    assert real_redis.zcard("shop:jobs:all") == 340
    assert real_redis.zcard("shop:jobs:type:image.resize:user:7") == 900


def test_a_record_that_somebody_changed_past_the_index_is_not_shown(
    store: JobRecordStore, redis: RedisClient
) -> None:
    store.save(job("a"))
    store.save(job("b"))
    redis.hset("shop:job:a", {"status": "processing"})
    assert all_of(redis, {"status": "queued"}) == ["b"]
    redis.hset("shop:job:a", {"status": "queued"})
    assert all_of(redis, {"status": "queued"}) == ["b", "a"]


def test_several_domains_are_one_list(redis: RedisClient, clock: FakeClock) -> None:
    domains = [job_domain(name) for name in ("b", "a", "c")]
    expected: list[tuple[datetime, str, str]] = []
    for domain in domains:
        store = JobRecordStore(redis=redis, domain=domain, clock=clock)
        for number in range(7):
            created = CREATED + timedelta(milliseconds=number % 3)
            store.save(job(f"job-{number}", created_at=created))
            expected.append((created, domain, f"job-{number}"))
    names = [f"{domain}/{job_id}" for _, domain, job_id in sorted(expected, reverse=True)]
    for limit in (1, 2, 5, 50):
        seen = [name for page in pages_of(redis, domains=domains, limit=limit) for name in page]
        assert seen == names, limit
    assert page_of(redis, domains=[])["jobs"] == []


def test_what_cannot_be_read_is_left_out_and_told(store: JobRecordStore, redis: RedisClient) -> None:
    for number in range(5):
        store.save(job(f"job-{number}"))

    def read(domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> str:
        if job_id in {"job-4", "job-2"}:
            raise DecodeError("run", "int", "str")
        return job_id

    page = list_jobs(redis, [SHOP], {}, limit=2, read=read)
    assert page["jobs"] == ["job-3", "job-1"]
    assert page["unreadable"] == [
        "shop/job-4: run: expected int, found str",
        "shop/job-2: run: expected int, found str",
    ]
    page = list_jobs(redis, [SHOP], {}, limit=2, cursor=page["next_cursor"], read=read)
    assert page == {"jobs": ["job-0"], "unreadable": []}


def test_a_page_ends_at_many_records_that_cannot_be_read(
    store: JobRecordStore, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A team's own ones may be a million; 30,000 of them took 1.5 s, for one page."""
    monkeypatch.setattr("platform_workers.job_listing.MAX_UNREADABLE", 3)
    store.save(job("a-job"))
    for number in range(5):
        store.save(job(f"job-{number}"))

    def read(domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> str:
        if job_id != "a-job":
            raise DecodeError("run", "int", "str")
        return job_id

    page = list_jobs(redis, [SHOP], {}, limit=2, read=read)
    assert (page["jobs"], len(page["unreadable"])) == ([], 3)
    page = list_jobs(redis, [SHOP], {}, limit=2, cursor=page["next_cursor"], read=read)
    assert (page["jobs"], len(page["unreadable"])) == (["a-job"], 2)
    assert "next_cursor" not in page


def test_what_is_no_hash_is_left_out_and_told(store: JobRecordStore, redis: RedisClient) -> None:
    """One such key made every list of its domain fail."""
    for number in range(3):
        store.save(job(f"job-{number}"))
    redis.delete("shop:job:job-1")
    redis.set("shop:job:job-1", "somebody else's")

    def read(domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> str:
        return f"{job_id} {required_str(fields, 'status')}"

    page = list_jobs(redis, [SHOP], {"status": "queued"}, limit=5, read=read)
    assert page["jobs"] == ["job-2 queued", "job-0 queued"]
    assert page["unreadable"] == ["shop/job-1: status: expected str, found missing"]


def test_the_fields_are_those_of_a_summary(store: JobRecordStore, redis: RedisClient) -> None:
    record = job("a")
    record["context"] = {"email": "anna@example.com"}
    record["locked_by"] = "worker-1"
    store.save(record)

    def read(domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> dict[str, str]:
        return {**fields}

    (fields,) = list_jobs(redis, [SHOP], {}, limit=2, read=read)["jobs"]
    assert fields == {
        "user_id": "7", "status": "queued", "progress": "0", "created_at": to_iso(CREATED),
        "updated_at": to_iso(CREATED), "job_type": "image.resize", "priority": "normal", "queue": "default",
        "attempt_count": "0", "max_attempts": "3", "run": "1", "locked_by": "worker-1",
    }  # fmt: skip


@pytest.mark.parametrize("job_type", ["", "a b", "a:user:7", "x" * 129])
def test_a_job_type_that_would_name_another_set_is_refused(redis: RedisClient, job_type: str) -> None:
    with pytest.raises(DecodeError, match="job_type"):
        page_of(redis, {"job_type": job_type})


POSITIONS: st.SearchStrategy[Position] = st.builds(
    lambda created_ms, domain, job_id: Position(
        created_ms=created_ms, domain=job_domain(domain), job_id=job_id
    ),
    st.integers(-(2**53), 2**53),
    st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
    st.text(st.characters(categories=["L", "N", "P"], exclude_characters=":"), min_size=1, max_size=128),
)


@given(POSITIONS)
def test_a_cursor_comes_back_as_it_was(position: Position) -> None:
    text = encode_cursor(position)
    assert decode_cursor(text) == position
    assert text.isascii()
    assert not set(text) & set("+/=&? ")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "====", "e30", "!" * 40,
     encode_cursor({"created_ms": 1, "domain": TURKIC, "job_id": "a"})[:-3],
     encode_cursor({"created_ms": 2**60, "domain": TURKIC, "job_id": "a"}),
     encode_cursor({"created_ms": 1, "domain": TURKIC, "job_id": "a:b"})],
)  # fmt: skip
def test_a_text_that_is_no_cursor_is_refused_by_name(redis: RedisClient, cursor: str) -> None:
    with pytest.raises(DecodeError) as caught:
        page_of(redis, cursor=cursor)
    assert caught.value.path == "$.cursor"


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_breaks_the_decoder(cursor: str) -> None:
    with suppress(DecodeError):
        decode_cursor(cursor)


NAMES = [f"job-{number}" for number in range(12)]
Move = tuple[str, JobStatusLiteral | None]
MOVES: st.SearchStrategy[list[Move]] = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([*JOB_STATUSES, None])), max_size=6
)


def play(
    redis: RedisClient,
    starts: Sequence[tuple[int, JobStatusLiteral]],
    moves: Sequence[list[Move]],
    limit: int,
) -> None:
    """Read every page of the queued jobs with moves in between; compare with what matched throughout."""
    stores = [JobRecordStore(redis=redis, domain=domain) for domain in (SHOP, TURKIC)]
    status: dict[str, JobStatusLiteral | None] = {}
    created: dict[str, datetime] = {}
    for number, (milliseconds, word) in enumerate(starts):
        created[NAMES[number]] = CREATED + timedelta(milliseconds=milliseconds)
        put(stores[number % 2], NAMES[number], word, created, status)
    throughout = {name for name, word in status.items() if word == "queued"}
    ever = set(throughout)
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(len(starts) + sum(map(len, moves)) + 1):
        page = page_of(redis, {"status": "queued"}, domains=(SHOP, TURKIC), limit=limit, cursor=cursor)
        seen.extend(name.partition("/")[2] for name in page["jobs"])
        if "next_cursor" not in page:
            break
        assert len(page["jobs"]) == limit
        cursor = page["next_cursor"]
        for name, moved_to in moves[turn] if turn < len(moves) else []:
            created.setdefault(name, CREATED + timedelta(milliseconds=NAMES.index(name) % 3))
            put(stores[NAMES.index(name) % 2], name, moved_to, created, status)
            if moved_to == "queued":
                ever.add(name)
            else:
                throughout.discard(name)
    else:
        raise AssertionError("the pages do not end")
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen) <= ever


def put(
    store: JobRecordStore,
    name: str,
    word: JobStatusLiteral | None,
    created: Mapping[str, datetime],
    status: dict[str, JobStatusLiteral | None],
) -> None:
    """Give a job a status; None lets its record expire."""
    if word is not None:
        store.save(job(name, status=word, created_at=created[name]))
    elif name in status:
        store._redis.delete(f"{store.domain}:job:{name}")
    status[name] = word


STARTS: st.SearchStrategy[list[tuple[int, JobStatusLiteral]]] = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["queued", "queued", "processing", "completed"])),
    max_size=9,
)


@settings(deadline=None, max_examples=60)
@given(STARTS, st.lists(MOVES, max_size=6), st.integers(1, 4))
def test_pages_neither_skip_nor_repeat_while_jobs_move(
    starts: list[tuple[int, JobStatusLiteral]], moves: list[list[Move]], limit: int
) -> None:
    play(FakeRedis(), starts, moves, limit)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STARTS, st.lists(MOVES, max_size=6), st.integers(1, 4))
def test_nor_on_a_real_server(
    real_redis: RedisClient, starts: list[tuple[int, JobStatusLiteral]], moves: list[list[Move]], limit: int
) -> None:
    real_redis.connection.flushall()
    play(real_redis, starts, moves, limit)
