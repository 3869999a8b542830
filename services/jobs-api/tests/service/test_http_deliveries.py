"""What became of the mails about a job, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
from platform_core.clock import SystemClock
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue, decode_json
from platform_notify.deliveries import EMAIL, NewDelivery
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.digests import GatheringRule, digest_id_of
from platform_workers.testing import FakeClock
from service_kit import Service, complete, json_of, submit

from jobs_api.registry import FILES

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def new_delivery(job_id: str, delivery_id: str = "d1", domain: JobDomain = FILES) -> NewDelivery:
    return {
        "delivery_id": delivery_id,
        "domain": domain,
        "job_id": job_id,
        "run": 2,
        "event": "FAILURE",
        "channel": EMAIL,
        "recipient": "anna@example.com",
        "user_id": 7,
        "state": "waiting",
        "layer": "job",
        "detail": "",
        "created_at": NOON,
        "facts": {
            "domain": domain,
            "job_id": job_id,
            "job_type": None,
            "event": "FAILURE",
            "error_kind": "user",
            "message": "bad row",
            "attempts": None,
            "created_at": None,
            "started_at": None,
            "finished_at": None,
            "result_id": None,
            "result_bytes": None,
            "link": None,
        },
    }


def told(service: Service, job_id: str, domain: str = "files") -> list[JsonValue]:
    answer = service["http"].get(f"/v1/jobs/{domain}/{job_id}/deliveries")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found = decode_json(answer.content)
    assert isinstance(found, list)
    return found


def settle(store: DeliveryStore, settlement: Settlement) -> None:
    claim = store.claim(EMAIL, "smtp", limit=1, lease=timedelta(seconds=60), token="t")
    assert [delivery["delivery_id"] for delivery in claim["deliveries"]] == [settlement["delivery_id"]]
    assert store.settle(EMAIL, "t", [settlement]) == [True]


def test_a_job_without_deliveries_has_none(service: Service) -> None:
    job_id = submit(service)
    assert told(service, job_id) == []
    complete(service, job_id)
    assert told(service, job_id) == []


@pytest.mark.parametrize("path", ["files/nobody", "Files/x", "files/a%20b", "turkic/x"])
def test_a_job_that_is_not_there_is_a_problem(service: Service, path: str) -> None:
    answer = service["http"].get(f"/v1/jobs/{path}/deliveries")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json_of(answer)["type"] == "urn:jobs-api:job-not-found"


def test_a_job_of_another_team_is_a_job_whatever_its_record_lacks(service: Service) -> None:
    service["redis"].hset("turkic:job:j1", {"status": "completed"})
    assert told(service, "j1", "turkic") == []


def test_deliveries_outlive_the_record_of_their_job(service: Service) -> None:
    DeliveryStore(service["redis"], SystemClock()).add(new_delivery("gone"))
    assert len(told(service, "gone")) == 1


def test_a_mail_that_was_sent_is_told_with_every_attempt(service: Service) -> None:
    job_id = submit(service)
    clock = FakeClock(NOON)
    store = DeliveryStore(service["redis"], clock)
    store.add(new_delivery(job_id))
    clock.advance(1)
    settle(
        store,
        {
            "delivery_id": "d1",
            "domain": "files",
            "job_id": job_id,
            "state": "sent",
            "counts": True,
            "attempts": [
                {
                    "at": NOON,
                    "provider": "smtp",
                    "result": "timeout",
                    "detail": "no answer in 15 s",
                    "ambiguous": True,
                    "duration_ms": 15_000,
                },
                {
                    "at": NOON + timedelta(seconds=1),
                    "provider": "smtp",
                    "result": "sent",
                    "detail": "250 ok",
                    "ambiguous": False,
                    "duration_ms": 12,
                },
            ],
            "unsure": "yes",
            "message_ids": ["m-1"],
            "answer": "250 ok",
            "template_version": "3",
        },
    )
    assert told(service, job_id) == [
        {
            "delivery_id": "d1",
            "domain": "files",
            "job_id": job_id,
            "run": 2,
            "event": "FAILURE",
            "channel": "email",
            "provider": "smtp",
            "recipient": "anna@example.com",
            "template_version": "3",
            "state": "sent",
            "decided_by": "job",
            "detail": "",
            "created_at": "2026-01-02T12:00:00.000000+00:00",
            "settled_at": "2026-01-02T12:00:01.000000+00:00",
            "duration_ms": 1000,
            "attempts": [
                {
                    "at": "2026-01-02T12:00:00.000000+00:00",
                    "provider": "smtp",
                    "result": "timeout",
                    "answer": "no answer in 15 s",
                    "may_have_been_delivered": True,
                    "duration_ms": 15_000,
                },
                {
                    "at": "2026-01-02T12:00:01.000000+00:00",
                    "provider": "smtp",
                    "result": "sent",
                    "answer": "250 ok",
                    "may_have_been_delivered": False,
                    "duration_ms": 12,
                },
            ],
            "message_ids": ["m-1"],
            "answer": "250 ok",
            "interrupted": 0,
            "replays": [],
            "being_sent": False,
            "may_have_been_delivered": True,
        }
    ]


def test_a_mail_that_waits_says_until_when_and_whether_it_is_being_sent(service: Service) -> None:
    store = DeliveryStore(service["redis"], FakeClock(NOON))
    store.add(new_delivery("j1"))
    (waiting,) = told(service, "j1")
    assert isinstance(waiting, dict)
    assert (waiting["state"], waiting["being_sent"]) == ("waiting", False)
    assert waiting["due_at"] == "2026-01-02T12:00:00.000000+00:00"
    assert "duration_ms" not in waiting
    store.claim(EMAIL, "smtp", limit=1, lease=timedelta(seconds=60), token="t")
    (claimed,) = told(service, "j1")
    assert isinstance(claimed, dict)
    assert claimed["being_sent"] is True


def test_a_mail_that_was_skipped_says_why_and_who_decided(service: Service) -> None:
    skipped = new_delivery("j1")
    skipped["state"], skipped["layer"], skipped["reason"] = "skipped", "preferences", "opted_out"
    DeliveryStore(service["redis"], SystemClock()).add(skipped)
    (found,) = told(service, "j1")
    assert isinstance(found, dict)
    assert (found["state"], found["decided_by"], found["reason"]) == ("skipped", "preferences", "opted_out")
    assert found["reason_text"] == "the user has opted out of mail"


def test_a_replay_is_told(service: Service) -> None:
    clock = FakeClock(NOON)
    store = DeliveryStore(service["redis"], clock)
    store.add(new_delivery("j1"))
    settle(
        store,
        {
            "delivery_id": "d1",
            "domain": "files",
            "job_id": "j1",
            "state": "dead",
            "counts": True,
            "detail": "it was refused",
        },
    )
    (dead,) = store.of_job(FILES, "j1")
    clock.advance(60)
    assert store.replay(dead)
    (found,) = told(service, "j1")
    assert isinstance(found, dict)
    assert found["replays"] == [{"at": "2026-01-02T12:01:00.000000+00:00", "was": "it was refused"}]


def test_mails_that_were_gathered_say_in_what_digest(service: Service) -> None:
    clock = FakeClock(NOON)
    store = DeliveryStore(service["redis"], clock)
    rule: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
    for number in range(4):
        store.add(new_delivery(f"j{number}", f"d{number}"), rule)
    (alone,) = told(service, "j0")
    assert isinstance(alone, dict)
    assert (alone["state"], "digest" in alone, "told_in" in alone) == ("waiting", False, False)
    store.claim(EMAIL, "smtp", limit=9, lease=timedelta(seconds=60), token="s")
    clock.advance(600)
    (gathered,) = told(service, "j1")
    assert isinstance(gathered, dict)
    assert (gathered["state"], gathered["digest"]) == ("gathered", digest_id_of("d2"))
    digest = gathered["told_in"]
    assert isinstance(digest, dict)
    assert (digest["delivery_id"], digest["gathered"]) == (digest_id_of("d2"), 3)
    assert (digest["state"], digest["held_until"]) == ("waiting", "2026-01-02T12:10:00.000000+00:00")
    store.claim(EMAIL, "smtp", limit=9, lease=timedelta(seconds=60), token="t")
    sent: Settlement = {
        "delivery_id": digest_id_of("d2"),
        "domain": FILES,
        "job_id": "j1",
        "state": "sent",
        "counts": True,
        "message_ids": ["m-1"],
    }
    assert store.settle(EMAIL, "t", [sent]) == [True]
    for number in (1, 2, 3):
        (member,) = told(service, f"j{number}")
        assert isinstance(member, dict)
        assert member["state"] == "sent"
        assert isinstance(member["told_in"], dict)
        assert (member["told_in"]["state"], member["told_in"]["message_ids"]) == ("sent", ["m-1"])
    service["redis"].delete(f"notify:delivery:{digest_id_of('d2')}")
    (member,) = told(service, "j3")
    assert isinstance(member, dict)
    assert (member["digest"], "told_in" in member) == (digest_id_of("d2"), False)


def test_a_delivery_that_cannot_be_read_is_our_fault_and_not_the_clients(service: Service) -> None:
    DeliveryStore(service["redis"], SystemClock()).add(new_delivery("j1"))
    service["redis"].hset("notify:delivery:d1", {"run": "many"})
    answer = service["http"].get("/v1/jobs/files/j1/deliveries")
    assert answer.status_code == 500
    assert json_of(answer)["type"] == "urn:jobs-api:damaged-record"
