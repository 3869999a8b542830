"""An opt-out always wins, also one that comes while a mail waits to leave."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from pipeline_kit import ANNA, facts, keys_without_ttl, new_delivery
from platform_core.notifications import preferences_key
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger
from test_sender import Bench

from platform_notify.deliveries import (
    EMAIL,
    Delivery,
    DigestItem,
    DigestUser,
    NewDelivery,
    decode_delivery,
    encode_delivery,
)
from platform_notify.digests import MAX_TOLD, GatheringRule
from platform_notify.messages import MailMessage
from platform_notify.opt_outs import what_is_wanted
from platform_notify.providers.base import SendResult, sent
from platform_notify.replay import replay_dead

RULE: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
OUT = '{"opt_out":true}'
OUT_OF_TURKIC = '{"domains":{"turkic":{"opt_out":true}}}'
NO_MAIL = '{"email":{"enabled":false,"on":[]}}'
OTHERS = '{"domains":{"qr":{"opt_out":true}},"email":{"enabled":true,"on":["FAILURE"]}}'


@pytest.fixture
def bench(redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> Bench:
    return Bench(redis, clock, logger)


def a_mail(preferences: str | None = None) -> Delivery:
    delivery = decode_delivery(encode_delivery(new_delivery()))
    if preferences is not None:
        delivery["preferences"] = preferences
    return delivery


def a_digest(*jobs: tuple[str | None, str | None]) -> Delivery:
    """Make a digest of one job for each user's name and preferences."""
    items: list[DigestItem] = []
    users: list[DigestUser] = []
    for number, (name, preferences) in enumerate(jobs):
        item: DigestItem = {"facts": facts(f"j{number}")}
        user: DigestUser = {"jobs": 1}
        if name is not None:
            item["subscriber"] = user["name"] = name
        if preferences is not None:
            user["preferences"] = preferences
        items.append(item)
        users.append(user)
    return {**a_mail(OUT), "gathered": len(items), "items": items, "users": users}


@pytest.mark.parametrize(
    ("delivery", "reason", "layer"),
    [
        (a_mail(), None, None),
        (a_mail("{}"), None, None),
        (a_mail(OTHERS), None, None),
        (a_mail(OUT), "opted_out", "preferences"),
        (a_mail(OUT_OF_TURKIC), "opted_out", "domain_preferences"),
        (a_mail(NO_MAIL), "opted_out", "preferences"),
        (a_mail("no JSON"), "invalid_preferences", "preferences"),
        (a_digest(), None, None),
        (a_digest(("anna", OUT_OF_TURKIC), ("ben", OUT)), "opted_out", "domain_preferences"),
        (a_digest(("anna", "no JSON")), "invalid_preferences", "preferences"),
        (a_digest(("anna", OUT), ("ben", None)), None, None),
        (a_digest(("anna", OTHERS), ("ben", OUT)), None, None),
        (a_digest(("anna", OUT), (None, None)), None, None),
    ],
)
def test_what_stops_a_mail(delivery: Delivery, reason: str | None, layer: str | None) -> None:
    stop = what_is_wanted(delivery).get("stop")
    found = (None, None) if stop is None else (stop["reason"], stop["layer"])
    assert found == (reason, layer)


def test_a_digest_leaves_out_the_jobs_of_those_who_have_opted_out() -> None:
    digest = a_digest(("anna", None), ("ben", OUT), (None, None), ("cleo", "no JSON"))
    digest["gathered"] = 62
    digest.get("users", [])[1]["jobs"] = 59
    wanted = what_is_wanted(digest)
    told = [item["facts"]["job_id"] for item in wanted["delivery"].get("items", [])]
    assert (told, wanted["delivery"].get("gathered")) == (["j0", "j2"], 2)
    assert [(one["user"], one["reason"], one["layer"]) for one in wanted["left_out"]] == [
        ("ben", "opted_out", "preferences"),
        ("cleo", "invalid_preferences", "preferences"),
    ]
    assert digest["gathered"] == 62, "what was claimed stays as it was"


def failure(job_id: str, user: str) -> NewDelivery:
    delivery = new_delivery(job_id)
    delivery["subscriber"] = user
    return delivery


def gather(bench: Bench, users: Sequence[str]) -> None:
    """Let a job of each user end, the first one's mail be sent, and the window end."""
    for number, user in enumerate(users):
        bench.store.add(failure(f"j{number}", user), RULE)
    bench.sender.run_once()
    bench.clock.advance(600)


def states(bench: Bench, count: int) -> list[str]:
    return [bench.delivery(f"j{number}")["state"] for number in range(count)]


def test_an_opt_out_while_a_digest_gathers_stops_it_and_all_of_it(bench: Bench, redis: RedisClient) -> None:
    gather(bench, ["anna"] * 4)
    redis.set(preferences_key("anna"), OUT_OF_TURKIC)
    done = bench.sender.run_once()
    assert bench.provider.job_ids == ["j0"], "nothing but the first alert, which had left before"
    assert done["claimed"] == 1
    assert states(bench, 4) == ["sent", "skipped", "skipped", "skipped"]
    last = bench.delivery("j3")
    assert (last.get("reason"), last["layer"]) == ("opted_out", "domain_preferences")
    (line,) = [line for line in bench.logger.lines if line["event"] == "notifier.delivery_skipped"]
    assert (line["fields"]["reason"], line["fields"]["layer"]) == ("opted_out", "domain_preferences")
    assert ANNA not in str(bench.logger.lines)
    assert bench.counts.unsent == [{"state": "skipped", "reason": "opted_out", "gathered": 3}]
    assert keys_without_ttl(redis) == []
    assert bench.sender.run_once()["claimed"] == 0


def test_a_single_one_that_waited_is_stopped_too(bench: Bench, redis: RedisClient) -> None:
    gather(bench, ["anna", "anna"])
    redis.set(preferences_key("anna"), OUT)
    bench.sender.run_once()
    assert bench.provider.job_ids == ["j0"]
    assert states(bench, 2) == ["sent", "skipped"]


def test_a_mail_that_waits_for_its_next_attempt_is_stopped(bench: Bench, redis: RedisClient) -> None:
    bench.store.add(failure("j0", "anna"))
    bench.fail("server")
    bench.sender.run_once()
    redis.set(preferences_key("anna"), OUT)
    bench.succeed()
    bench.clock.advance(60)
    bench.sender.run_once()
    found = bench.delivery("j0")
    assert (found["state"], found.get("reason"), len(found.get("attempts", []))) == (
        "skipped",
        "opted_out",
        1,
    )
    assert len(bench.provider.batches) == 1


def test_of_a_batch_only_those_are_stopped_whose_users_have_opted_out(
    bench: Bench, redis: RedisClient
) -> None:
    for number, user in enumerate(["anna", "ben", "cleo"]):
        bench.store.add(failure(f"j{number}", user))
    redis.set(preferences_key("ben"), OUT)
    redis.hset(preferences_key("cleo"), {"no": "text"})
    bench.sender.run_once()
    assert bench.provider.job_ids == ["j0"]
    assert states(bench, 3) == ["sent", "skipped", "skipped"]
    assert bench.delivery("j2").get("reason") == "invalid_preferences"


def test_one_that_was_stopped_and_is_anothers_by_now_is_not_told_as_skipped(
    bench: Bench, redis: RedisClient
) -> None:
    """Beside it a mail leaves, and that takes longer than the lease: another sender has both by then."""
    for number, user in enumerate(["anna", "ben"]):
        bench.store.add(failure(f"j{number}", user))
    redis.set(preferences_key("ben"), OUT)

    def answer(mail: MailMessage) -> SendResult:
        redis.hset(f"notify:delivery:{failure('j1', 'ben')['delivery_id']}", {"claim": "another"})
        return sent(["m"], "ok")

    bench.answer(answer)
    bench.sender.run_once()
    assert bench.logger.events() == ["notifier.delivery_sent", "notifier.delivery_claim_lost"]
    assert bench.counts.unsent == []


def test_a_mail_that_may_have_left_stays_so_when_it_is_stopped(bench: Bench, redis: RedisClient) -> None:
    bench.store.add(failure("j0", "anna"))
    bench.fail("timeout", ambiguous=True)
    bench.sender.run_once()
    redis.set(preferences_key("anna"), OUT)
    bench.clock.advance(60)
    bench.sender.run_once()
    found = bench.delivery("j0")
    assert (found["state"], found.get("unsure")) == ("skipped", "yes")


def test_a_digest_of_several_users_tells_those_who_want_it_of_their_own_jobs(
    bench: Bench, redis: RedisClient
) -> None:
    gather(bench, ["anna", "anna", "ben", "anna", "ben"])
    redis.set(preferences_key("anna"), OUT_OF_TURKIC)
    bench.sender.run_once()
    mail = bench.provider.batches[-1][0]
    assert mail["subject"] == "2 more jobs finished in the last 10 minutes: turkic"
    assert ("j2" in mail["text"], "j4" in mail["text"]) == (True, True)
    assert ("j1" in mail["text"], "j3" in mail["text"]) == (False, False)
    assert states(bench, 5) == ["sent", "skipped", "sent", "skipped", "sent"]
    missed = bench.delivery("j3")
    assert (missed.get("reason"), missed["layer"]) == ("opted_out", "domain_preferences")
    (digest,) = bench.store.digests_of([missed]).values()
    assert (digest["state"], digest.get("gathered"), digest.get("left_out")) == ("sent", 4, 2)
    assert keys_without_ttl(redis) == []


def test_also_one_of_whose_jobs_a_long_digest_lists_none_is_asked(bench: Bench, redis: RedisClient) -> None:
    """Only the first 50 are listed; who comes later must neither be overlooked nor lose the mail."""
    gather(bench, ["anna"] * (MAX_TOLD + 2) + ["ben", "cleo"])
    redis.set(preferences_key("anna"), OUT)
    redis.set(preferences_key("cleo"), OUT)
    bench.sender.run_once()
    mail = bench.provider.batches[-1][0]
    assert mail["subject"].startswith("1 more job finished")
    ben = f"j{MAX_TOLD + 2}"
    assert ben in mail["text"]
    assert states(bench, MAX_TOLD + 4) == ["sent", *["skipped"] * (MAX_TOLD + 1), "sent", "skipped"]


def test_when_a_digest_was_given_up_nobody_is_left_out_before_it_is_sent(
    bench: Bench, redis: RedisClient
) -> None:
    """A replay asks anew who wants it."""
    gather(bench, ["anna", "anna", "ben"])
    redis.set(preferences_key("anna"), OUT)
    bench.fail("refused")
    bench.sender.run_once()
    assert states(bench, 3) == ["sent", "dead", "dead"]
    replay_dead(bench.store, EMAIL, {})
    redis.delete(preferences_key("anna"))
    bench.succeed()
    bench.sender.run_once()
    assert states(bench, 3) == ["sent", "sent", "sent"]
