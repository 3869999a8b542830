"""The story of a job's deliveries, in words."""

from datetime import UTC, datetime, timedelta

from platform_core.job_events import TURKIC
from platform_notify.decision import Layer
from platform_notify.deliveries import AttemptNote, Delivery

from notifier.explain import LAYER_WORDS, explain_job

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
            "finished_at": None,
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


def told(*deliveries: Delivery) -> str:
    return "\n".join(explain_job(TURKIC, "j1", list(deliveries)))


def test_nothing_is_told_with_what_may_be_the_reason() -> None:
    assert told().startswith("Nothing is recorded about mails for job j1 of turkic.\nEither it has not ended")


def test_a_mail_that_was_sent_after_a_failed_attempt() -> None:
    sent = delivery()
    sent["state"] = "sent"
    sent["settled_at"] = NOON + timedelta(seconds=6)
    sent["attempts"] = [note("timeout", ambiguous=True), note("sent")]
    assert told(sent) == (
        "Job j1 of turkic:\n"
        "\n"
        "Run 1 failed; heard at 2026-01-02 12:00:00 UTC.\n"
        "  Mail to anna@example.com, delivery d1.\n"
        "  Sent at 2026-01-02 12:00:06 UTC.\n"
        "  Decided by the job's own record.\n"
        "  Attempt at 2026-01-02 12:00:01 UTC through smtp, 12 ms: failed (timeout): no answer in 15 s; "
        "it may have been delivered all the same.\n"
        "  Attempt at 2026-01-02 12:00:01 UTC through smtp, 12 ms: sent: 250 ok."
    )


def test_a_mail_that_was_skipped() -> None:
    skipped = delivery()
    skipped["state"], skipped["layer"], skipped["recipient"] = "skipped", "preferences", ""
    skipped["reason"] = "opted_out"
    text = told(skipped)
    assert "  Mail to nobody, delivery d1.\n" in text
    assert "  Not sent, because the user has opted out of mail.\n" in text
    assert "  Decided by the user's preferences." in text
    skipped["detail"] = "$.context: expected object, found array"
    assert "out of mail ($.context: expected object, found array)." in told(skipped)
    del skipped["reason"]
    assert "because nobody knows why" in told(skipped)


def test_a_mail_that_was_given_up() -> None:
    dead = delivery()
    dead["state"], dead["detail"] = "dead", "every attempt failed for 2 hours"
    dead["settled_at"] = NOON + timedelta(hours=2)
    assert "  Given up at 2026-01-02 14:00:00 UTC: every attempt failed for 2 hours.\n" in told(dead)


def test_a_mail_that_waits() -> None:
    waiting = delivery()
    waiting["due_at"] = NOON + timedelta(seconds=5)
    assert "  Not sent yet; the next attempt is due at 2026-01-02 12:00:05 UTC.\n" in told(waiting)
    waiting["claim"] = "token"
    assert "  It is being sent at this moment.\n" in told(waiting)


def test_a_notifier_that_died_in_the_middle_is_told() -> None:
    resent = delivery()
    resent["interrupted"] = 1
    assert told(resent).endswith(
        "A notifier ended once before it could tell how an attempt went; the mail may have left."
    )
    resent["interrupted"] = 3
    assert "A notifier ended 3 times before" in told(resent)


def test_a_replay_is_told() -> None:
    found: Delivery = {**delivery(), "replays": [{"at": NOON, "was": "it was refused"}]}
    assert "  Replayed by hand at 2026-01-02 12:00:00 UTC; given up before: it was refused." in told(found)


def test_each_delivery_is_told() -> None:
    other = delivery()
    other["run"], other["event"] = 2, "SUCCESS"
    text = told(delivery(), other)
    assert "\n\nRun 1 failed;" in text
    assert "\n\nRun 2 succeeded;" in text


def test_every_layer_has_words() -> None:
    layers: tuple[Layer, ...] = ("job", "domain_preferences", "preferences", "default", "platform")
    assert set(LAYER_WORDS) == set(layers)
