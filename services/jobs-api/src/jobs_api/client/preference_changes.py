"""Changes to a user's notification preferences, and what they say in words. Pure."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from platform_core.json_values import JsonObject, JsonValue
from platform_core.notifications import (
    EVENT_WORDS,
    DomainPreferences,
    EmailIntent,
    EventWord,
    NotificationPreferences,
)


class Change(TypedDict):
    """What to change; None leaves a thing as it is.

    Attributes:
        domain: for the jobs of this domain alone; None is for all.
        opt_out: True: no mail whatever a job says.
        email: whether to mail for a job that does not say it itself.
        on: on which outcomes.
    """

    domain: str | None
    opt_out: bool | None
    email: bool | None
    on: Sequence[EventWord] | None


def changes_anything(change: Change) -> bool:
    """Tell whether there is something to change."""
    return not (change["opt_out"] is None and change["email"] is None and change["on"] is None)


def changed(document: JsonObject, change: Change) -> JsonObject:
    """Return the preferences after a change; what it does not name, known or not, stays as it was."""
    domain = change["domain"]
    if domain is None:
        return {**document, **_fields(document, change)}
    domains = _object(document.get("domains"))
    own = _object(domains.get(domain))
    return {**document, "domains": {**domains, domain: {**own, **_fields(own, change)}}}


def preference_facts(preferences: NotificationPreferences) -> Iterator[tuple[str, str]]:
    """Give the preferences as pairs of names and words."""
    yield "all jobs", _words(preferences, "no mail, unless the job asks for it")
    if preferences.get("opt_out", False):
        # Nothing that is chosen for a domain counts then.
        return
    for domain, own in sorted(preferences.get("domains", {}).items()):
        yield domain, _words(own, "as for all jobs")


def _fields(before: JsonObject, change: Change) -> JsonObject:
    fields: JsonObject = {}
    if change["opt_out"] is not None:
        fields["opt_out"] = change["opt_out"]
    if change["email"] is not None or change["on"] is not None:
        email = _object(before.get("email"))
        outcomes: JsonValue = email.get("on", [*EVENT_WORDS])
        fields["email"] = {
            **email,
            # Whoever chooses outcomes wants to hear of them.
            "enabled": True if change["email"] is None else change["email"],
            "on": outcomes if change["on"] is None else [*change["on"]],
        }
    return fields


def _words(preferences: NotificationPreferences | DomainPreferences, unset: str) -> str:
    if preferences.get("opt_out", False):
        return "no mail at all (opted out)"
    if "email" in preferences:
        return _email_words(preferences["email"])
    return unset


def _email_words(email: EmailIntent) -> str:
    if not email["enabled"]:
        return "no mail"
    if not email["on"]:
        return "no mail, unless the job asks for it"
    verbs = {"SUCCESS": "completes", "FAILURE": "fails"}
    outcomes = " or ".join(verbs[word] for word in EVENT_WORDS if word in email["on"])
    return f"a mail when a job {outcomes}"


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
