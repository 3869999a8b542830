"""When many mails would go to one recipient at once: which of them are gathered, and into what.

The first mail leaves at once. What follows within the window waits for its end and then leaves as one digest;
a single one that waited leaves as the mail it would have been. As long as the storm lasts each window gives
one digest. The rules are chosen here; whether a mail falls under them is decided in
`scripts/delivery_add.lua`, because only there nobody else decides at the same time.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue, encode_json
from platform_core.notifications import EventWord

MAX_GATHERED: Final = 1000
"""At most how many mails become one digest; what follows makes the next one. One script settles them all."""

MAX_TOLD: Final = 50
"""How many of them a digest lists; the others are counted."""

STORM_MEMORY: Final = timedelta(days=2)
"""How long a recipient's storm is remembered after its last change.

Longer than two windows, and long enough that a digest that waits for a refused account takes in what comes
meanwhile.
"""

LIST_PREFIX: Final = "notify:digest:"

GatheredOutcomes: TypeAlias = Literal["off", "failures", "successes", "all"]
"""Which mails are gathered."""


class GatheringRule(TypedDict):
    """How mails of one kind are gathered.

    Attributes:
        window: for how long; at least a second, at most a day.
        first: how many leave at once before that, at least 1.
    """

    window: timedelta
    first: int


class DomainDigests(GatheringRule):
    """A `GatheringRule`, and for which outcomes it holds."""

    outcomes: GatheredOutcomes


class DigestPolicy(TypedDict):
    """What the operator has chosen.

    Attributes:
        general: for every domain that has no rule of its own.
        domains: for these domains.
    """

    general: DomainDigests
    domains: Mapping[JobDomain, DomainDigests]


NO_DIGESTS: Final[DigestPolicy] = {
    "general": {"outcomes": "off", "window": timedelta(minutes=10), "first": 1},
    "domains": {},
}
"""Every mail leaves by itself."""


def gathering_rule(policy: DigestPolicy, domain: JobDomain, event: EventWord) -> GatheringRule | None:
    """Return the rule for mails about this outcome of the domain's jobs; None if each leaves by itself."""
    rule = policy["domains"].get(domain, policy["general"])
    gathered: Mapping[EventWord, GatheredOutcomes] = {"FAILURE": "failures", "SUCCESS": "successes"}
    if rule["outcomes"] not in {"all", gathered[event]}:
        return None
    return {"window": rule["window"], "first": rule["first"]}


def digest_id_of(delivery_id: str) -> str:
    """Derive the id of the digest that is made when this delivery is the second one that is gathered.

    Returns:
        32 hexadecimal digits. Whoever takes the same outcome in again finds the same digest.
    """
    parts: list[JsonValue] = ["digest", delivery_id]
    return hashlib.sha256(encode_json(parts).encode()).hexdigest()[:32]


def storm_key(channel: str, domain: str, event: EventWord, recipient: str) -> str:
    """Return the key of a recipient's storm. The address is not in it; its letter case does not count."""
    parts: list[JsonValue] = [channel, domain, event, recipient.lower()]
    return f"notify:storm:{hashlib.sha256(encode_json(parts).encode()).hexdigest()[:32]}"


def digest_list_key(digest_id: str) -> str:
    """Return the key of the list of what was gathered into a digest, oldest first."""
    return LIST_PREFIX + digest_id
