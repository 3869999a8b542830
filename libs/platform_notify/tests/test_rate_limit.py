"""The rate limit lets a burst through, then a steady rate, for all replicas together."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_kit import NOON, keys_without_ttl, new_delivery
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import FakeClock, FakeRedis

from platform_notify.claims import Claim
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.providers.secret import Secret
from platform_notify.rate_limit import (
    RateLimit,
    RateRule,
    Unlimited,
    mailtrap_log_rate,
    mailtrap_rate,
)

RULE: RateRule = {"key": "notify:rate:test", "burst": 3, "interval": timedelta(milliseconds=100)}
KEY = Secret("k3y")


def granted(limit: RateLimit, times: int) -> int:
    return sum(limit.take() == 0 for _ in range(times))


def test_a_burst_passes_and_then_one_each_interval(redis: RedisClient, clock: FakeClock) -> None:
    limit = RateLimit(redis, clock, RULE)
    assert [limit.take() for _ in range(4)] == [0, 0, 0, 0.1]
    clock.advance(0.04)
    assert limit.take() == 0.06
    clock.advance(0.06)
    assert [limit.take(), limit.take()] == [0, 0.1]


def test_after_a_rest_the_burst_is_whole_and_no_larger(redis: RedisClient, clock: FakeClock) -> None:
    limit = RateLimit(redis, clock, RULE)
    granted(limit, 3)
    clock.advance(3600)
    assert granted(limit, 10) == 3


def test_a_full_bucket_leaves_no_key(redis: RedisClient, clock: FakeClock) -> None:
    assert redis.ttl(RULE["key"]) == -2
    RateLimit(redis, clock, RULE).take()
    assert keys_without_ttl(redis) == []


def test_replicas_share_one_bucket(redis: RedisClient, clock: FakeClock) -> None:
    # Redis' own clock goes on while the test's stands: one full again in a tenth of a second may be gone.
    slow: RateRule = {**RULE, "interval": timedelta(minutes=1)}
    one, two = RateLimit(redis, clock, slow), RateLimit(redis, clock, slow)
    assert granted(one, 2) + granted(two, 2) == 3


def test_without_redis_there_is_no_permit(clock: FakeClock) -> None:
    absent = connect("redis://127.0.0.1:1/0")
    assert RateLimit(absent, clock, RULE).take() > 0


def test_a_bucket_that_cannot_be_read_gives_no_permit_and_raises_nothing(
    redis: RedisClient, clock: FakeClock
) -> None:
    """It is asked between two requests of a batch; an exception made the mails of the first one unsure."""
    redis.sadd(RULE["key"], "no bucket")
    assert RateLimit(redis, clock, RULE).take() > 0


def test_the_unlimited_always_permits() -> None:
    assert Unlimited().take() == 0


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(min_value=0, max_value=400), min_size=200, max_size=400),
    st.integers(min_value=0, max_value=10_000),
)
def test_mailtrap_never_sees_more_than_150_requests_in_10_seconds(pauses_ms: list[int], rest_ms: int) -> None:
    """Whenever requests are asked for, and wherever the ten seconds begin."""
    redis, clock = FakeRedis(), FakeClock()
    limit = RateLimit(redis, clock, mailtrap_rate(KEY))
    moments: list[float] = []
    for number, pause in enumerate(pauses_ms):
        clock.advance((rest_ms if number % 100 == 99 else pause if number % 7 == 0 else 0) / 1000)
        if limit.take() == 0:
            moments.append(clock.monotonic())
    for start in moments:
        assert sum(start <= moment < start + 10 for moment in moments) <= 150


@pytest.mark.parametrize(
    ("rule", "period", "most"),
    [(mailtrap_rate(KEY), timedelta(seconds=10), 150), (mailtrap_log_rate(KEY), timedelta(seconds=60), 60)],
)
def test_mailtraps_limits_are_kept_to_by_arithmetic(rule: RateRule, period: timedelta, most: int) -> None:
    assert rule["burst"] + period / rule["interval"] <= most
    assert KEY.reveal() not in rule["key"]


def test_another_token_has_a_bucket_of_its_own() -> None:
    assert mailtrap_rate(KEY)["key"] != mailtrap_rate(Secret("other"))["key"]
    assert mailtrap_rate(KEY)["key"] != mailtrap_log_rate(KEY)["key"]


def claim(store: DeliveryStore, token: str) -> Claim:
    return store.claim(EMAIL, "mailtrap", limit=1, lease=timedelta(seconds=60), token=token, rate=RULE)


def test_a_claim_pays_for_one_request_and_is_put_off_when_it_cannot(
    redis: RedisClient, clock: FakeClock
) -> None:
    store = DeliveryStore(redis, clock)
    for number in range(5):
        store.add(new_delivery(f"j{number}"))
    assert [claim(store, str(number))["verdict"] for number in range(3)] == ["claimed"] * 3
    limited = claim(store, "3")
    assert (limited["verdict"], limited["deliveries"]) == ("limited", [])
    assert limited.get("again_at") == NOON + timedelta(milliseconds=100)
    clock.advance(0.1)
    assert claim(store, "4")["verdict"] == "claimed"


def test_looking_when_nothing_is_due_costs_nothing(redis: RedisClient, clock: FakeClock) -> None:
    store = DeliveryStore(redis, clock)
    assert [claim(store, str(number))["verdict"] for number in range(9)] == ["none"] * 9
    assert redis.ttl(RULE["key"]) == -2
