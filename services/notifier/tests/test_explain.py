"""The story of a job's deliveries, in words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from platform_core.job_events import TURKIC
from platform_notify.circuit import CircuitState
from platform_notify.decision import Layer
from platform_notify.deliveries import MAX_ATTEMPT_NOTES, AttemptNote, Delivery
from platform_notify.delivery_store import JobStory, UnreadableRecord
from platform_notify.intent import JobSnapshot
from platform_notify.providers.base import ErrorClass

from notifier.explain import FAULT_WORDS, LAYER_WORDS, explain_job

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def delivery() -> Delivery:
    return {
        "delivery_id": "d1",
        "domain": TURKIC,
        "job_id": "j1",
        "run": 1,
        "event": "FAILURE",
        "channel": "email",
        "recipient": "anna@example.com",
        "user_id": 7,
        "state": "waiting",
        "layer": "job",
        "detail": "",
        "created_at": NOON,
        "facts": {
            "domain": "turkic",
            "job_id": "j1",
            "job_type": None,
            "event": "FAILURE",
            "error_kind": "user",
            "message": "bad row",
            "attempts": None,
            "created_at": None,
            "started_at": None,
            "finished_at": NOON - timedelta(seconds=1),
            "result_id": None,
            "result_bytes": None,
            "link": None,
        },
    }


def note(result: str, *, ambiguous: bool = False) -> AttemptNote:
    found: AttemptNote = {
        "at": NOON + timedelta(seconds=1),
        "provider": "smtp",
        "result": "sent",
        "detail": "250 ok",
        "ambiguous": ambiguous,
        "duration_ms": 12,
    }
    if result == "timeout":
        found["result"], found["detail"] = "timeout", "no answer in 15 s"
    return found


CLOSED: CircuitState = {"state": "closed"}


def told(
    *deliveries: Delivery,
    job: JobSnapshot | None = None,
    circuit: CircuitState = CLOSED,
    digest: Delivery | None = None,
    unreadable: Sequence[UnreadableRecord] = (),
) -> str:
    digests = {} if digest is None else {digest["delivery_id"]: digest}
    story: JobStory = {"deliveries": [*deliveries], "digests": digests, "unreadable": [*unreadable]}
    return "\n".join(explain_job(TURKIC, "j1", story, job, circuit))


def snapshot(status: str) -> JobSnapshot:
    return {"ours": True, "run": 1, "status": status, "fields": {}}


def test_without_a_job_and_a_delivery_the_id_is_asked_for() -> None:
    assert told() == (
        "Nothing is recorded about mails for job j1 of turkic.\n"
        "There is no record of such a job. Is the id right? Records go 30 days after the end."
    )


def test_a_job_that_has_not_ended_has_no_mail_yet() -> None:
    assert told(job=snapshot("processing")).endswith(
        "The job has not ended: its status is processing. Mails come after the end."
    )
    assert "its status is not given." in told(job=snapshot(""))


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_job_that_ended_unheard_leads_to_the_notifier(status: str) -> None:
    text = told(job=snapshot(status))
    assert f"The job has ended: its status is {status}. Either no notifier has heard of it yet" in text


def test_a_mail_that_was_sent_after_a_failed_attempt() -> None:
    sent = delivery()
    sent["state"] = "sent"
    sent["settled_at"] = NOON + timedelta(seconds=6)
    sent["attempts"] = [note("timeout", ambiguous=True), note("sent")]
    sent["message_ids"] = ["m-1", "m-2"]
    assert told(sent) == (
        "Job j1 of turkic:\n"
        "\n"
        "Run 1 failed at 2026-01-02 11:59:59 UTC with an error in its input: 'bad row'."
        " The notifier heard of it at 2026-01-02 12:00:00 UTC.\n"
        "  Mail to anna@example.com, delivery d1.\n"
        "  It was decided to send it. That came from the job's own record.\n"
        "  Attempt at 2026-01-02 12:00:01 UTC through smtp, 12 ms: failed (timeout), the provider gave no"
        " answer in time: no answer in 15 s. It may have been delivered all the same.\n"
        "  Attempt at 2026-01-02 12:00:01 UTC through smtp, 12 ms: sent. It answered: 250 ok.\n"
        "  Sent at 2026-01-02 12:00:06 UTC. The provider took it as m-1, m-2.\n"
        "  Nothing more happens."
    )


def test_a_provider_that_said_nothing_and_gave_no_id() -> None:
    sent = delivery()
    sent["state"], sent["attempts"] = "sent", [note("sent")]
    sent["attempts"][0]["detail"] = ""
    text = told(sent)
    assert "sent. It answered: nothing.\n" in text
    assert "The provider took it.\n" in text


def test_how_the_job_ended_is_told() -> None:
    good, system, silent = delivery(), delivery(), delivery()
    good["event"] = good["facts"]["event"] = "SUCCESS"
    system["facts"]["error_kind"] = "system"
    silent["facts"]["message"] = silent["facts"]["finished_at"] = None
    assert "Run 1 succeeded at 2026-01-02 11:59:59 UTC. The notifier heard" in told(good)
    assert "with an error of the system: 'bad row'." in told(system)
    assert "Run 1 failed with an error in its input. The notifier heard" in told(silent)


def test_a_cancelled_job_is_not_told_as_one_that_failed() -> None:
    cancelled = delivery()
    cancelled["state"], cancelled["reason"] = "skipped", "job_cancelled"
    cancelled["facts"]["message"] = "cancelled"
    text = told(cancelled)
    assert "\nRun 1 was cancelled at 2026-01-02 11:59:59 UTC. The notifier heard of it at" in text
    assert "fail" not in text
    assert "  Not sent, because the job was cancelled.\n" in text


def test_a_message_of_a_job_cannot_write_lines_of_the_story() -> None:
    forged = delivery()
    forged["facts"]["message"] = "x\n  Sent at noon."
    assert "'x\\n  Sent at noon.'" in told(forged)


def test_a_mail_that_was_skipped() -> None:
    skipped = delivery()
    skipped["state"], skipped["layer"], skipped["recipient"] = "skipped", "preferences", ""
    skipped["reason"] = "opted_out"
    text = told(skipped)
    assert "  Mail to nobody, delivery d1.\n" in text
    assert "  It was decided not to send it. That came from the user's preferences.\n" in text
    assert "  Not sent, because the user has opted out of mail.\n  Nothing more happens" in text
    skipped["detail"] = "$.context: expected object, found array"
    assert "out of mail ($.context: expected object, found array)." in told(skipped)
    del skipped["reason"]
    assert "because nobody knows why" in told(skipped)


def test_channels_that_nobody_knows_are_named() -> None:
    """Whoever wrote `mail` for `email` hears nothing else of it."""
    skipped = delivery()
    skipped["state"], skipped["reason"] = "skipped", "not_requested"
    job = snapshot("failed")
    assert "name only" not in told(skipped, job=job)
    job["fields"] = {"notifications": '{"mail": {"enabled": true, "on": ["FAILURE"]}}'}
    assert (
        "  Not sent, because nobody asked for a mail.\n"
        "  The job's notifications name only: mail (known: email).\n"
        "  Nothing more happens"
    ) in told(skipped, job=job)
    assert "name only" not in told(skipped)
    job["fields"] = {"notifications": '{"a\\n  Sent": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1}'}
    assert "name only: a\\n  Sent, b, c, d, e and 2 more (known: email)." in told(skipped, job=job)
    skipped["reason"] = "opted_out"
    assert "name only" not in told(skipped, job=job)


def test_a_mail_that_was_given_up_can_be_replayed() -> None:
    dead = delivery()
    dead["state"], dead["detail"] = "dead", "every attempt failed for 2 hours"
    dead["settled_at"] = NOON + timedelta(hours=2)
    text = told(dead)
    assert "  Given up at 2026-01-02 14:00:00 UTC: every attempt failed for 2 hours.\n" in text
    assert text.endswith("  notifier replay d1")
    dead["unsure"] = "yes"
    assert told(dead).endswith("It may have been delivered all the same; then it comes twice.")


def test_a_mail_that_waits() -> None:
    waiting = delivery()
    assert told(waiting).endswith("  Not sent yet; the next attempt is due at 2026-01-02 12:00:00 UTC.")
    waiting["due_at"], waiting["first_attempt_at"] = NOON + timedelta(seconds=5), NOON
    assert told(waiting).endswith(
        "  Not sent yet; the next attempt is due at 2026-01-02 12:00:05 UTC.\n"
        "  If that fails too it is tried again, and given up after 2026-01-02 14:00:00 UTC."
    )
    waiting["unsure"] = "yes"
    assert told(waiting).endswith("  It may have been delivered before, although nobody could say so.")


def test_a_mail_on_its_way() -> None:
    claimed = delivery()
    claimed["claim"], claimed["due_at"] = "token", NOON + timedelta(seconds=95)
    assert told(claimed).endswith(
        "  It is being sent at this moment.\n"
        "  Should its notifier have died, another one takes it up after 2026-01-02 12:01:35 UTC."
    )


def test_a_mail_that_waits_for_the_account() -> None:
    circuit: CircuitState = {"state": "open", "opened_at": NOON, "why": "535 denied"}
    text = told(delivery(), circuit=circuit)
    assert (
        "  Not sent yet. The provider refuses the account since 2026-01-02 12:00:00 UTC: 535 denied\n" in text
    )
    assert text.endswith("One mail a minute tries.")
    assert "refuses the account: no reason given" in told(delivery(), circuit={"state": "open"})


def test_a_mail_that_waits_for_a_provider_that_wants_to_be_left_alone() -> None:
    """The next attempt was said to be due now, while nothing was sent for 50 minutes."""
    circuit: CircuitState = {"state": "closed", "paused_until": NOON + timedelta(minutes=50)}
    waiting = delivery()
    assert told(waiting, circuit=circuit).endswith(
        "  Not sent yet. The provider has asked to be left alone; the next attempt is due when that is over,"
        " at 2026-01-02 12:50:00 UTC."
    )
    waiting["due_at"] = NOON + timedelta(minutes=51)
    assert "the next attempt is due at 2026-01-02 12:51:00" in told(waiting, circuit=circuit)


def test_a_mail_that_may_have_left_before_its_user_opted_out() -> None:
    skipped = delivery()
    skipped["state"], skipped["reason"], skipped["unsure"] = "skipped", "opted_out", "yes"
    assert (
        "  Not sent again, because the user has opted out of mail.\n"
        "  An attempt before that may have delivered it, although nobody could say so.\n"
    ) in told(skipped)


def test_a_record_that_cannot_be_read_hides_no_other() -> None:
    record: UnreadableRecord = {"delivery_id": "d7", "fault": "delivery.run: expected int, found str"}
    broken = (
        "The record of delivery d7 cannot be read: delivery.run: expected int, found str.\n"
        "  Somebody changed it by hand, or a newer notifier wrote it."
    )
    assert told(delivery(), unreadable=[record]) == f"{told(delivery())}\n\n{broken}"
    assert told(unreadable=[record]) == f"Job j1 of turkic:\n\n{broken}"


def test_attempts_that_were_forgotten_are_told() -> None:
    long = delivery()
    long["attempts"] = [note("timeout")] * MAX_ATTEMPT_NOTES
    assert "  Only the last 20 attempts are kept:\n  Attempt at" in told(long)


def test_a_notifier_that_died_in_the_middle_is_told() -> None:
    resent = delivery()
    resent["interrupted"] = 1
    assert (
        "A notifier ended once before it could tell how an attempt went; the mail may have left.\n"
        in told(resent)
    )
    resent["interrupted"] = 3
    assert "A notifier ended 3 times before" in told(resent)


def test_a_replay_is_told() -> None:
    found: Delivery = {**delivery(), "replays": [{"at": NOON, "was": "it was refused"}]}
    assert "  Replayed by hand at 2026-01-02 12:00:00 UTC; given up before: it was refused." in told(found)
    found["replays"] = [{"at": NOON, "was": ""}]
    assert "given up before: no reason." in told(found)


def test_attempts_and_replays_are_told_in_the_order_of_their_time() -> None:
    found: Delivery = {**delivery(), "attempts": [note("timeout"), note("sent")]}
    found["attempts"][1]["at"] = NOON + timedelta(hours=3)
    found["replays"] = [{"at": NOON + timedelta(hours=2), "was": "it was refused"}]
    assert [line.split(" UTC")[0] for line in told(found).splitlines()[5:8]] == [
        "  Attempt at 2026-01-02 12:00:01",
        "  Replayed by hand at 2026-01-02 14:00:00",
        "  Attempt at 2026-01-02 15:00:00",
    ]


def gathered(state: Literal["gathered", "sent", "dead"] = "gathered") -> tuple[Delivery, Delivery]:
    """Return a delivery and the digest that tells of it."""
    member: Delivery = {**delivery(), "state": state, "digest": "d9"}
    digest: Delivery = {**delivery(), "delivery_id": "d9", "job_id": "j0", "gathered": 17}
    digest["due_at"] = digest["held_until"] = NOON + timedelta(minutes=10)
    if state != "gathered":
        digest["state"], digest["settled_at"] = state, NOON + timedelta(minutes=10)
        digest["attempts"], digest["detail"] = [note("timeout"), note("sent")], "it was refused"
    return member, digest


def test_a_mail_that_waits_for_others() -> None:
    held = delivery()
    held["due_at"] = held["held_until"] = NOON + timedelta(minutes=10)
    assert told(held).endswith(
        "  Not sent yet. A mail of this kind went to this address just before, so it waits for others until"
        " 2026-01-02 12:10:00 UTC and leaves then, by itself or with them."
    )
    held["first_attempt_at"] = NOON + timedelta(minutes=10)
    assert "the next attempt is due at" in told(held)


def test_a_mail_that_waits_in_a_digest() -> None:
    member, digest = gathered()
    assert told(member, digest=digest).endswith(
        "  Mail to anna@example.com, delivery d1.\n"
        "  It was decided to send it. That came from the job's own record.\n"
        "  Many mails would have gone to this address at once, so it was gathered with others.\n"
        "  One mail tells of 17 of them: the digest d9.\n"
        "  Not sent yet. A mail of this kind went to this address just before, so it waits for others until"
        " 2026-01-02 12:10:00 UTC and leaves then, by itself or with them."
    )


def test_a_mail_that_went_out_in_a_digest_has_its_attempts() -> None:
    member, digest = gathered("sent")
    text = told(member, digest=digest)
    assert "the digest d9.\n  Attempt at 2026-01-02 12:00:01 UTC through smtp, 12 ms: failed" in text
    assert text.endswith("  Sent at 2026-01-02 12:10:00 UTC. The provider took it.\n  Nothing more happens.")


def test_a_digest_that_was_given_up_can_be_replayed() -> None:
    member, digest = gathered("dead")
    text = told(member, digest=digest)
    assert "  Given up at 2026-01-02 12:10:00 UTC: it was refused.\n" in text
    assert text.endswith("  notifier replay d9")


def test_what_a_digest_left_out_is_not_told_as_sent() -> None:
    member, digest = gathered("sent")
    member["state"], member["reason"], member["layer"] = "skipped", "opted_out", "domain_preferences"
    digest["left_out"] = 5
    text = told(member, digest=digest)
    assert "decided not to send it. That came from the user's preferences for this domain" in text
    assert "One mail tells of 12 of them: the digest d9.\n  This one was left out of it.\n" in text
    assert "Not sent, because the user has opted out" in text
    assert "Sent at" not in text


def test_a_digest_whose_record_is_gone_is_named() -> None:
    assert told(gathered("sent")[0]).endswith(
        "  They are told in the digest d9, of which there is no record to be read.\n"
        "  This one counts as sent."
    )


def test_each_delivery_is_told() -> None:
    other = delivery()
    other["run"] = 2
    other["event"] = other["facts"]["event"] = "SUCCESS"
    text = told(delivery(), other)
    assert "\n\nRun 1 failed at" in text
    assert "\n\nRun 2 succeeded at" in text


def test_every_layer_has_words() -> None:
    layers: tuple[Layer, ...] = ("job", "domain_preferences", "preferences", "default", "platform")
    assert set(LAYER_WORDS) == set(layers)


def test_every_fault_has_words() -> None:
    faults: tuple[ErrorClass, ...] = (
        "connect", "timeout", "rate_limited", "server", "refused", "auth", "unexpected", "no_time",
    )  # fmt: skip
    assert set(FAULT_WORDS) == set(faults)
