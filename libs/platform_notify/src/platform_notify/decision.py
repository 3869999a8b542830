"""Whether an outcome becomes a mail: send, or skip with a reason, and which layer said so. Pure.

The answer is recorded with the delivery, so that "why did I get
(or miss) this mail?" has one.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.job_events import JobDomain
from platform_core.notifications import EmailIntent, NotificationPreferences

from platform_notify.intent import JobIntent
from platform_notify.job_event import JobEvent

Layer: TypeAlias = Literal["job", "domain_preferences", "preferences", "default", "platform"]
"""Who decided.

- `job`: the job's own record: its `notifications`, its `context`, its status.
- `domain_preferences`: what its user has stored for the jobs of this domain.
- `preferences`: what its user has stored for all jobs.
- `default`: nobody declared anything, and without a request nothing is sent.
- `platform`: the notifier itself.
"""

SkipReason: TypeAlias = Literal[
    "job_not_found",
    "job_cancelled",
    "invalid_context",
    "invalid_notifications",
    "invalid_preferences",
    "opted_out",
    "not_requested",
    "email_disabled",
    "event_not_wanted",
    "no_recipient",
    "provider_not_configured",
    "too_old",
]

SKIP_WORDS: Final[Mapping[SkipReason, str]] = {
    "job_not_found": "there is no record of the job",
    "job_cancelled": "the job was cancelled",
    "invalid_context": "the job's context is malformed",
    "invalid_notifications": "the job's notifications are malformed",
    "invalid_preferences": "the user's stored preferences are malformed, so an opt-out cannot be ruled out",
    "opted_out": "the user has opted out of mail",
    "not_requested": "nobody asked for a mail",
    "email_disabled": "mail is switched off",
    "event_not_wanted": "mail was not asked for this outcome",
    "no_recipient": "the job's context names no address",
    "provider_not_configured": "no mail provider is configured",
    "too_old": "the job ended too long ago",
}
"""What each reason means, for a person; each can follow `because`."""


class Send(TypedDict):
    """Send the mail to this address."""

    decision: Literal["send"]
    recipient: str
    layer: Layer


class Skip(TypedDict):
    """Send nothing.

    Attributes:
        reason: why, as a word.
        layer: who decided.
        detail: what exactly, such as the path of a malformed field; may be empty, never a value.
        recipient: who would have got the mail; empty where that is not known.
    """

    decision: Literal["skip"]
    reason: SkipReason
    layer: Layer
    detail: str
    recipient: str


Decision: TypeAlias = Send | Skip


def skip(reason: SkipReason, layer: Layer, *, detail: str = "", recipient: str = "") -> Skip:
    """Make the decision to send nothing."""
    return {"decision": "skip", "reason": reason, "layer": layer, "detail": detail, "recipient": recipient}


def decide(
    outcome: JobEvent,
    *,
    domain: JobDomain,
    intent: JobIntent,
    preferences: NotificationPreferences,
    provider_configured: bool,
) -> Decision:
    """Decide about one outcome of one job.

    Args:
        outcome: how the job ended.
        domain: the job's domain, for the user's preferences about it.
        intent: what the job's record says.
        preferences: what the user has stored; empty if nothing.
        provider_configured: whether there is a provider to send with.
    """
    recipient = intent["context"].get("email", "")
    if intent["status"] == "cancelled":
        return skip("job_cancelled", "job", recipient=recipient)
    opted_out = opt_out_layer(preferences, domain)
    if opted_out is not None:
        return skip("opted_out", opted_out, recipient=recipient)
    wish, layer = _stored(preferences, domain)
    if "notifications" in intent:
        wish, layer = intent["notifications"].get("email"), "job"
    objection = _objection(wish, outcome)
    if objection is not None:
        return skip(objection, layer, recipient=recipient)
    if not recipient:
        return skip("no_recipient", "job")
    if not provider_configured:
        return skip("provider_not_configured", "platform", recipient=recipient)
    return {"decision": "send", "recipient": recipient, "layer": layer}


def opt_out_layer(preferences: NotificationPreferences, domain: JobDomain) -> Layer | None:
    """Return which of a user's preferences stops every mail about a domain's jobs; None if none does.

    An opt-out wins over everything, also over the job's own request.
    """
    if preferences.get("opt_out", False):
        return "preferences"
    if preferences.get("domains", {}).get(domain, {}).get("opt_out", False):
        return "domain_preferences"
    # A stored "no mail" is one too; what is said of the domain counts more than what is said of all.
    stored, layer = _stored(preferences, domain)
    return layer if stored is not None and not stored["enabled"] else None


def _objection(wish: EmailIntent | None, outcome: JobEvent) -> SkipReason | None:
    if wish is None:
        return "not_requested"
    if not wish["enabled"]:
        return "email_disabled"
    return None if outcome.word in wish["on"] else "event_not_wanted"


def _stored(preferences: NotificationPreferences, domain: JobDomain) -> tuple[EmailIntent | None, Layer]:
    """Find what the user has stored about mail from this domain, and where; nothing if nothing."""
    of_domain = preferences.get("domains", {}).get(domain, {})
    if "email" in of_domain:
        return of_domain["email"], "domain_preferences"
    if "email" in preferences:
        return preferences["email"], "preferences"
    return None, "default"
