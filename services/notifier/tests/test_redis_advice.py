"""What is said of a Redis in which jobs and mails could be lost, and of one that cannot be asked."""

from contextlib import closing

import pytest
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import EmbeddedRedis

from notifier.redis_advice import advise, read_facts

WELL = {
    "redis_version": "7.2.4",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": "1000",
    "maxmemory_policy": "noeviction",
    "used_memory": "899",
}


def told(facts: dict[str, str]) -> list[tuple[str, str]]:
    return [(finding["grade"], finding["sentence"]) for finding in advise(facts)]


def test_where_all_is_well_one_sentence_says_so() -> None:
    words = "writes an append-only file and evicts nothing."
    assert told(WELL) == [("ok", f"It is Redis 7.2.4, {words}")]
    assert told({**WELL, "valkey_version": "9.1.2"}) == [("ok", f"It is Valkey 9.1.2, {words}")]


@pytest.mark.parametrize(
    ("changes", "grade", "words"),
    [
        ({"redis_version": "5.0.14"}, "fault", "Redis 5.0.14 is too old: 6.2 or later is needed, better 7."),
        ({"redis_version": "6.0.9"}, "fault", "Redis 6.0.9 is too old"),
        ({"redis_version": "6.2.14"}, "warn", "Redis 6.2.14 does not count what was ever added to a log"),
        ({"redis_version": "unstable"}, "warn", "It does not tell its version; 6.2 or later is needed."),
        ({"redis_version": "10.0.0"}, "ok", "It is Redis 10.0.0"),
        (
            {"aof_enabled": "0"},
            "warn",
            "It writes no append-only file: a crash loses what it has acknowledged",
        ),
        ({"aof_last_write_status": "err"}, "fault", "It cannot write its append-only file"),
        ({"rdb_last_bgsave_status": "err"}, "warn", "Its last snapshot failed"),
        (
            {"maxmemory_policy": "allkeys-lru"},
            "warn",
            "Its maxmemory-policy is allkeys-lru: when its memory is",
        ),
        (
            {"maxmemory_policy": "volatile-ttl"},
            "warn",
            "Its maxmemory-policy is volatile-ttl: when its memory",
        ),
        ({"used_memory": "900"}, "warn", "It uses 90 % of the memory it may have; when that is full"),
        ({"maxmemory": "0"}, "ok", "It is Redis"),
        ({"maxmemory": "much"}, "ok", "It is Redis"),
    ],
)
def test_each_weakness_is_told_with_what_to_do(changes: dict[str, str], grade: str, words: str) -> None:
    ((found, sentence),) = told({**WELL, **changes})
    assert (found, sentence[: len(words)]) == (grade, words)


def test_one_that_tells_of_its_version_alone_is_not_taken_for_safe() -> None:
    ((grade, sentence),) = told({"redis_version": "7.0.0"})
    assert (grade, sentence[:60]) == ("warn", "It does not tell whether it writes an append-only file. Ask ")


def test_a_real_server_is_read(redis: RedisClient) -> None:
    facts = read_facts(redis)
    assert set(WELL) <= set(facts)
    assert facts["aof_enabled"] == "0"
    ((grade, sentence),) = told(facts)
    assert (grade, sentence[:29]) == ("warn", "It writes no append-only file")
    with EmbeddedRedis(append_only=True) as safe, closing(safe.client()) as client:
        ((grade, sentence),) = told(read_facts(client))
    assert (grade, sentence[:12]) == ("ok", "It is Valkey")


def test_one_that_does_not_allow_to_ask_is_no_fault(server: EmbeddedRedis, redis: RedisClient) -> None:
    """Hosts forbid INFO or CONFIG; the doctor must not take that for a Redis that cannot be used."""
    redis.connection.acl_setuser(
        "limited", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"]
    )
    try:
        with closing(connect(server.url.replace("redis://", "redis://limited:any@"))) as limited:
            assert read_facts(limited) == {}
    finally:
        redis.connection.acl_deluser("limited")
    ((grade, sentence),) = told({})
    assert grade == "warn"
    assert sentence.startswith("This Redis does not allow to ask it (INFO)")
