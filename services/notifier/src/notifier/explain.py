"""The story of a job's deliveries in plain words, for `notifier explain`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from platform_core.job_events import JobDomain
from platform_notify.decision import SKIP_WORDS, Layer
from platform_notify.deliveries import AttemptNote, Delivery

LAYER_WORDS: Final[Mapping[Layer, str]] = {
    "job": "the job's own record",
    "domain_preferences": "the user's preferences for this domain",
    "preferences": "the user's preferences",
    "default": "the default, because neither the job nor its user declared anything",
    "platform": "the notifier",
}


def explain_job(domain: JobDomain, job_id: str, deliveries: list[Delivery]) -> Iterator[str]:
    """Tell line by line what became of the mails about a job.

    Args:
        domain: the job's domain.
        job_id: the job.
        deliveries: all of them, oldest first.
    """
    if not deliveries:
        yield f"Nothing is recorded about mails for job {job_id} of {domain}."
        yield "Either it has not ended, or its end was not heard, or that was more than 30 days ago."
        return
    yield f"Job {job_id} of {domain}:"
    for delivery in deliveries:
        yield ""
        yield from explain_delivery(delivery)


def explain_delivery(delivery: Delivery) -> Iterator[str]:
    """Tell line by line what became of one delivery."""
    ended = "succeeded" if delivery["event"] == "SUCCESS" else "failed"
    to = delivery["recipient"] or "nobody"
    yield f"Run {delivery['run']} {ended}; heard at {_time(delivery['created_at'])}."
    yield f"  Mail to {to}, delivery {delivery['delivery_id']}."
    yield f"  {_state(delivery)}"
    yield f"  Decided by {LAYER_WORDS[delivery['layer']]}."
    for note in delivery.get("attempts", []):
        yield f"  {_attempt(note)}"
    for replay in delivery.get("replays", []):
        yield f"  Replayed by hand at {_time(replay['at'])}; given up before: {replay['was'] or 'no reason'}."
    interrupted = delivery.get("interrupted", 0)
    if interrupted:
        times = "once" if interrupted == 1 else f"{interrupted} times"
        yield f"  A notifier ended {times} before it could tell how an attempt went; the mail may have left."


def _state(delivery: Delivery) -> str:
    settled_at = delivery.get("settled_at", delivery["created_at"])
    if delivery["state"] == "sent":
        return f"Sent at {_time(settled_at)}."
    if delivery["state"] == "dead":
        return f"Given up at {_time(settled_at)}: {delivery['detail']}."
    if delivery["state"] == "skipped":
        reason = SKIP_WORDS[delivery["reason"]] if "reason" in delivery else "nobody knows why"
        detail = f" ({delivery['detail']})" if delivery["detail"] else ""
        return f"Not sent, because {reason}{detail}."
    if "claim" in delivery:
        return "It is being sent at this moment."
    return f"Not sent yet; the next attempt is due at {_time(delivery.get('due_at', settled_at))}."


def _attempt(note: AttemptNote) -> str:
    how = "sent" if note["result"] == "sent" else f"failed ({note['result']})"
    doubt = "; it may have been delivered all the same" if note["ambiguous"] else ""
    took = f"{note['duration_ms']} ms"
    return (
        f"Attempt at {_time(note['at'])} through {note['provider']}, {took}: {how}: {note['detail']}{doubt}."
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
