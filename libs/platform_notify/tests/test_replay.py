"""Dead deliveries are brought back: one, or all of a domain or provider."""

from datetime import timedelta

import pytest
from pipeline_kit import NOON, keys_without_ttl, new_delivery
from platform_core.job_events import QR, TURKIC, JobDomain
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

from platform_notify.deliveries import EMAIL, Delivery, NewDelivery, delivery_id_of
from platform_notify.delivery_store import (
    RETENTION,
    DeliveryStore,
    Settlement,
    dead_key,
    job_deliveries_key,
)
from platform_notify.digests import GatheringRule
from platform_notify.providers.base import ErrorClass
from platform_notify.replay import ReplayReport, ReplayWish, find_dead, replay_dead


@pytest.fixture
def store(redis: RedisClient, clock: FakeClock) -> DeliveryStore:
    return DeliveryStore(redis, clock)


def make(job_id: str, domain: JobDomain = TURKIC) -> NewDelivery:
    named = delivery_id_of(domain, job_id, 1, "SUCCESS", EMAIL, "anna@example.com")
    return {**new_delivery(job_id), "domain": domain, "delivery_id": named}


def kill(
    store: DeliveryStore,
    job_id: str = "j1",
    *,
    domain: JobDomain = TURKIC,
    provider: str = "mailtrap",
    unsure: bool = False,
    faults: tuple[ErrorClass, ...] = (),
) -> Delivery:
    """Make a delivery, let it be tried once and given up; its record says these faults of its attempts."""
    delivery = make(job_id, domain)
    store.add(delivery)
    store.claim(EMAIL, provider, limit=1, lease=timedelta(seconds=9), token="t")
    settlement: Settlement = {
        "delivery_id": delivery["delivery_id"],
        "domain": domain,
        "job_id": job_id,
        "state": "dead",
        "counts": True,
        "detail": "it was refused",
    }
    if unsure:
        settlement["unsure"] = "yes"
    if faults:
        settlement["attempts"] = [
            {
                "at": NOON,
                "provider": provider,
                "result": fault,
                "detail": "550 no such user",
                "ambiguous": False,
                "duration_ms": 1,
            }
            for fault in faults
        ]
    store.settle(EMAIL, "t", [settlement])
    return found(store, delivery["delivery_id"])


def found(store: DeliveryStore, delivery_id: str) -> Delivery:
    delivery = store.find(delivery_id)
    assert delivery is not None
    return delivery


def job_ids(report: ReplayReport) -> list[str]:
    return sorted(delivery["job_id"] for delivery in report["replayed"])


def test_a_replayed_delivery_is_due_and_counts_anew(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    dead = kill(store)
    clock.advance(60)
    report = replay_dead(store, EMAIL, {"delivery_id": dead["delivery_id"]})
    assert (job_ids(report), report["unsure"], report["unreadable"]) == (["j1"], 0, 0)
    back = found(store, dead["delivery_id"])
    assert back["state"] == "waiting"
    assert back.get("due_at") == NOON + timedelta(seconds=60)
    assert back.get("replays") == [{"at": NOON + timedelta(seconds=60), "was": "it was refused"}]
    assert "attempt" not in back
    assert "first_attempt_at" not in back
    assert "settled_at" not in back
    assert "unsure" not in back
    assert store.sizes(EMAIL)["dead"] == 0
    # It stays as long as it waits.
    assert redis.ttl(f"notify:delivery:{dead['delivery_id']}") == -1
    again = store.claim(EMAIL, "smtp", limit=9, lease=timedelta(seconds=9), token="u")
    assert [delivery.get("attempt") for delivery in again["deliveries"]] == [1]


def test_a_delivery_can_die_and_come_back_twice(store: DeliveryStore, clock: FakeClock) -> None:
    dead = kill(store)
    replay_dead(store, EMAIL, {})
    kill(store)
    clock.advance(5)
    replay_dead(store, EMAIL, {})
    replays = found(store, dead["delivery_id"]).get("replays", [])
    assert [note["at"] for note in replays] == [NOON, NOON + timedelta(seconds=5)]


def test_what_may_have_been_delivered_is_sent_all_the_same(store: DeliveryStore) -> None:
    dead = kill(store, unsure=True)
    assert replay_dead(store, EMAIL, {})["unsure"] == 1
    assert found(store, dead["delivery_id"]).get("unsure") == "send_anyway"


@pytest.mark.parametrize(
    ("wish", "replayed"),
    [
        ({}, ["a", "b", "c"]),
        ({"domain": TURKIC}, ["a", "b"]),
        ({"provider": "mailtrap"}, ["a", "c"]),
        ({"domain": TURKIC, "provider": "smtp"}, ["b"]),
        ({"domain": QR, "provider": "smtp"}, []),
        ({"delivery_id": "none such"}, []),
    ],
)
def test_only_what_fits_the_wish_comes_back(
    store: DeliveryStore, wish: ReplayWish, replayed: list[str]
) -> None:
    kill(store, "a")
    kill(store, "b", provider="smtp")
    kill(store, "c", domain=QR)
    assert job_ids(replay_dead(store, EMAIL, wish)) == replayed
    assert store.sizes(EMAIL) == {
        "waiting": len(replayed),
        "dead": 3 - len(replayed),
        **({"oldest_due_at": NOON} if replayed else {}),
    }


def test_what_is_not_dead_is_left_alone(store: DeliveryStore, clock: FakeClock) -> None:
    dead = kill(store)
    assert store.replay(dead)
    assert not store.replay(dead)
    clock.advance(1)
    died_again = kill(store)
    # Whoever looked before it died again knows too little to bring it back.
    assert not store.replay(dead)
    assert store.replay(died_again)


def test_records_that_are_gone_or_broken_stay_where_they_are(
    store: DeliveryStore, redis: RedisClient
) -> None:
    broken = kill(store, "broken")
    redis.hset(f"notify:delivery:{broken['delivery_id']}", {"facts": "no json"})
    redis.zadd(dead_key(EMAIL), {"expired": 1.0})
    report = replay_dead(store, EMAIL, {})
    assert (report["replayed"], report["unreadable"]) == ([], 1)
    assert redis.zcard(dead_key(EMAIL)) == 2


def test_a_dead_record_expires_and_a_replayed_one_too_once_it_is_settled(
    store: DeliveryStore, redis: RedisClient
) -> None:
    kill(store)
    assert keys_without_ttl(redis) == [dead_key(EMAIL)]
    replay_dead(store, EMAIL, {})
    kill(store)
    assert keys_without_ttl(redis) == [dead_key(EMAIL)]


def test_what_the_provider_refused_for_itself_is_left_out_if_that_is_wished(store: DeliveryStore) -> None:
    """It would be refused again; only the last attempt counts, for a fault may come before a refusal."""
    kill(store, "away", faults=("connect", "server"))
    kill(store, "once", faults=("refused", "timeout"))
    refused = kill(store, "wrong", faults=("timeout", "refused"))
    wish: ReplayWish = {"provider": "mailtrap", "spare_refused": True}
    report = replay_dead(store, EMAIL, wish)
    assert (job_ids(report), report["refused"]) == (["away", "once"], 1)
    assert store.dead_ids(EMAIL) == [refused["delivery_id"]]
    report = replay_dead(store, EMAIL, {**wish, "provider": "smtp"})
    assert (report["replayed"], report["refused"]) == ([], 0)
    report = replay_dead(store, EMAIL, {**wish, "spare_refused": False})
    assert (job_ids(report), report["refused"]) == (["wrong"], 0)


def test_what_is_dead_can_be_looked_at_and_stays_so(store: DeliveryStore, clock: FakeClock) -> None:
    kill(store, "a", faults=("server",))
    clock.advance(1)
    kill(store, "b", faults=("refused",))
    clock.advance(1)
    kill(store, "c", domain=QR)
    found_dead = find_dead(store, EMAIL, {"domain": TURKIC, "spare_refused": True})
    assert [delivery["job_id"] for delivery in found_dead["dead"]] == ["a"]
    assert [delivery["job_id"] for delivery in found_dead["refused"]] == ["b"]
    assert [delivery["job_id"] for delivery in find_dead(store, EMAIL, {})["dead"]] == ["a", "b", "c"]
    assert store.sizes(EMAIL) == {"waiting": 0, "dead": 3}


def test_a_job_knows_its_deliveries_as_long_as_a_replayed_one_waits(
    store: DeliveryStore, redis: RedisClient
) -> None:
    """The list of a job's deliveries expired 30 days after the death; explain knew nothing of what waited."""
    kill(store, "a")
    gone = kill(store, "b")
    redis.connection.expire(job_deliveries_key(TURKIC, "a"), 60)
    redis.delete(job_deliveries_key(TURKIC, "b"))
    replay_dead(store, EMAIL, {})
    lives = [redis.ttl(job_deliveries_key(TURKIC, job_id)) for job_id in ("a", "b")]
    assert all(seconds > RETENTION.total_seconds() - 60 for seconds in lives)
    assert [one["delivery_id"] for one in store.of_job(TURKIC, "b")] == [gone["delivery_id"]]


def test_so_do_the_jobs_of_a_replayed_digest(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    rule: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
    for job_id in ("a", "b", "c"):
        store.add(make(job_id), rule)
    clock.advance(600)
    claimed = store.claim(EMAIL, "smtp", limit=9, lease=timedelta(seconds=9), token="t")
    dead: list[Settlement] = [
        {
            "delivery_id": delivery["delivery_id"],
            "domain": TURKIC,
            "job_id": delivery["job_id"],
            "state": "dead",
            "counts": True,
            "detail": "it was refused",
        }
        for delivery in claimed["deliveries"]
    ]
    store.settle(EMAIL, "t", dead)
    for job_id in ("b", "c"):
        redis.connection.expire(job_deliveries_key(TURKIC, job_id), 60)
    replay_dead(store, EMAIL, {})
    lives = [redis.ttl(job_deliveries_key(TURKIC, job_id)) for job_id in ("b", "c")]
    assert all(seconds > RETENTION.total_seconds() - 60 for seconds in lives)
    known = {delivery["delivery_id"] for job_id in ("b", "c") for delivery in store.of_job(TURKIC, job_id)}
    assert known == {make("b")["delivery_id"], make("c")["delivery_id"]}, "and not the digest itself"
