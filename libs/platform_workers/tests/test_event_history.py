"""Reading the durable logs from a position of one's own, on the fake and on a real server."""

import pytest
from platform_core.job_events import (
    TURKIC,
    default_events_log,
    encode_job_event,
    job_domain,
    make_completed_event,
)

from platform_workers.domains import DOMAINS_KEY
from platform_workers.errors import RedisUnavailableError
from platform_workers.event_history import EventHistory, HistoryPage
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeRedis

LOG = default_events_log(TURKIC)


def append(redis: RedisClient, job_id: str) -> str:
    event = make_completed_event(domain=TURKIC, job_id=job_id, user_id=1, result_id="r", result_bytes=1)
    return redis.xadd(LOG, {"event": encode_job_event(event), "run": "2"}, max_length=1000)


def jobs(page: HistoryPage) -> list[str]:
    return [
        entry["message"]["event"]["job_id"]
        for entry in page["entries"]
        if entry["message"]["kind"] == "event"
    ]


def test_a_log_is_read_page_by_page_from_any_position(redis: RedisClient) -> None:
    ids = [append(redis, f"j{number}") for number in range(5)]
    history = EventHistory(redis, limit=2)
    first = history.page(TURKIC, after="0-0")
    assert (jobs(first), first["more"], first["fate"], first["newest"]) == (
        ["j0", "j1"],
        True,
        "whole",
        ids[4],
    )
    assert [entry["entry_id"] for entry in first["entries"]] == ids[:2]
    assert [(entry["run"], entry["domain"]) for entry in first["entries"]] == [(2, TURKIC)] * 2
    last = history.page(TURKIC, after=ids[3])
    assert (jobs(last), last["more"], last["fate"]) == (["j4"], False, "whole")
    assert history.page(TURKIC, after=ids[4])["entries"] == []


def test_nothing_beyond_the_last_wanted_entry_is_read(redis: RedisClient) -> None:
    """Else a stream that replays up to where live events begin would give some of them twice."""
    ids = [append(redis, f"j{number}") for number in range(4)]
    assert jobs(EventHistory(redis).page(TURKIC, after=ids[0], last=ids[2])) == ["j1", "j2"]


def test_the_newest_entry_and_a_log_that_is_not_there(redis: RedisClient) -> None:
    history = EventHistory(redis)
    assert history.newest(TURKIC) == "0-0"
    assert history.page(TURKIC, after="0-0") == {
        "fate": "whole",
        "newest": "0-0",
        "entries": [],
        "more": False,
    }
    entry_id = append(redis, "j")
    assert history.newest(TURKIC) == entry_id


@pytest.mark.parametrize("keep", [0, 2])
def test_a_position_before_the_first_entry_left_is_told(redis: RedisClient, keep: int) -> None:
    ids = [append(redis, f"j{number}") for number in range(5)]
    history = EventHistory(redis)
    redis.connection.xtrim(LOG, maxlen=keep, approximate=False)
    assert history.page(TURKIC, after=ids[0])["fate"] == "trimmed"
    assert history.page(TURKIC, after="0-0")["fate"] == "trimmed"
    assert jobs(history.page(TURKIC, after="0-0")) == ["j3", "j4"][:keep]
    assert history.page(TURKIC, after=ids[4])["fate"] == "whole"


def test_a_position_that_the_log_never_had_is_told(redis: RedisClient) -> None:
    """A server that lost its data, or another one."""
    history = EventHistory(redis)
    assert history.page(TURKIC, after="5-0")["fate"] == "reset"
    append(redis, "j")
    after = "999999999999999-0"
    assert history.page(TURKIC, after=after)["fate"] == "reset"


def test_an_entry_that_is_no_event_has_its_place(redis: RedisClient) -> None:
    redis.xadd(LOG, {"other": "x", "run": "1", "more": "y"}, max_length=1000)
    append(redis, "j")
    kinds = [entry["message"]["kind"] for entry in EventHistory(redis).page(TURKIC, after="0-0")["entries"]]
    assert kinds == ["undecodable", "event"]


def test_the_domains_that_have_jobs(redis: RedisClient) -> None:
    redis.sadd(DOMAINS_KEY, "turkic", "no domain!", "shop")
    assert EventHistory(redis).domains() == [job_domain("shop"), TURKIC]


def test_without_redis_it_says_so() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        EventHistory(redis).page(TURKIC, after="0-0")


def test_long_entries_fill_a_page_sooner_and_one_that_is_too_long_says_nothing(redis: RedisClient) -> None:
    """Anybody can append anything; a page of 500 entries of 10 MB would fill the memory of both sides."""
    for text in ("x" * 1_500_000, "y" * 3_000_000):
        redis.xadd(LOG, {"event": text}, max_length=1000)
    append(redis, "j")
    first = EventHistory(redis).page(TURKIC, after="0-0")
    assert [entry["message"]["kind"] for entry in first["entries"]] == ["undecodable", "undecodable"]
    reasons = [
        entry["message"]["reason"] for entry in first["entries"] if entry["message"]["kind"] == "undecodable"
    ]
    assert reasons == ["longer than 1048576 bytes", "the entry has no field `event`"]
    assert first["more"]
    assert jobs(EventHistory(redis).page(TURKIC, after=first["entries"][1]["entry_id"])) == ["j"]
