"""What becomes of a delivery after an attempt, as the store will record it. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias, TypedDict

from platform_notify.circuit import PROBE_PAUSE
from platform_notify.claims import Claim, Unreadable
from platform_notify.deliveries import AttemptNote, Delivery
from platform_notify.delivery_store import Settlement
from platform_notify.opt_outs import LeftOut, Stop
from platform_notify.providers.base import Failed, SendResult, failed
from platform_notify.rendering import TEMPLATE_VERSION
from platform_notify.retry import RetryDecision, decide_retry
from platform_notify.unsure import HELD_WORDS, LOG_LAG

Teller: TypeAlias = Literal["provider", "log", "policy", "sender"]
"""Who said what became of it: the provider it was given to, that one's log, the operator's choice, or the
sender itself, which gave it to nobody."""


class Attempt(TypedDict):
    """How an attempt went.

    Attributes:
        at: when it ended.
        seconds: how long the provider took, for the whole batch.
        jitter: a random number from -1 to 1.
        has_log: the provider has a log that can be asked before the next attempt.
        may_repeat: a mail that may have been delivered is sent again if no log can tell.
        left_out: of a digest: the users of whose jobs it did not tell.
    """

    provider: str
    result: SendResult
    teller: Teller
    at: datetime
    seconds: float
    jitter: float
    has_log: bool
    may_repeat: bool
    left_out: Sequence[LeftOut]


def held_back() -> Failed:
    """Make the result of a mail that is not sent again because it may have been delivered."""
    return failed("unexpected", f"not sent: {HELD_WORDS}")


def settle_attempt(delivery: Delivery, claim: Claim, attempt: Attempt) -> Settlement:
    """Decide what is recorded about a claimed delivery.

    Args:
        delivery: as it was claimed.
        claim: the claim it belongs to.
        attempt: how it went.
    """
    settlement: Settlement = {
        "delivery_id": delivery["delivery_id"],
        "domain": delivery["domain"],
        "job_id": delivery["job_id"],
        "state": "waiting",
        "counts": True,
        "attempts": [*delivery.get("attempts", []), _note(attempt)],
        "template_version": TEMPLATE_VERSION,
    }
    result = attempt["result"]
    if result["outcome"] == "sent":
        settlement["state"] = "sent"
        settlement["message_ids"], settlement["answer"] = result["message_ids"], result["answer"]
        settlement["left_out"] = attempt["left_out"]
        return settlement
    if result["ambiguous"]:
        settlement["unsure"] = "yes"
    elif "unsure" in delivery:
        settlement["unsure"] = delivery["unsure"]
    lost_track = result["ambiguous"] and not attempt["has_log"] and not attempt["may_repeat"]
    if attempt["teller"] == "policy" or lost_track:
        settlement["state"], settlement["detail"] = "dead", HELD_WORDS
        return settlement
    decision = _decide(delivery, claim, attempt, result)
    if decision["decision"] == "retry":
        settlement["due_at"] = decision["at"]
    elif decision["decision"] == "hold":
        settlement["counts"], settlement["due_at"] = False, attempt["at"] + PROBE_PAUSE
    elif decision["decision"] == "put_back":
        # Before all that came after it: it was its turn.
        settlement["untried"] = True
        settlement["due_at"] = delivery.get("held_until", delivery["created_at"])
    else:
        settlement["state"], settlement["detail"] = "dead", decision["why"]
    if result["ambiguous"] and attempt["has_log"] and "due_at" in settlement:
        settlement["due_at"] = max(settlement["due_at"], attempt["at"] + LOG_LAG)
    return settlement


def counted_from(delivery: Delivery, claim: Claim, now: datetime) -> datetime:
    """Return from when on the time for retries counts.

    Time that was spent waiting for the provider's account to be mended does not.
    """
    first = delivery.get("first_attempt_at", now)
    return max(first, claim.get("closed_at", first))


def settle_stopped(delivery: Delivery, stop: Stop) -> Settlement:
    """Return what is recorded about a delivery that is not sent after all."""
    settlement: Settlement = {
        "delivery_id": delivery["delivery_id"],
        "domain": delivery["domain"],
        "job_id": delivery["job_id"],
        "state": "skipped",
        "counts": True,
        "reason": stop["reason"],
        "layer": stop["layer"],
        "detail": stop["detail"],
    }
    if "unsure" in delivery:
        # It may have left before the user opted out.
        settlement["unsure"] = delivery["unsure"]
    return settlement


def settle_unreadable(lost: Unreadable) -> Settlement:
    """Return what is recorded about a delivery whose record cannot be read."""
    return {
        "delivery_id": lost["delivery_id"],
        "domain": lost["domain"],
        "job_id": lost["job_id"],
        "state": "dead",
        "counts": True,
        "detail": f"the record cannot be read: {lost['fault']}",
    }


def _decide(delivery: Delivery, claim: Claim, attempt: Attempt, result: Failed) -> RetryDecision:
    if claim["verdict"] == "probe" and result["error_class"] != "refused":
        return {"decision": "hold"}
    return decide_retry(
        result["error_class"],
        attempt=delivery.get("attempt", 1),
        first_attempt_at=counted_from(delivery, claim, attempt["at"]),
        now=attempt["at"],
        retry_after=result["retry_after"],
        jitter=attempt["jitter"],
    )


def _note(attempt: Attempt) -> AttemptNote:
    result = attempt["result"]
    note: AttemptNote = {
        "at": attempt["at"],
        "provider": attempt["provider"],
        "result": "sent",
        "detail": "",
        "ambiguous": False,
        "duration_ms": round(attempt["seconds"] * 1000),
    }
    if result["outcome"] == "sent":
        note["detail"] = result["answer"]
    else:
        note["result"], note["detail"] = result["error_class"], result["detail"]
        note["ambiguous"] = result["ambiguous"]
    return note
