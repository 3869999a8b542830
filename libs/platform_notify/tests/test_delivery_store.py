"""Deliveries in Redis: made once, claimed by one, settled by who holds the claim."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from pipeline_kit import ANNA, NOON, facts, keys_without_ttl, new_delivery
from platform_core.errors import DecodeError
from platform_core.job_events import TURKIC
from platform_workers.errors import RedisCommandError
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis
from typing_extensions import override

from platform_notify.circuit import Circuit
from platform_notify.claims import Claim
from platform_notify.deliveries import EMAIL, AttemptNote, NewDelivery
from platform_notify.delivery_store import (
    RETENTION,
    DeliveryStore,
    Settlement,
    dead_key,
    due_key,
    job_deliveries_key,
)
from platform_notify.digests import GatheringRule

LEASE = timedelta(seconds=60)


@pytest.fixture
def store(redis: RedisClient, clock: FakeClock) -> DeliveryStore:
    return DeliveryStore(redis, clock)


def claim(store: DeliveryStore, token: str = "t", *, limit: int = 10, provider: str = "smtp") -> Claim:
    return store.claim(EMAIL, provider, limit=limit, lease=LEASE, token=token)


def job_ids(claimed: Claim) -> list[str]:
    return [delivery["job_id"] for delivery in claimed["deliveries"]]


def sent(delivery: NewDelivery) -> Settlement:
    return {
        "delivery_id": delivery["delivery_id"],
        "domain": delivery["domain"],
        "job_id": delivery["job_id"],
        "state": "sent",
        "counts": True,
        "message_ids": ["m1"],
        "answer": "250 ok",
        "template_version": "1",
    }


def again(delivery: NewDelivery, seconds: float, *, counts: bool = True) -> Settlement:
    due_at = NOON + timedelta(seconds=seconds)
    return {**sent(delivery), "state": "waiting", "counts": counts, "due_at": due_at}


def dead(delivery: NewDelivery) -> Settlement:
    return {**sent(delivery), "state": "dead", "detail": "refused"}


def test_a_delivery_is_made_once(store: DeliveryStore, clock: FakeClock) -> None:
    delivery = new_delivery()
    assert store.add(delivery) == "added"
    clock.advance(5)
    assert store.add({**delivery, "user_id": 99}) == "known"
    found = store.find(delivery["delivery_id"])
    assert found == {**delivery, "due_at": NOON}
    assert store.of_job(TURKIC, "j1") == [found]


def test_a_skipped_one_is_recorded_expires_and_is_never_claimed(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    delivery: NewDelivery = {**new_delivery(), "state": "skipped", "reason": "opted_out"}
    assert store.add(delivery) == "added"
    clock.advance(3600)
    assert claim(store)["verdict"] == "none"
    found = store.find(delivery["delivery_id"])
    assert found is not None
    assert (found["state"], found.get("reason"), found.get("settled_at")) == ("skipped", "opted_out", NOON)
    assert keys_without_ttl(redis) == []


def test_what_is_claimed_is_nobody_elses_until_the_lease_ends(store: DeliveryStore, clock: FakeClock) -> None:
    for number in range(3):
        store.add(new_delivery(f"j{number}"))
        clock.advance(1)
    first = claim(store, "one", limit=2)
    assert (first["verdict"], job_ids(first)) == ("claimed", ["j0", "j1"])
    # What `notifier explain` tells as the time when another one takes it up.
    assert first["deliveries"][0].get("due_at") == clock.now() + LEASE
    assert job_ids(claim(store, "two")) == ["j2"]
    nothing = claim(store, "three")
    assert (nothing["verdict"], nothing["deliveries"]) == ("none", [])
    clock.advance(LEASE.total_seconds())
    taken_over = claim(store, "four")
    assert sorted(job_ids(taken_over)) == ["j0", "j1", "j2"]
    delivery = next(found for found in taken_over["deliveries"] if found["job_id"] == "j1")
    assert delivery.get("attempt") == 2
    assert delivery.get("interrupted") == 1
    assert delivery.get("first_attempt_at") == NOON + timedelta(seconds=3)
    assert delivery.get("provider") == "smtp"


def test_a_claim_says_when_there_is_more(store: DeliveryStore) -> None:
    assert "again_at" not in claim(store)
    store.add(new_delivery("j1"))
    store.add(new_delivery("j2"))
    assert claim(store, limit=1).get("again_at") == NOON
    assert claim(store).get("again_at") == NOON + LEASE


def test_sent_is_final_and_expires(store: DeliveryStore, redis: RedisClient, clock: FakeClock) -> None:
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "one")
    clock.advance(2)
    assert store.settle(EMAIL, "one", [sent(delivery)]) == [True]
    found = store.find(delivery["delivery_id"])
    assert found is not None
    assert found["state"] == "sent"
    assert found.get("message_ids") == ["m1"]
    assert found.get("answer") == "250 ok"
    assert found.get("template_version") == "1"
    assert found.get("settled_at") == NOON + timedelta(seconds=2)
    assert "claim" not in found
    assert "due_at" not in found
    assert keys_without_ttl(redis) == []
    clock.advance(10_000)
    assert claim(store)["verdict"] == "none"
    assert store.add(delivery) == "known", "a repeated intake finds it"


def test_to_be_tried_again_it_waits_until_it_is_due(store: DeliveryStore, clock: FakeClock) -> None:
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "one")
    store.settle(EMAIL, "one", [again(delivery, 5)])
    waiting = claim(store)
    assert (waiting["verdict"], waiting.get("again_at")) == ("none", NOON + timedelta(seconds=5))
    clock.advance(5)
    (found,) = claim(store)["deliveries"]
    assert found.get("attempt") == 2
    assert "interrupted" not in found


def test_an_attempt_that_does_not_count_is_forgotten(store: DeliveryStore, clock: FakeClock) -> None:
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "one")
    store.settle(EMAIL, "one", [again(delivery, 60, counts=False)])
    clock.advance(60)
    (found,) = claim(store)["deliveries"]
    assert found.get("attempt") == 1
    assert found.get("first_attempt_at") == NOON + timedelta(seconds=60)


def test_what_was_not_tried_after_all_counts_as_before(store: DeliveryStore, clock: FakeClock) -> None:
    """Else a mail behind a slow server is given up though it was hardly tried, or is tried for ever."""
    delivery = new_delivery()
    store.add(delivery)

    def put_back() -> tuple[int | None, datetime | None]:
        (found,) = claim(store, "one")["deliveries"]
        store.settle(EMAIL, "one", [{**again(delivery, 0), "untried": True}])
        left = store.find(delivery["delivery_id"])
        assert left is not None
        assert (left["state"], left.get("due_at"), found["delivery_id"]) == (
            "waiting",
            NOON,
            left["delivery_id"],
        )
        return left.get("attempt"), left.get("first_attempt_at")

    assert put_back() == (None, None)
    claim(store, "one")
    store.settle(EMAIL, "one", [again(delivery, 0)])
    clock.advance(60)
    assert put_back() == (1, NOON)


def test_dead_ones_are_kept_apart_until_they_expire(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    first, second = new_delivery("j1"), new_delivery("j2")
    for delivery in (first, second):
        store.add(delivery)
        claim(store, "one")
        store.settle(EMAIL, "one", [dead(delivery)])
        assert redis.zrange(dead_key(EMAIL), 0, -1) == [delivery["delivery_id"]]
        found = store.find(delivery["delivery_id"])
        assert found is not None
        assert (found["state"], found["detail"]) == ("dead", "refused")
        assert store.sizes(EMAIL) == {"waiting": 0, "dead": 1}
        clock.advance(RETENTION.total_seconds())


def test_only_who_holds_the_claim_settles(store: DeliveryStore, clock: FakeClock) -> None:
    mine, lost = new_delivery("j1"), new_delivery("j2")
    store.add(lost)
    claim(store, "slow")
    clock.advance(LEASE.total_seconds())
    claim(store, "other")
    store.add(mine)
    store.claim(EMAIL, "smtp", limit=1, lease=LEASE, token="slow")
    assert store.settle(EMAIL, "slow", [dead(lost), sent(mine)]) == [False, True]
    found = store.find(lost["delivery_id"])
    assert found is not None
    assert (found["state"], found.get("claim")) == ("waiting", "other")
    assert store.settle(EMAIL, "slow", [sent(mine)]) == [False], "a second time changes nothing"


def test_that_a_mail_was_sent_counts_whoever_says_it(store: DeliveryStore, clock: FakeClock) -> None:
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "slow")
    clock.advance(LEASE.total_seconds())
    claim(store, "other")
    assert store.settle(EMAIL, "slow", [sent(delivery)]) == [True]
    assert store.settle(EMAIL, "other", [again(delivery, 500)]) == [False]
    clock.advance(10_000)
    assert claim(store)["verdict"] == "none"


def skipped(delivery: NewDelivery) -> Settlement:
    return {
        **sent(delivery),
        "state": "skipped",
        "reason": "opted_out",
        "layer": "preferences",
        "detail": "x",
    }


@pytest.mark.parametrize(("settlement", "words"), [(dead, "given up"), (skipped, "stopped")])
def test_that_a_mail_was_sent_counts_also_over_what_was_decided_meanwhile(
    store: DeliveryStore,
    redis: RedisClient,
    clock: FakeClock,
    settlement: Callable[[NewDelivery], Settlement],
    words: str,
) -> None:
    """It has left: a record that says "nobody knows" invites a replay, and that sends it once more."""
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "slow")
    clock.advance(LEASE.total_seconds())
    claim(store, "other")
    assert store.settle(EMAIL, "other", [settlement(delivery)]) == [True]
    assert store.settle(EMAIL, "slow", [again(delivery, 5)]) == [False], "that it failed is no news"
    assert store.settle(EMAIL, "slow", [sent(delivery)]) == [True]
    found = store.find(delivery["delivery_id"])
    assert found is not None
    assert (found["state"], found.get("reason")) == ("sent", None)
    assert found["detail"] == f"it was being sent already when it was {words}"
    assert store.sizes(EMAIL) == {"waiting": 0, "dead": 0}
    assert not store.replay(found)
    assert keys_without_ttl(redis) == []
    assert store.settle(EMAIL, "slow", [sent(delivery)]) == [False], "a second time changes nothing"


def attempted(settlement: Settlement, seconds: float) -> Settlement:
    note: AttemptNote = {
        "at": NOON + timedelta(seconds=seconds),
        "provider": "smtp",
        "result": "server",
        "detail": "x",
        "ambiguous": False,
        "duration_ms": 7,
    }
    return {**settlement, "attempts": [note]}


def test_what_is_recorded_twice_because_an_answer_got_lost_is_recorded_once(
    store: DeliveryStore, clock: FakeClock
) -> None:
    """Redis had done it and said so to nobody; the log told of a lost claim, and no figure of the mail."""
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "one")
    first = attempted(again(delivery, 5), 1)
    assert store.settle(EMAIL, "one", [first]) == [True]
    assert store.settle(EMAIL, "one", [first]) == [True]
    clock.advance(5)
    claim(store, "other")
    assert store.settle(EMAIL, "one", [first]) == [True]
    found = store.find(delivery["delivery_id"])
    assert found is not None
    assert (found.get("claim"), found.get("attempt")) == ("other", 2), "and nothing was written"
    assert store.settle(EMAIL, "one", [attempted(again(delivery, 5), 2)]) == [False]


def test_a_late_answer_counts_as_long_as_nobody_else_took_over(
    store: DeliveryStore, clock: FakeClock
) -> None:
    delivery = new_delivery()
    store.add(delivery)
    claim(store, "slow")
    clock.advance(3 * LEASE.total_seconds())
    assert store.settle(EMAIL, "slow", [sent(delivery)]) == [True]
    assert claim(store)["verdict"] == "none"


def test_a_record_that_was_removed_by_hand_leaves_the_queue(store: DeliveryStore, redis: RedisClient) -> None:
    delivery = new_delivery()
    store.add(delivery)
    redis.delete(f"notify:delivery:{delivery['delivery_id']}")
    assert claim(store)["verdict"] == "none"
    assert redis.keys("notify:due:*") == []
    assert store.of_job(TURKIC, "j1") == []
    assert store.find(delivery["delivery_id"]) is None


def test_a_record_that_cannot_be_read_is_handed_out_as_such(store: DeliveryStore, redis: RedisClient) -> None:
    bad, worse, good = new_delivery("bad"), new_delivery("worse"), new_delivery("good")
    for delivery in (bad, worse, good):
        store.add(delivery)
    redis.hset(f"notify:delivery:{bad['delivery_id']}", {"facts": "{}"})
    redis.delete(f"notify:delivery:{worse['delivery_id']}")
    redis.hset(f"notify:delivery:{worse['delivery_id']}", {"detail": "and all that is left"})
    claimed = claim(store)
    assert job_ids(claimed) == ["good"]
    found = {item["delivery_id"]: (item["domain"], item["job_id"]) for item in claimed["unreadable"]}
    assert found == {bad["delivery_id"]: ("turkic", "bad"), worse["delivery_id"]: ("-", "-")}
    assert all(item["fault"].startswith("delivery.") for item in claimed["unreadable"])
    with pytest.raises(DecodeError):
        store.find(bad["delivery_id"])


def test_an_open_circuit_lets_one_probe_through_each_minute(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    for number in range(3):
        store.add(new_delivery(f"j{number}"))
    circuit = Circuit(redis, "smtp", clock)
    circuit.open("535")
    shut = claim(store)
    assert (shut["verdict"], shut.get("again_at")) == ("open", NOON + timedelta(seconds=60))
    assert len(claim(store, provider="another")["deliveries"]) == 3
    clock.advance(60)
    probe = claim(store, "probe")
    assert (probe["verdict"], len(probe["deliveries"])) == ("probe", 1)
    assert claim(store)["verdict"] == "open", "one probe at a time, whoever asks"
    circuit.close()
    closed = claim(store)
    assert closed["verdict"] == "claimed"
    assert closed.get("closed_at") == NOON + timedelta(seconds=60)


def test_with_nothing_due_an_open_circuit_keeps_its_probe(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    Circuit(redis, "smtp", clock).open("535")
    clock.advance(61)
    assert claim(store)["verdict"] == "none"
    store.add(new_delivery())
    assert claim(store)["verdict"] == "probe"


def test_a_pause_holds_everything_back_until_it_is_over(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    store.add(new_delivery())
    Circuit(redis, "smtp", clock).pause(timedelta(seconds=30))
    paused = claim(store)
    assert (paused["verdict"], paused.get("again_at")) == ("paused", NOON + timedelta(seconds=30))
    clock.advance(30)
    assert claim(store)["verdict"] == "claimed"


def test_channels_have_queues_of_their_own(store: DeliveryStore) -> None:
    store.add(new_delivery("mail"))
    store.add(new_delivery("chat", channel="chat"))
    assert job_ids(claim(store)) == ["mail"]
    assert store.sizes("chat") == {"waiting": 1, "dead": 0, "oldest_due_at": NOON}


def test_what_waits_does_not_expire_and_what_is_settled_does(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    for number in range(4):
        store.add(new_delivery(f"j{number}"))
    clock.advance(1)
    deliveries = claim(store, "one", limit=3)["deliveries"]
    one, two, three = (new_delivery(delivery["job_id"]) for delivery in deliveries)
    store.settle(EMAIL, "one", [sent(one), dead(two), again(three, 5)])
    left = {key for key in keys_without_ttl(redis) if key.startswith("notify:delivery:")}
    waiting = {three["delivery_id"], new_delivery("j3")["delivery_id"]}
    assert left <= {f"notify:delivery:{name}" for name in (*waiting, *(d["delivery_id"] for d in deliveries))}
    assert len(left) == 2
    assert set(keys_without_ttl(redis)) - left == {due_key(EMAIL), dead_key(EMAIL)}
    assert redis.ttl(job_deliveries_key("turkic", one["job_id"])) > 0


def test_settling_names_the_delivery_under_its_job_again(store: DeliveryStore, redis: RedisClient) -> None:
    """A delivery may wait longer than the list of its job lives."""
    delivery = new_delivery()
    store.add(delivery)
    redis.delete(job_deliveries_key("turkic", "j1"))
    claim(store, "one")
    store.settle(EMAIL, "one", [sent(delivery)])
    assert [found["delivery_id"] for found in store.of_job(TURKIC, "j1")] == [delivery["delivery_id"]]
    assert redis.ttl(job_deliveries_key("turkic", "j1")) > 0


def test_the_facts_of_the_mail_are_all_in_the_record(store: DeliveryStore) -> None:
    store.add(new_delivery())
    (delivery,) = claim(store)["deliveries"]
    assert delivery["facts"] == facts()


# -- records that cannot be read ------------------------------------------------------------------------


def test_one_record_that_cannot_be_read_does_not_hide_the_jobs_story(
    store: DeliveryStore, redis: RedisClient
) -> None:
    good, bad, other = [new_delivery(recipient=name) for name in (ANNA, "b@example.com", "c@example.com")]
    for delivery in (good, bad, other):
        store.add(delivery)
    redis.hset(f"notify:delivery:{bad['delivery_id']}", {"run": "x"})
    redis.delete(f"notify:delivery:{other['delivery_id']}")
    redis.set(f"notify:delivery:{other['delivery_id']}", "x")
    story = store.story_of_job(TURKIC, "j1")
    assert [delivery["delivery_id"] for delivery in story["deliveries"]] == [good["delivery_id"]]
    faults = {record["delivery_id"]: record["fault"] for record in story["unreadable"]}
    assert faults[bad["delivery_id"]].startswith("delivery.run: ")
    assert faults[other["delivery_id"]] == "delivery: expected hash, found key of another type"
    redis.delete(f"notify:delivery:{other['delivery_id']}")
    assert len(store.story_of_job(TURKIC, "j1")["unreadable"]) == 1


def test_a_digest_that_cannot_be_read_is_told_beside_what_it_told_of(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    rule: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
    for number in range(3):
        store.add(new_delivery(f"j{number}"), rule)
    (digest_id,) = store.story_of_job(TURKIC, "j2")["digests"]
    redis.hset(f"notify:delivery:{digest_id}", {"run": "x"})
    story = store.story_of_job(TURKIC, "j2")
    assert (len(story["deliveries"]), story["digests"]) == (1, {})
    assert [record["delivery_id"] for record in story["unreadable"]] == [digest_id]


def test_a_refusal_of_redis_is_no_fault_of_a_record(clock: FakeClock) -> None:
    class Refusing(FakeRedis):
        @override
        def hgetall(self, key: str) -> dict[str, str]:
            raise RedisCommandError("NOPERM this user has no permissions")

    with pytest.raises(RedisCommandError):
        DeliveryStore(Refusing(), clock).find("d1")
