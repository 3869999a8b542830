"""The story of a job's deliveries in plain words, for `notifier explain`.

For each delivery: how the job ended, what was decided and by whom, every attempt, where it stands, and what
happens next.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Final

from platform_core.job_events import JobDomain
from platform_notify.circuit import CircuitState
from platform_notify.decision import SKIP_WORDS, Layer
from platform_notify.deliveries import MAX_ATTEMPT_NOTES, AttemptNote, Delivery, ReplayNote
from platform_notify.delivery_store import JobStory
from platform_notify.intent import KNOWN_CHANNELS, JobSnapshot, only_unknown_channels
from platform_notify.providers.base import ErrorClass
from platform_notify.retry import GIVE_UP_AFTER

LAYER_WORDS: Final[Mapping[Layer, str]] = {
    "job": "the job's own record",
    "domain_preferences": "the user's preferences for this domain",
    "preferences": "the user's preferences",
    "default": "the default, because neither the job nor its user declared anything",
    "platform": "the notifier",
}

FAULT_WORDS: Final[Mapping[ErrorClass, str]] = {
    "connect": "the provider could not be reached",
    "timeout": "the provider gave no answer in time",
    "rate_limited": "the provider asked to wait",
    "server": "the provider had a fault of its own",
    "refused": "the provider will not take this mail",
    "auth": "the provider refuses the account",
    "unexpected": "something unforeseen went wrong",
    "no_time": "those before it took all the time there was",
}

MAX_CHANNELS: Final = 5
"""How many unknown channels of a job are named."""

_ENDS: Final = frozenset({"completed", "failed", "cancelled"})


def explain_job(
    domain: JobDomain,
    job_id: str,
    story: JobStory,
    job: JobSnapshot | None,
    circuit: CircuitState,
) -> Iterator[str]:
    """Tell line by line what became of the mails about a job.

    Args:
        domain: the job's domain.
        job_id: the job.
        story: what is recorded about its mails.
        job: the job's record; None if there is none.
        circuit: that of the provider the settings name.
    """
    deliveries, unreadable = story["deliveries"], story["unreadable"]
    if not deliveries and not unreadable:
        yield f"Nothing is recorded about mails for job {job_id} of {domain}."
        yield _why_nothing(job)
        return
    yield f"Job {job_id} of {domain}:"
    for delivery in deliveries:
        yield ""
        digest = story["digests"].get(delivery.get("digest", ""))
        yield from explain_delivery(delivery, circuit, digest, job)
    for record in unreadable:
        yield ""
        yield f"The record of delivery {record['delivery_id']} cannot be read: {record['fault']}."
        yield "  Somebody changed it by hand, or a newer notifier wrote it."


def explain_delivery(
    delivery: Delivery,
    circuit: CircuitState,
    digest: Delivery | None = None,
    job: JobSnapshot | None = None,
) -> Iterator[str]:
    """Tell line by line what became of one delivery.

    Args:
        delivery: the delivery.
        circuit: that of the provider the settings name.
        digest: the one that tells of it, if it was gathered into one that is still known.
        job: the job's record; None if there is none.
    """
    yield f"{_end(delivery)} The notifier heard of it at {utc(delivery['created_at'])}."
    yield f"  Mail to {delivery['recipient'] or 'nobody'}, delivery {delivery['delivery_id']}."
    wanted = "not to send it" if delivery["state"] == "skipped" else "to send it"
    yield f"  It was decided {wanted}. That came from {LAYER_WORDS[delivery['layer']]}."
    if "digest" in delivery:
        yield from (f"  {line}" for line in _told_in_digest(delivery, digest, circuit))
        return
    yield from (f"  {line}" for line in _tries(delivery))
    yield from (f"  {line}" for line in _standing(delivery, circuit, job))


def _tries(delivery: Delivery) -> Iterator[str]:
    """Tell every attempt, and what a person did, in the order in which it happened."""
    notes = delivery.get("attempts", [])
    if len(notes) == MAX_ATTEMPT_NOTES:
        yield f"Only the last {MAX_ATTEMPT_NOTES} attempts are kept:"
    steps = [(note["at"], _attempt(note)) for note in notes]
    steps += [(replay["at"], _replay(replay)) for replay in delivery.get("replays", [])]
    yield from (line for _, line in sorted(steps, key=itemgetter(0)))
    interrupted = delivery.get("interrupted", 0)
    if interrupted:
        times = "once" if interrupted == 1 else f"{interrupted} times"
        yield f"A notifier ended {times} before it could tell how an attempt went; the mail may have left."


def _told_in_digest(delivery: Delivery, digest: Delivery | None, circuit: CircuitState) -> Iterator[str]:
    """Say that one mail stands for several, and what became of that one."""
    yield "Many mails would have gone to this address at once, so it was gathered with others."
    if digest is None:
        # Records of the same age, but one may have been removed by hand.
        yield f"They are told in the digest {delivery.get('digest')}, of which there is no record to be read."
        yield f"This one counts as {delivery['state']}."
        return
    told = digest.get("gathered", 0) - digest.get("left_out", 0)
    yield f"One mail tells of {told} of them: the digest {digest['delivery_id']}."
    if (delivery["state"], digest["state"]) == ("skipped", "sent"):
        yield "This one was left out of it."
        yield from _standing(delivery, circuit)
        return
    yield from _tries(digest)
    yield from _standing(digest, circuit)


def _end(delivery: Delivery) -> str:
    """Say how the job ended."""
    facts = delivery["facts"]
    ended = "succeeded" if delivery["event"] == "SUCCESS" else "failed"
    finished_at = facts["finished_at"]
    at = "" if finished_at is None else f" at {utc(finished_at)}"
    if facts["event"] == "SUCCESS":
        return f"Run {delivery['run']} {ended}{at}."
    if delivery.get("reason") == "job_cancelled":
        # Its event is that of a failure, but nothing was wrong with the job.
        return f"Run {delivery['run']} was cancelled{at}."
    fault = "an error in its input" if facts["error_kind"] == "user" else "an error of the system"
    said = f" {facts['message']!r}" if facts["message"] else ""
    return f"Run {delivery['run']} {ended}{at} with {fault}{':' if said else ''}{said}."


def _why_nothing(job: JobSnapshot | None) -> str:
    if job is None:
        return "There is no record of such a job. Is the id right? Records go 30 days after the end."
    if job["status"] not in _ENDS:
        return (
            f"The job has not ended: its status is {job['status'] or 'not given'}. Mails come after the end."
        )
    return (
        f"The job has ended: its status is {job['status']}. Either no notifier has heard of it yet (is one"
        " running, and is /readyz green?), or that was more than 30 days ago."
    )


def _standing(delivery: Delivery, circuit: CircuitState, job: JobSnapshot | None = None) -> Iterator[str]:
    """Say where the delivery stands and what happens next."""
    settled_at = delivery.get("settled_at", delivery["created_at"])
    match delivery["state"]:
        case "sent":
            ids = ", ".join(delivery.get("message_ids", []))
            yield f"Sent at {utc(settled_at)}. The provider took it{f' as {ids}' if ids else ''}."
            yield "Nothing more happens."
        case "dead":
            yield f"Given up at {utc(settled_at)}: {delivery['detail']}."
            yield from _how_to_replay(delivery)
        case "skipped":
            reason = SKIP_WORDS[delivery["reason"]] if "reason" in delivery else "nobody knows why"
            detail = f" ({delivery['detail']})" if delivery["detail"] else ""
            if "unsure" in delivery:
                yield f"Not sent again, because {reason}{detail}."
                yield "An attempt before that may have delivered it, although nobody could say so."
            else:
                yield f"Not sent, because {reason}{detail}."
            if delivery.get("reason") == "not_requested" and job is not None:
                yield from _named_in_vain(only_unknown_channels(job))
            yield "Nothing more happens; a mail that was not wanted cannot be replayed."
        case _:
            yield from _waiting(delivery, circuit)


def _named_in_vain(channels: list[str]) -> Iterator[str]:
    """Say what the job's notifications name if it is nothing that is known, such as a misspelt word."""
    if channels:
        # Written as Python does, without the quotes: a submitter may have put anything there.
        names = ", ".join(f"{name[:64]!r}"[1:-1] for name in channels[:MAX_CHANNELS])
        more = f" and {len(channels) - MAX_CHANNELS} more" if len(channels) > MAX_CHANNELS else ""
        yield f"The job's notifications name only: {names}{more} (known: {', '.join(KNOWN_CHANNELS)})."


def _waiting(delivery: Delivery, circuit: CircuitState) -> Iterator[str]:
    due_at = delivery.get("due_at", delivery["created_at"])
    if "claim" in delivery:
        yield "It is being sent at this moment."
        yield f"Should its notifier have died, another one takes it up after {utc(due_at)}."
    elif circuit["state"] == "open":
        since = f" since {utc(circuit['opened_at'])}" if "opened_at" in circuit else ""
        why = circuit.get("why", "no reason given")
        yield f"Not sent yet. The provider refuses the account{since}: {why}"
        yield "It waits until the account is mended, however long that takes. One mail a minute tries."
    elif "paused_until" in circuit and circuit["paused_until"] > due_at:
        yield (
            "Not sent yet. The provider has asked to be left alone; the next attempt is due when that is"
            f" over, at {utc(circuit['paused_until'])}."
        )
    elif "held_until" in delivery and "first_attempt_at" not in delivery:
        yield (
            "Not sent yet. A mail of this kind went to this address just before, so it waits for others"
            f" until {utc(due_at)} and leaves then, by itself or with them."
        )
    else:
        yield f"Not sent yet; the next attempt is due at {utc(due_at)}."
        if "first_attempt_at" in delivery:
            until = delivery["first_attempt_at"] + GIVE_UP_AFTER
            yield f"If that fails too it is tried again, and given up after {utc(until)}."
    if "unsure" in delivery:
        yield "It may have been delivered before, although nobody could say so."


def _how_to_replay(delivery: Delivery) -> Iterator[str]:
    yield "It is kept for 30 days, and nothing happens unless somebody sends it after all:"
    yield f"  notifier replay {delivery['delivery_id']}"
    if "unsure" in delivery:
        yield "It may have been delivered all the same; then it comes twice."


def _attempt(note: AttemptNote) -> str:
    where = f"Attempt at {utc(note['at'])} through {note['provider']}, {note['duration_ms']} ms"
    if note["result"] == "sent":
        return f"{where}: sent. It answered: {note['detail'] or 'nothing'}."
    doubt = " It may have been delivered all the same." if note["ambiguous"] else ""
    fault = FAULT_WORDS[note["result"]]
    return f"{where}: failed ({note['result']}), {fault}: {note['detail']}.{doubt}"


def _replay(replay: ReplayNote) -> str:
    return f"Replayed by hand at {utc(replay['at'])}; given up before: {replay['was'] or 'no reason'}."


def utc(moment: datetime) -> str:
    """Say a moment to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
