"""Many mails to one recipient: the first leaves at once, the others as one, and none is lost or doubled."""

from datetime import datetime, timedelta

import pytest
from pipeline_kit import ANNA, NOON, facts, keys_without_ttl, new_delivery
from platform_core.job_events import DIGITS, QR, TURKIC, JobDomain
from platform_core.notifications import EventWord
from platform_workers.lua_scripts import Script
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

from platform_notify.circuit import SCRIPTS
from platform_notify.claims import MAX_WORK, Claim
from platform_notify.deliveries import EMAIL, Delivery, NewDelivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore, Settlement, due_key
from platform_notify.digests import (
    MAX_GATHERED,
    MAX_TOLD,
    NO_DIGESTS,
    DigestPolicy,
    DomainDigests,
    GatheredOutcomes,
    GatheringRule,
    digest_id_of,
    digest_list_key,
    gathering_rule,
    storm_key,
)
from platform_notify.replay import replay_dead

MINUTES = timedelta(minutes=1)
RULE: GatheringRule = {"window": 10 * MINUTES, "first": 1}
LEASE = timedelta(seconds=60)


@pytest.fixture
def store(redis: RedisClient, clock: FakeClock) -> DeliveryStore:
    return DeliveryStore(redis, clock)


def failure(job_id: str, recipient: str = ANNA, domain: JobDomain = TURKIC) -> NewDelivery:
    return {
        **new_delivery(job_id, recipient=recipient),
        "delivery_id": delivery_id_of(domain, job_id, 1, "FAILURE", EMAIL, recipient),
        "domain": domain,
        "event": "FAILURE",
        "facts": {**facts(job_id, "FAILURE"), "domain": domain},
        "subscriber": f"user-of-{job_id}",
    }


def add(store: DeliveryStore, *job_ids: str, rule: GatheringRule = RULE, recipient: str = ANNA) -> list[str]:
    return [store.add(failure(job_id, recipient), rule) for job_id in job_ids]


def claim(store: DeliveryStore, token: str = "t") -> Claim:
    return store.claim(EMAIL, "smtp", limit=10, lease=LEASE, token=token)


def told(claimed: Claim) -> list[list[str]]:
    """Return the jobs that each claimed mail tells of."""
    return [
        [item["facts"]["job_id"] for item in delivery.get("items", [])] or [delivery["job_id"]]
        for delivery in claimed["deliveries"]
    ]


def settle(store: DeliveryStore, claimed: Claim, state: str = "sent", token: str = "t") -> list[bool]:
    settlements: list[Settlement] = []
    for delivery in claimed["deliveries"]:
        settlement: Settlement = {
            "delivery_id": delivery["delivery_id"],
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
            "state": "sent",
            "counts": True,
        }
        if state == "dead":
            settlement["state"], settlement["detail"] = "dead", "it was refused"
        if state == "waiting":
            settlement["state"], settlement["due_at"] = "waiting", delivery["created_at"] + 60 * MINUTES
        settlements.append(settlement)
    return store.settle(EMAIL, token, settlements)


def record(store: DeliveryStore, job_id: str) -> Delivery:
    (found,) = store.of_job(TURKIC, job_id)
    return found


def storm(store: DeliveryStore, clock: FakeClock, count: int = 4) -> Claim:
    """Let jobs j0, j1, ... fail; return the claim of their digest, ten minutes later."""
    add(store, *(f"j{number}" for number in range(count)))
    settle(store, claim(store))
    clock.advance(600)
    return claim(store)


# -- the rules ----------------------------------------------------------------------------------------


def rules(outcomes: GatheredOutcomes) -> DomainDigests:
    return {"outcomes": outcomes, "window": 3 * MINUTES, "first": 2}


@pytest.mark.parametrize(
    ("outcomes", "event", "gathers"),
    [
        ("off", "FAILURE", False),
        ("off", "SUCCESS", False),
        ("failures", "FAILURE", True),
        ("failures", "SUCCESS", False),
        ("successes", "FAILURE", False),
        ("successes", "SUCCESS", True),
        ("all", "FAILURE", True),
        ("all", "SUCCESS", True),
    ],
)
def test_the_rule_for_an_outcome(outcomes: GatheredOutcomes, event: EventWord, gathers: bool) -> None:
    general: DigestPolicy = {"general": rules(outcomes), "domains": {}}
    own: DigestPolicy = {"general": rules("all"), "domains": {QR: rules(outcomes), DIGITS: rules("off")}}
    wanted = {"window": 3 * MINUTES, "first": 2} if gathers else None
    assert gathering_rule(general, QR, event) == wanted
    assert gathering_rule(own, QR, event) == wanted
    assert gathering_rule(own, TURKIC, event) is not None
    assert gathering_rule(own, DIGITS, event) is None
    assert gathering_rule(NO_DIGESTS, QR, event) is None


JUDGE = Script(
    "judge",
    (SCRIPTS / "storm_judgement.lua").read_text("utf-8")
    + """
local verdict, begins = judge_storm(
  tonumber(ARGV[1]), 100, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == 'yes')
return { verdict, tostring(begins) }
""",
)


@pytest.mark.parametrize(
    ("now", "first", "until", "singles", "gathered", "verdict", "begins"),
    [
        # Nothing is known of the recipient.
        (1000, 1, "", 0, "no", "send", "true"),
        # Within the window: so many at once, then none.
        (1050, 1, 1100, 1, "no", "gather", "false"),
        (1050, 3, 1100, 1, "no", "send", "false"),
        (1050, 3, 1100, 2, "no", "send", "false"),
        (1050, 3, 1100, 3, "yes", "gather", "false"),
        (1099, 1, 1100, 1, "yes", "gather", "false"),
        # The window is over, and nothing had been gathered: a new alert is news.
        (1100, 1, 1100, 1, "no", "send", "true"),
        # Something had: the storm goes on, and the next window begins with what is gathered.
        (1100, 1, 1100, 1, "yes", "gather", "true"),
        (1199, 3, 1100, 3, "yes", "gather", "true"),
        # A whole window of silence ends it.
        (1200, 1, 1100, 1, "yes", "send", "true"),
    ],
)
def test_the_judgement(
    redis: RedisClient,
    now: int,
    first: int,
    until: str,
    singles: int,
    gathered: str,
    verdict: str,
    begins: str,
) -> None:
    args = [str(now), str(first), str(until), str(singles), gathered]
    assert redis.run_script({"script": JUDGE, "keys": [], "args": args}) == [verdict, begins]


# -- what is gathered ---------------------------------------------------------------------------------


def test_the_first_leaves_at_once_and_the_others_as_one_when_the_window_ends(
    store: DeliveryStore, clock: FakeClock
) -> None:
    assert add(store, "j0") == ["added"]
    clock.advance(5)
    assert add(store, "j1", "j2", "j3") == ["gathered"] * 3
    first = claim(store)
    assert told(first) == [["j0"]]
    assert settle(store, first) == [True]
    assert store.sizes(EMAIL) == {"waiting": 1, "dead": 0, "oldest_due_at": NOON + 10 * MINUTES}
    clock.advance(594.999)
    assert told(claim(store)) == []
    clock.advance(0.001)
    second = claim(store)
    assert told(second) == [["j1", "j2", "j3"]]
    (digest,) = second["deliveries"]
    assert digest["delivery_id"] == digest_id_of(failure("j2")["delivery_id"])
    assert (digest.get("gathered"), digest["recipient"], digest["event"]) == (3, ANNA, "FAILURE")
    assert digest["created_at"] == NOON, "as old as the first one that was gathered"
    assert digest.get("held_until") == NOON + 10 * MINUTES
    users = [item.get("subscriber") for item in digest.get("items", [])]
    assert users == ["user-of-j1", "user-of-j2", "user-of-j3"]


def test_a_single_one_that_waited_leaves_as_the_mail_it_is(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    add(store, "j0", "j1")
    held = record(store, "j1")
    assert (held["state"], held.get("due_at"), held.get("held_until")) == (
        "waiting", NOON + 10 * MINUTES, NOON + 10 * MINUTES,
    )  # fmt: skip
    settle(store, claim(store))
    clock.advance(600)
    alone = claim(store)
    assert [delivery["delivery_id"] for delivery in alone["deliveries"]] == [failure("j1")["delivery_id"]]
    assert "gathered" not in alone["deliveries"][0]
    settle(store, alone)
    assert record(store, "j1")["state"] == "sent"
    assert keys_without_ttl(redis) == []


def test_several_may_leave_at_once_first(store: DeliveryStore) -> None:
    rule: GatheringRule = {"window": 10 * MINUTES, "first": 3}
    assert add(store, "j0", "j1", "j2", "j3", "j4", rule=rule) == ["added"] * 3 + ["gathered"] * 2
    assert sorted(told(claim(store))) == [["j0"], ["j1"], ["j2"]]


def test_after_a_quiet_window_the_next_one_is_an_alert_again(store: DeliveryStore, clock: FakeClock) -> None:
    add(store, "j0")
    clock.advance(600)
    assert add(store, "j1") == ["added"]
    clock.advance(599)
    assert add(store, "j2") == ["gathered"]


def test_a_storm_that_goes_on_gives_one_digest_each_window(store: DeliveryStore, clock: FakeClock) -> None:
    mails: list[list[str]] = []
    for number in range(60):
        add(store, f"j{number}")
        claimed = claim(store)
        mails += told(claimed)
        settle(store, claimed)
        clock.advance(60)
    sizes = [len(mail) for mail in mails]
    # An hour with a failure a minute: an alert, and a digest about every ten minutes.
    assert sizes[0] == 1
    assert len(sizes) == 6
    assert all(9 <= size <= 11 for size in sizes[1:])
    clock.advance(600)
    settle(store, claim(store))
    clock.advance(600)
    assert add(store, "later") == ["added"], "it is over"
    clock.advance(600)
    assert add(store, "much later") == ["added"], "and what was gathered in it counts no more"


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (failure("j2", "ANNA@Example.com"), True),
        (failure("j2", "berta@example.com"), False),
        (failure("j2", domain=QR), False),
        ({**failure("j2"), "event": "SUCCESS"}, False),
        ({**failure("j2"), "channel": "chat"}, False),
    ],
)
def test_only_mails_to_one_address_about_one_domain_and_one_kind_of_end_come_together(
    store: DeliveryStore, other: NewDelivery, together: bool
) -> None:
    add(store, "j0", "j1")
    assert store.add(other, RULE) == ("gathered" if together else "added")


def test_without_a_rule_each_leaves_by_itself(store: DeliveryStore, redis: RedisClient) -> None:
    assert [store.add(failure(f"j{number}")) for number in range(3)] == ["added"] * 3
    assert len(told(claim(store))) == 3
    assert redis.keys("notify:storm:*") == []


def test_a_skipped_one_neither_begins_a_window_nor_joins_a_digest(
    store: DeliveryStore, redis: RedisClient
) -> None:
    skipped: NewDelivery = {**failure("j0"), "state": "skipped", "reason": "opted_out"}
    assert store.add(skipped, RULE) == "added"
    assert redis.keys("notify:storm:*") == []
    assert add(store, "j1") == ["added"]


def test_the_key_of_a_storm_names_no_address() -> None:
    assert storm_key(EMAIL, "turkic", "FAILURE", ANNA) == storm_key(EMAIL, "turkic", "FAILURE", ANNA.upper())
    assert "anna" not in storm_key(EMAIL, "turkic", "FAILURE", ANNA)


def test_what_is_heard_again_is_known_wherever_it_went(store: DeliveryStore, clock: FakeClock) -> None:
    add(store, "j0", "j1", "j2", "j3")
    again = ("j0", "j1", "j2", "j3")
    assert add(store, *again) == ["known"] * 4
    settle(store, claim(store))
    clock.advance(600)
    digest = claim(store)
    assert add(store, *again) == ["known"] * 4
    assert told(digest) == [["j1", "j2", "j3"]]
    settle(store, digest)
    assert add(store, *again) == ["known"] * 4
    clock.advance(5000)
    assert told(claim(store)) == []


def test_once_it_is_claimed_a_digest_takes_nothing_more_in(store: DeliveryStore, clock: FakeClock) -> None:
    digest = storm(store, clock)
    assert told(digest) == [["j1", "j2", "j3"]]
    assert add(store, "late", "later") == ["gathered"] * 2
    clock.advance(LEASE.total_seconds())
    # Its sender has died; whoever takes over sends the same, under the same id.
    taken_over = claim(store, "other")
    assert told(taken_over) == told(digest)
    assert taken_over["deliveries"][0]["delivery_id"] == digest["deliveries"][0]["delivery_id"]
    settle(store, taken_over, "waiting", "other")
    assert add(store, "latest") == ["gathered"], "nor while it waits for its next attempt"
    clock.advance(600)
    assert told(claim(store)) == [["late", "later", "latest"]]


def test_what_was_taken_out_of_the_queue_by_hand_is_told_at_once_with_the_next(
    store: DeliveryStore, redis: RedisClient
) -> None:
    """The script must not end in the middle: its delivery would count as known and never be sent."""
    add(store, "j0", "j1")
    settle(store, claim(store))
    redis.delete("notify:due:email")
    assert add(store, "j2") == ["gathered"]
    assert told(claim(store)) == [["j1", "j2"]]


def test_a_single_one_that_was_claimed_takes_nothing_in(store: DeliveryStore, clock: FakeClock) -> None:
    alone = storm(store, clock, 2)
    assert told(alone) == [["j1"]]
    assert add(store, "j2", "j3") == ["gathered"] * 2
    settle(store, alone)
    clock.advance(600)
    assert told(claim(store)) == [["j2", "j3"]]


def test_as_long_as_a_digest_waits_all_that_comes_joins_it(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    """The account is refused for hours: afterwards there is one mail, not one for each ten minutes."""
    add(store, "j0", "j1")
    settle(store, claim(store))
    for number in range(2, 20):
        clock.advance(3600)
        assert add(store, f"j{number}") == ["gathered"]
    (jobs,) = told(claim(store))
    assert jobs == [f"j{number}" for number in range(1, 20)]


def test_a_full_digest_makes_room_for_the_next(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    add(store, "j0", "j1", "j2")
    digest = digest_id_of(failure("j2")["delivery_id"])
    redis.hset(f"notify:delivery:{digest}", {"gathered": str(MAX_GATHERED)})
    assert add(store, "j3", "j4") == ["gathered"] * 2
    clock.advance(600)
    mails: list[list[str]] = []
    # A full one is as much as is claimed at once.
    while jobs := told(claimed := claim(store)):
        mails += jobs
        settle(store, claimed)
    assert mails == [["j0"], ["j1", "j2"], ["j3", "j4"]]


def test_a_long_digest_tells_the_first_and_counts_all(store: DeliveryStore, clock: FakeClock) -> None:
    digest = storm(store, clock, MAX_TOLD + 8)
    (jobs,) = told(digest)
    assert jobs == [f"j{number}" for number in range(1, MAX_TOLD + 1)]
    assert digest["deliveries"][0].get("gathered") == MAX_TOLD + 7
    settle(store, digest)
    assert record(store, f"j{MAX_TOLD + 7}")["state"] == "sent"


def test_what_a_digest_told_of_is_sent_also_if_it_was_given_up_meanwhile(
    store: DeliveryStore, clock: FakeClock
) -> None:
    add(store, "j0", "j1", "j2")
    settle(store, claim(store))
    clock.advance(600)
    slow = claim(store, "slow")
    clock.advance(LEASE.total_seconds())
    assert settle(store, claim(store, "other"), "dead", token="other") == [True]
    assert record(store, "j2")["state"] == "dead"
    assert settle(store, slow, token="slow") == [True]
    assert {record(store, job_id)["state"] for job_id in ("j1", "j2")} == {"sent"}
    assert store.sizes(EMAIL) == {"waiting": 0, "dead": 0}


# -- in which order they leave ------------------------------------------------------------------------


def hold(store: DeliveryStore, claimed: Claim, again_at: datetime, *, counts: bool = False) -> None:
    """Put what was claimed back, as after the provider has refused the account."""
    settlements: list[Settlement] = [
        {
            "delivery_id": delivery["delivery_id"],
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
            "state": "waiting",
            "counts": counts,
            "due_at": again_at,
        }
        for delivery in claimed["deliveries"]
    ]
    assert store.settle(EMAIL, "t", settlements) == [True] * len(settlements)


def test_a_digest_does_not_leave_before_the_alert_that_the_account_holds_back(
    store: DeliveryStore, clock: FakeClock
) -> None:
    """Each probe puts the alert off by a minute; the digest, due in between, told of one nobody had."""
    add(store, "j0", "j1", "j2")
    hold(store, claim(store), NOON + 11 * MINUTES)
    clock.advance(630)
    assert told(claim(store)) == []
    held = record(store, "j2")
    (digest,) = store.digests_of([held]).values()
    assert digest.get("due_at") == NOON + 11 * MINUTES, "which is what explain tells"
    clock.advance(31)
    assert told(claim(store)) == [["j0"], ["j1", "j2"]], "in one batch, the alert first"


def test_a_digest_waits_while_its_alert_is_leaving(store: DeliveryStore, clock: FakeClock) -> None:
    add(store, "j0", "j1", "j2")
    clock.advance(600)
    alert = store.claim(EMAIL, "smtp", limit=1, lease=LEASE, token="t")
    assert told(alert) == [["j0"]]
    assert told(claim(store, "other")) == []
    settle(store, alert)
    clock.advance(1)
    assert told(claim(store, "other")) == [["j1", "j2"]]


@pytest.mark.parametrize("removed", [False, True])
def test_a_digest_does_not_wait_for_an_alert_that_fails_for_itself_or_will_never_leave(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock, removed: bool
) -> None:
    add(store, "j0", "j1", "j2")
    hold(store, claim(store), NOON + 60 * MINUTES, counts=not removed)
    if removed:
        redis.connection.zrem(due_key(EMAIL), failure("j0")["delivery_id"])
    clock.advance(600)
    assert told(claim(store)) == [["j1", "j2"]]


def test_nor_does_the_second_digest_leave_before_the_first(store: DeliveryStore, clock: FakeClock) -> None:
    first = storm(store, clock, 3)
    hold(store, first, NOON + 25 * MINUTES)
    add(store, "j3", "j4")
    clock.advance(600)
    assert told(claim(store)) == []
    clock.advance(301)
    assert told(claim(store)) == [["j1", "j2"], ["j3", "j4"]]


def test_a_storm_that_began_before_an_alert_was_kept_in_mind_goes_on(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    """An earlier version of the notifier has written it."""
    add(store, "j0")
    (name,) = redis.keys("notify:storm:*")
    redis.connection.hdel(name, "alert")
    add(store, "j1", "j2")
    clock.advance(600)
    assert sorted(told(claim(store))) == [["j0"], ["j1", "j2"]]


# -- how much is claimed at once ----------------------------------------------------------------------


def test_a_claim_of_many_digests_takes_no_more_than_redis_does_in_one_go(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    """500 digests of 50 jobs held up everybody for a quarter of a second, and once more when settled."""
    recipients = ("a@example.com", "b@example.com", "c@example.com")
    for recipient in recipients:
        add(store, *(f"{recipient[0]}{number}" for number in range(4)), recipient=recipient)
    settle(store, claim(store))
    for name in redis.keys("notify:delivery:*"):
        if "gathered" in redis.hgetall(name):
            redis.hset(name, {"gathered": str(MAX_WORK // 2 - 1)})
    clock.advance(600)
    assert sorted(map(len, told(claim(store)))) == [3, 3]
    again = claim(store, "other")
    assert sorted(map(len, told(again))) == [3], "what is left comes with the next claim"


def test_a_digest_that_is_more_than_that_by_itself_is_claimed_alone(
    store: DeliveryStore, clock: FakeClock
) -> None:
    add(store, *(f"j{number}" for number in range(MAX_WORK + 9)))
    settle(store, claim(store))
    clock.advance(600)
    store.add(failure("b0", "b@example.com"))
    assert [len(jobs) for jobs in told(claim(store))] == [MAX_TOLD]
    assert told(claim(store)) == [["b0"]]


# -- what becomes of it -------------------------------------------------------------------------------


def test_what_becomes_of_a_digest_becomes_of_all_of_it(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    digest = storm(store, clock)
    name = digest["deliveries"][0]["delivery_id"]
    waiting = record(store, "j2")
    assert (waiting["state"], waiting.get("digest")) == ("gathered", name)
    assert "due_at" not in waiting
    clock.advance(2)
    assert settle(store, digest) == [True]
    for job_id in ("j1", "j2", "j3"):
        found = record(store, job_id)
        assert (found["state"], found.get("digest")) == ("sent", name)
        assert found.get("settled_at") == NOON + timedelta(seconds=602)
    assert store.digests_of([record(store, "j1"), record(store, "j0")]).keys() == {name}
    assert keys_without_ttl(redis) == []


def test_until_then_nothing_of_it_expires(store: DeliveryStore, redis: RedisClient, clock: FakeClock) -> None:
    digest = storm(store, clock)
    settle(store, digest, "waiting")
    name = digest["deliveries"][0]["delivery_id"]
    ids = [name, *(failure(job_id)["delivery_id"] for job_id in ("j1", "j2", "j3"))]
    forever = {due_key(EMAIL), digest_list_key(name), *(f"notify:delivery:{one}" for one in ids)}
    assert set(keys_without_ttl(redis)) == forever
    assert record(store, "j1")["state"] == "gathered"


def test_a_dead_digest_comes_back_whole(store: DeliveryStore, redis: RedisClient, clock: FakeClock) -> None:
    digest = storm(store, clock)
    name = digest["deliveries"][0]["delivery_id"]
    settle(store, digest, "dead")
    for job_id in ("j1", "j2", "j3"):
        found = record(store, job_id)
        assert (found["state"], found["detail"]) == ("dead", "it was refused")
    assert store.sizes(EMAIL)["dead"] == 1
    assert set(keys_without_ttl(redis)) == {"notify:dead:email"}
    # By the id of the digest, or of any that was gathered into it.
    report = replay_dead(store, EMAIL, {"delivery_id": failure("j3")["delivery_id"]})
    assert [replayed["delivery_id"] for replayed in report["replayed"]] == [name]
    back = record(store, "j2")
    assert (back["state"], back["detail"]) == ("gathered", "")
    assert "settled_at" not in back
    assert set(keys_without_ttl(redis)) == {
        due_key(EMAIL),
        digest_list_key(name),
        *(f"notify:delivery:{one}" for one in (name, *(failure(f"j{n}")["delivery_id"] for n in (1, 2, 3)))),
    }
    assert add(store, "late") == ["gathered"]
    again = claim(store)
    assert told(again) == [["j1", "j2", "j3"]], "and nothing else"
    settle(store, again)
    assert {record(store, job_id)["state"] for job_id in ("j1", "j2", "j3")} == {"sent"}
    clock.advance(600)
    assert told(claim(store)) == [["late"]]


def test_an_unknown_or_broken_id_is_replayed_as_it_is(store: DeliveryStore, redis: RedisClient) -> None:
    redis.hset("notify:delivery:broken", {"state": "dead"})
    for name in ("broken", "none"):
        assert replay_dead(store, EMAIL, {"delivery_id": name})["replayed"] == []


def test_that_a_digest_was_sent_counts_whoever_says_it(store: DeliveryStore, clock: FakeClock) -> None:
    digest = storm(store, clock)
    clock.advance(LEASE.total_seconds())
    claim(store, "other")
    assert settle(store, digest) == [True]
    assert record(store, "j1")["state"] == "sent"
    assert settle(store, digest, "dead", "other") == [False]
    assert record(store, "j1")["state"] == "sent"


# -- records that a person removed or broke ------------------------------------------------------------


def test_a_digest_whose_record_is_gone_sets_free_what_was_gathered(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    add(store, "j0", "j1", "j2", "j3")
    settle(store, claim(store))
    digest = record(store, "j1").get("digest", "")
    redis.delete(f"notify:delivery:{digest}", f"notify:delivery:{failure('j3')['delivery_id']}")
    clock.advance(600)
    assert told(claim(store)) == []
    assert redis.keys("notify:digest:*") == []
    alone = claim(store)
    assert sorted(told(alone)) == [["j1"], ["j2"]]
    settle(store, alone)
    assert keys_without_ttl(redis) == []
    assert store.digests_of([{**record(store, "j1"), "digest": digest}]) == {}


def test_what_is_gone_or_broken_keeps_the_others_of_its_digest_not_back(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    add(store, "j0", "j1", "j2", "j3", "j4")
    settle(store, claim(store))
    redis.delete(f"notify:delivery:{failure('j2')['delivery_id']}")
    redis.hset(f"notify:delivery:{failure('j3')['delivery_id']}", {"facts": "{}"})
    redis.connection.hdel(f"notify:delivery:{failure('j4')['delivery_id']}", "subscriber")
    clock.advance(600)
    digest = claim(store)
    assert told(digest) == [["j1", "j4"]]
    assert "subscriber" not in digest["deliveries"][0].get("items", [])[1]
    settle(store, digest)
    assert redis.keys(f"notify:delivery:{failure('j2')['delivery_id']}") == []
    settle(store, digest, "dead")
    assert replay_dead(store, EMAIL, {})["replayed"] == []


def test_a_dead_digest_of_which_a_record_is_broken_comes_back_whole(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    """The script must not end in the middle: the digest would neither be dead nor due."""
    settle(store, storm(store, clock), "dead")
    redis.connection.hdel(f"notify:delivery:{failure('j2')['delivery_id']}", "job_id")
    assert len(replay_dead(store, EMAIL, {})["replayed"]) == 1
    assert told(claim(store)) == [["j1", "j2", "j3"]]


def test_a_dead_digest_of_which_a_record_is_gone_comes_back_without_it(
    store: DeliveryStore, redis: RedisClient, clock: FakeClock
) -> None:
    settle(store, storm(store, clock), "dead")
    gone = f"notify:delivery:{failure('j2')['delivery_id']}"
    redis.delete(gone)
    assert len(replay_dead(store, EMAIL, {})["replayed"]) == 1
    assert redis.keys(gone) == []
    assert told(claim(store)) == [["j1", "j3"]]


@pytest.mark.parametrize("broken", ["no hash", "no number"])
def test_a_digest_broken_by_hand_takes_nothing_in_and_keeps_no_mail_back(
    redis: RedisClient, clock: FakeClock, broken: str
) -> None:
    store = DeliveryStore(redis, clock)
    rule: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
    for number in range(3):
        store.add(new_delivery(f"j{number}"), rule)
    (digest_id,) = store.story_of_job(TURKIC, "j2")["digests"]
    key = f"notify:delivery:{digest_id}"
    if broken == "no hash":
        redis.delete(key)
        redis.set(key, "x")
    else:
        redis.hset(key, {"gathered": "x"})
    assert store.add(new_delivery("j3"), rule) == "gathered"
    assert "digest" not in store.story_of_job(TURKIC, "j3")["deliveries"][0]
