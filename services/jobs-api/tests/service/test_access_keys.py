"""Keys, where they lie, how they are cached, and how requests and streams are counted."""

import asyncio
import re
from datetime import timedelta

import pytest
from access_kit import Keys, key_id_of
from fakeredis import FakeServer
from platform_core.job_events import job_domain
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from typing_extensions import override

from jobs_api.access.key_ring import KeyRing
from jobs_api.access.key_store import (
    KEYS,
    USED,
    KeyStore,
    KeyTable,
    KeyUnknownError,
    SessionStore,
    usable_keys,
)
from jobs_api.access.keys import KeyNameError, has_expired, is_right, make_key, split_text
from jobs_api.access.places import StreamPlaces
from jobs_api.access.rates import TokenBuckets


def test_a_key_is_shown_once_and_only_its_digest_is_kept(vault: RedisClient, keys: Keys) -> None:
    text = keys.new("read", "manage", domains=["turkic", "files", "files"])
    parts = split_text(text)
    assert parts is not None
    assert re.fullmatch(r"jobs_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text)
    stored = "".join(vault.hgetall(KEYS).values())
    assert parts[1] not in stored
    key = KeyStore(vault).load()["keys"][parts[0]]
    assert (key["scopes"], key["domains"]) == (["read", "manage"], ["files", "turkic"])
    assert is_right(key, parts[1])
    assert not is_right(key, parts[1][:-1] + ("A" if parts[1][-1] != "A" else "B"))
    assert not is_right(None, parts[1])


def test_two_keys_have_nothing_in_common(keys: Keys) -> None:
    texts = {keys.new("read") for _ in range(20)}
    assert len({split_text(text) for text in texts}) == 20


@pytest.mark.parametrize(
    "text",
    ["", "jobs_", "jobs_0123456789ab_", "jobs_0123456789AB_" + "x" * 43, "jobs_0123456789ab_" + "x" * 44,
     "jobs_0123456789ab_" + "x" * 43 + "\n", "jobs_0123456789ab_" + "é" * 43],
)  # fmt: skip
def test_what_is_no_key_is_none(text: str) -> None:
    assert split_text(text) is None


@pytest.mark.parametrize("name", ["", "x" * 65, "two\nlines", "bell\x07", "\ud800"])
def test_a_name_can_be_shown_on_one_line(name: str) -> None:
    with pytest.raises(KeyNameError, match="visible"):
        make_key(name=name, scopes=["read"], domains=[], now=FakeClock().now())


def test_a_key_expires_at_its_time_and_not_before() -> None:
    clock = FakeClock()
    made = make_key(name="x", scopes=["read"], domains=[], now=clock.now(), lasts=timedelta(days=1))
    clock.advance(86_399)
    assert not has_expired(made.key, clock.now())
    clock.advance(1)
    assert has_expired(made.key, clock.now())


@pytest.mark.parametrize("real", [True, False])
def test_a_revoked_key_stays_in_the_list(vault: RedisClient, real: bool) -> None:
    store, clock = KeyStore(vault if real else FakeRedis()), FakeClock()
    made = make_key(name="x", scopes=["read"], domains=[job_domain("files")], now=clock.now())
    store.save(made.key)
    assert usable_keys(store.load(), clock.now()) == [made.key]
    store.revoke(made.key["key_id"], clock.now())
    first = store.load()["revoked"]
    clock.advance(60)
    store.revoke(made.key["key_id"], clock.now())
    assert store.load()["revoked"] == first
    assert list(store.load()["keys"]) == [made.key["key_id"]]
    assert usable_keys(store.load(), clock.now()) == []
    with pytest.raises(KeyUnknownError, match="no key 'nope'"):
        store.revoke("nope", clock.now())


def test_a_session_is_kept_as_a_digest_and_ends(vault: RedisClient) -> None:
    sessions = SessionStore(vault)
    secret = sessions.open("0123456789ab")
    assert sessions.key_id_of(secret) == "0123456789ab"
    [stored] = vault.keys("jobs-api:session:*")
    assert secret not in stored
    assert 43_000 < vault.ttl(stored) <= 43_200
    sessions.close(secret)
    assert sessions.key_id_of(secret) is None


class CountingStore(KeyStore):
    """Counts how often the keys are read."""

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis)
        self.reads = 0

    @override
    def load(self) -> KeyTable:
        self.reads += 1
        return super().load()


def ring_over(store: KeyStore, clock: FakeClock, *, local: bool = False) -> tuple[KeyRing, FakeLogger]:
    logger = FakeLogger()
    return KeyRing(store, local=local, clock=clock, logger=logger), logger


def test_reading_costs_no_question_to_redis_for_two_seconds(
    vault: RedisClient, keys: Keys, clock: FakeClock
) -> None:
    store = CountingStore(vault)
    key_id = key_id_of(keys.new("read"))
    ring, _ = ring_over(store, clock)

    async def look() -> bool:
        return (await ring.look_up(key_id))["revoked"]

    async def use() -> None:
        # At once: one of them reads and the others wait for it.
        await asyncio.gather(*(look() for _ in range(100)))
        assert store.reads == 1
        clock.advance(1.9)
        store.revoke(key_id, clock.now())
        assert not await look()
        clock.advance(0.2)
        assert await look()
        assert store.reads == 2

    asyncio.run(use())


def test_a_key_just_made_is_known_soon_and_invented_ids_cost_little(
    vault: RedisClient, clock: FakeClock
) -> None:
    store, keys = CountingStore(vault), Keys(vault, FakeClock())
    ring, _ = ring_over(store, clock)

    async def use() -> None:
        await ring.look_up(None)
        key_id = key_id_of(keys.new("read"))
        assert (await ring.look_up(key_id))["key"] is None
        clock.advance(0.2)
        assert (await ring.look_up(key_id))["key"] is not None
        for number in range(1000):
            assert (await ring.look_up(f"{number:012x}"))["key"] is None
        assert store.reads == 2

    asyncio.run(use())


def test_keys_are_needed_from_the_first_on_and_for_ever(
    vault: RedisClient, keys: Keys, clock: FakeClock
) -> None:
    """Also when the last one is revoked: whoever took the keys away did not mean to open the door."""
    store = KeyStore(vault)
    ring, logger = ring_over(store, clock, local=True)

    async def required() -> bool:
        clock.advance(3)
        return (await ring.look_up(None))["required"]

    async def use() -> None:
        assert not await required()
        key_id = key_id_of(keys.new("read"))
        assert await required()
        store.revoke(key_id, clock.now())
        assert await required()
        assert await required()

    asyncio.run(use())
    assert logger.events() == ["access.open", "access.keys_required"]


def test_an_api_for_others_is_never_open(vault: RedisClient) -> None:
    ring, _ = ring_over(KeyStore(vault), FakeClock())
    assert asyncio.run(ring.look_up(None))["required"]


def test_without_redis_nobody_gets_in_by_what_was_known() -> None:
    memory, clock = FakeServer(version=(7, 2)), FakeClock()
    client = FakeRedis(memory)
    key_id = key_id_of(Keys(client, clock).new("read"))
    ring, _ = ring_over(KeyStore(client), clock)

    async def use() -> None:
        await ring.look_up(key_id)
        memory.connected = False
        clock.advance(2)
        with pytest.raises(RedisUnavailableError):
            await ring.look_up(key_id)

    asyncio.run(use())


def test_all_who_wait_share_the_fault_of_one_reading() -> None:
    """A Redis that is silent costs each its one time-out, and not the sum of those before it in a row."""
    memory = FakeServer(version=(7, 2))
    memory.connected = False
    store = CountingStore(FakeRedis(memory))
    ring, _ = ring_over(store, FakeClock())

    async def use() -> None:
        answers = await asyncio.gather(*(ring.look_up(None) for _ in range(10)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [RedisUnavailableError] * 10
        assert store.reads == 1
        memory.connected = True
        assert (await ring.look_up(None))["required"]

    asyncio.run(use())


def test_whoever_leaves_while_the_keys_are_read_takes_nobody_along(vault: RedisClient) -> None:
    store = CountingStore(vault)
    ring, _ = ring_over(store, FakeClock())

    async def use() -> None:
        first, second = asyncio.create_task(ring.look_up(None)), asyncio.create_task(ring.look_up(None))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)["required"]
        assert store.reads == 1

    asyncio.run(use())


def test_a_key_that_cannot_be_read_lets_nobody_in_and_opens_nothing(vault: RedisClient) -> None:
    vault.hset(KEYS, {"0123456789ab": '{"name":"x"}'})
    ring, logger = ring_over(KeyStore(vault), FakeClock(), local=True)
    for _ in range(2):
        assert ring.read()["damaged"] == ["0123456789ab"]
    known = asyncio.run(ring.look_up("0123456789ab"))
    assert (known["required"], known["key"]) == (True, None)
    assert logger.events("error") == ["access.damaged_key"]


def test_the_last_use_is_noted_once_a_minute() -> None:
    memory, clock = FakeServer(version=(7, 2)), FakeClock()
    client = FakeRedis(memory)
    store = KeyStore(client)
    ring, _ = ring_over(store, clock)

    def used_after(seconds: float) -> str:
        clock.advance(seconds)
        asyncio.run(ring.note_use("0123456789ab", clock.now()))
        return store.last_uses()["0123456789ab"]

    first = used_after(0)
    assert used_after(59) == first
    second = used_after(1)
    assert second > first
    memory.connected = False
    clock.advance(60)
    # It must not fail a request that is let in.
    asyncio.run(ring.note_use("0123456789ab", clock.now()))
    memory.connected = True
    assert client.hgetall(USED) == {"0123456789ab": second}


def test_a_bucket_gives_a_second_s_worth_at_once_and_then_the_rate() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(10, clock=clock)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") == pytest.approx(0.1)
    assert buckets.take("b") == 0.0
    clock.advance(0.25)
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]
    clock.advance(1000)
    assert [buckets.take("a") > 0 for _ in range(11)] == [False] * 10 + [True]


def test_buckets_take_no_more_memory_than_allowed() -> None:
    buckets = TokenBuckets(1, clock=FakeClock(), max_buckets=3)
    for number in range(100):
        buckets.take(str(number))
    assert len(buckets) == 3
    assert buckets.take("99") > 0
    assert buckets.take("0") == 0.0


def test_without_a_rate_nothing_is_counted() -> None:
    buckets = TokenBuckets(0, clock=FakeClock())
    assert [buckets.take("a") for _ in range(1000)] == [0.0] * 1000
    assert len(buckets) == 0


def test_places_are_counted_for_each_and_in_all() -> None:
    places = StreamPlaces(in_all=3, for_one=2)
    assert [places.take(who) for who in ("a", "a", "a", "b", "b")] == [None, None, "too-many", None, "full"]
    places.give_back("a")
    assert places.take("b") is None
    for who in ("a", "b", "b"):
        places.give_back(who)
    assert places.taken() == 0
