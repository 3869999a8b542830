"""What nobody could decode is kept for the operator, and only so much of it."""

from pipeline_kit import NOON, keys_without_ttl
from platform_core.clock import to_iso
from platform_core.json_values import encode_json
from platform_workers.event_messages import Unknown, undecodable
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

from platform_notify.undecodable_store import (
    KEPT,
    KEPT_BYTES,
    KEPT_REASON,
    UNDECODABLE_KEY,
    UNHANDLED_KEY,
    UNKNOWN_KEY,
    UndecodableStore,
)


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


def unknown(event_type: str) -> Unknown:
    data = encode_json({"type": event_type}).encode()
    return {"kind": "unknown", "channel": "turkic:events", "event_type": event_type, "data": data}


def test_unknown_ones_are_kept_beside_the_undecodable_ones(redis: RedisClient, clock: FakeClock) -> None:
    """In one list, a newer publisher would push out what a broken one sends."""
    store = UndecodableStore(redis, clock)
    store.keep(undecodable("turkic:events", "no JSON", b"{"))
    for number in range(KEPT + 5):
        store.keep(unknown(f"turkic.job.paused.v{number}"))
    assert [message["reason"] for message in store.latest()] == ["no JSON"]
    kept = store.latest(UNKNOWN_KEY)
    assert (len(kept), kept[0]["reason"]) == (KEPT, "nobody here knows the type turkic.job.paused.v104")
    assert kept[0]["data"] == '{"type":"turkic.job.paused.v104"}'
    assert keys_without_ttl(redis) == []
    store.clear()
    assert (store.latest(), len(store.latest(UNKNOWN_KEY))) == ([], KEPT)


def test_a_hundred_of_ten_megabytes_take_next_to_nothing(redis: RedisClient, clock: FakeClock) -> None:
    """The worst there is: bytes that are written as escapes, with a reason that goes on and on."""
    store = UndecodableStore(redis, clock)
    for _ in range(KEPT):
        store.keep(undecodable("turkic:events", "x" * 1_000_000, b"\xff\x00" * 5_000_000))
    stored = sum(len(text) for text in redis.lrange(UNDECODABLE_KEY, 0, -1))
    assert stored < KEPT * (6 * KEPT_BYTES + KEPT_REASON + 200)


def test_an_unhandled_event_is_kept_whole_until_somebody_has_heard_it_again(
    redis: RedisClient, clock: FakeClock
) -> None:
    store = UndecodableStore(redis, clock)
    events = [f'{{"n":{number},"text":"{"x" * 3000}"}}' for number in range(2)]
    store.keep_unhandled("turkic:events", "KeyError", events[0])
    store.keep_unhandled("turkic:events:log", "KeyError", events[1])
    assert keys_without_ttl(redis) == []
    assert store.publish_again() == [], "nobody listens"
    assert [message["data"] for message in store.latest(UNHANDLED_KEY)] == [events[1], events[0]]
    with LiveEvents(redis) as live:
        live.connect()
        assert [message["data"] for message in store.publish_again()] == events
        heard = [live.next(1.0) for _ in events]
    assert [message["data"].decode() for message in heard if message and message["kind"] != "event"] == events
    assert store.latest(UNHANDLED_KEY) == []
