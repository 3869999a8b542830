"""What nobody could decode is kept for the operator, and only so much of it."""

from pipeline_kit import NOON, keys_without_ttl
from platform_core.clock import to_iso
from platform_workers.event_subscriber import undecodable
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

from platform_notify.undecodable_store import KEPT, UndecodableStore


def test_a_message_is_kept_with_all_that_helps_to_find_its_sender(
    redis: RedisClient, clock: FakeClock
) -> None:
    store = UndecodableStore(redis, clock)
    store.keep(undecodable("turkic:events", "$.type: expected str, found missing", b'{"a":1}'))
    assert store.latest() == [
        {
            "at": to_iso(NOON),
            "channel": "turkic:events",
            "reason": "$.type: expected str, found missing",
            "size": 7,
            "data": '{"a":1}',
        }
    ]
    assert keys_without_ttl(redis) == []


def test_bytes_that_are_no_text_are_kept_readable(redis: RedisClient, clock: FakeClock) -> None:
    store = UndecodableStore(redis, clock)
    store.keep(undecodable("turkic:events", "no", b"\xff\x00\n" + "ä".encode()))
    assert store.latest()[0]["data"] == "\\xff\x00\nä"


def test_a_large_one_is_cut(redis: RedisClient, clock: FakeClock) -> None:
    store = UndecodableStore(redis, clock)
    store.keep(undecodable("turkic:events", "too long", b"x" * 10_000_000))
    kept = store.latest()[0]
    assert (kept["size"], len(kept["data"])) == (10_000_000, 2048)


def test_only_the_latest_are_kept_newest_first(redis: RedisClient, clock: FakeClock) -> None:
    store = UndecodableStore(redis, clock)
    for number in range(KEPT + 5):
        store.keep(undecodable("turkic:events", str(number), b""))
    assert [message["reason"] for message in store.latest()] == [
        str(number) for number in range(KEPT + 4, 4, -1)
    ]
