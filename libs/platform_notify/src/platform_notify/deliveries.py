"""One delivery: its id, its record, and how the record looks as a Redis hash of strings.

A delivery is one outcome of one run of one job, on one channel, to one recipient. Its record holds all the
facts of the mail, so that sending it needs nothing else, and everything that was tried, so that any question
about it has an answer.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.clock import to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import (
    JsonObject,
    JsonValue,
    convert_as,
    decode_json,
    encode_json,
    to_json_value,
)
from platform_core.notifications import EventWord

from platform_notify.decision import Layer, SkipReason
from platform_notify.digests import MAX_TOLD
from platform_notify.providers.base import ErrorClass
from platform_notify.rendering import MailFacts

EMAIL: Final = "email"
"""The one channel so far; the deliveries of a channel have one queue and one sender."""

MAX_ATTEMPT_NOTES: Final = 20
"""How many attempts a record remembers; the oldest are forgotten first."""

DeliveryState: TypeAlias = Literal["waiting", "gathered", "sent", "dead", "skipped"]
"""Where a delivery stands. `gathered` waits for its digest and shares its fate; all but these two are final,
unless a dead one is replayed."""


class AttemptNote(TypedDict):
    """What became of one attempt.

    Attributes:
        at: when it ended.
        provider: who was asked to send.
        result: `sent`, or why not.
        detail: the provider's answer or the fault, one line without secrets.
        ambiguous: True if the mail may have been delivered although it counts as failed.
        duration_ms: how long the provider took, for the whole batch.
    """

    at: datetime
    provider: str
    result: Literal["sent"] | ErrorClass
    detail: str
    ambiguous: bool
    duration_ms: int


class ReplayNote(TypedDict):
    """A person brought a dead delivery back.

    Attributes:
        at: when.
        was: why it had been given up.
    """

    at: datetime
    was: str


class NewDelivery(TypedDict):
    """A delivery as the intake makes it.

    Attributes:
        state: `waiting` to be sent, or `skipped`.
        layer: who decided.
        reason: why it was skipped; absent if it was not.
        detail: more about the reason; empty for nothing.
        recipient: the address; empty where a skipped one has none.
        subscriber: the user whose preferences count, who may unsubscribe; absent where nobody could tell.
    """

    delivery_id: str
    domain: JobDomain
    job_id: str
    run: int
    event: EventWord
    channel: str
    recipient: str
    user_id: int
    subscriber: NotRequired[str]
    state: Literal["waiting", "skipped"]
    layer: Layer
    reason: NotRequired[SkipReason]
    detail: str
    created_at: datetime
    facts: MailFacts


class DigestItem(TypedDict):
    """One mail that was gathered into a digest: what it would have said, and the user it is for."""

    facts: MailFacts
    subscriber: NotRequired[str]


class DigestUser(TypedDict):
    """A user with jobs in a digest.

    Attributes:
        jobs: how many of those gathered are this user's.
        name: the user; absent for the jobs of which nobody could tell whose they are.
        preferences: what the user has stored about mails by now, as text.
    """

    jobs: int
    name: NotRequired[str]
    preferences: NotRequired[str]


class Delivery(TypedDict):
    """A delivery as it is stored: what the intake made and what became of it.

    A digest is one too. Its job, run and facts are those of the first one that was gathered into it.

    Attributes:
        digest: the digest that tells of it, if it was gathered into one.
        gathered: of a digest: how many were gathered into it.
        items: of a digest that was claimed: what it tells, oldest first, and of many only the first.
        users: of a digest that was claimed: whose jobs are in it, also those that it does not list.
        left_out: of a digest that was sent: of how many jobs it did not tell; their users had opted out.
        after: the one to the same recipient before it, which it must not overtake; of one that was gathered.
        held_until: until when it was kept back so that others could join it.
        preferences: of one that was claimed: what its user has stored about mails by now, as text.
        due_at: when it is to be sent next; of a claimed one, when its lease ends; absent once it is settled.
        attempt: attempts so far, without those before the provider's account was refused.
        first_attempt_at: when the first of these was made.
        interrupted: attempts whose process ended before it could say how they went.
        claim: the token of who is sending it at this moment.
        unsure: the mail may have been delivered although nobody could say so; `send_anyway` if a person
            replayed it all the same.
        replays: when it was brought back from the dead, oldest first.
        attempts: what became of the latest attempts, oldest first.
        message_ids: the provider's names for the mail.
        answer: what the provider said when it took the mail.
        settled_at: when it was sent, skipped or given up.
    """

    delivery_id: str
    domain: JobDomain
    job_id: str
    run: int
    event: EventWord
    channel: str
    recipient: str
    user_id: int
    subscriber: NotRequired[str]
    state: DeliveryState
    layer: Layer
    reason: NotRequired[SkipReason]
    detail: str
    created_at: datetime
    facts: MailFacts
    due_at: NotRequired[datetime]
    attempt: NotRequired[int]
    first_attempt_at: NotRequired[datetime]
    interrupted: NotRequired[int]
    claim: NotRequired[str]
    unsure: NotRequired[Literal["yes", "send_anyway"]]
    replays: NotRequired[list[ReplayNote]]
    provider: NotRequired[str]
    template_version: NotRequired[str]
    attempts: NotRequired[list[AttemptNote]]
    message_ids: NotRequired[list[str]]
    answer: NotRequired[str]
    settled_at: NotRequired[datetime]
    digest: NotRequired[str]
    gathered: NotRequired[int]
    items: NotRequired[list[DigestItem]]
    users: NotRequired[list[DigestUser]]
    left_out: NotRequired[int]
    after: NotRequired[str]
    held_until: NotRequired[datetime]
    preferences: NotRequired[str]


# These fields of the hash are JSON; all others are plain text.
_JSON_FIELDS: Final = frozenset(
    {
        "run", "user_id", "facts", "attempt", "interrupted", "attempts", "message_ids", "replays", "gathered",
        "left_out",
    }
)  # fmt: skip


def delivery_id_of(
    domain: JobDomain, job_id: str, run: int, event: EventWord, channel: str, recipient: str
) -> str:
    """Derive the id that makes a repeated intake of the same outcome find the same delivery.

    Nobody wants a mail twice because their address was once written with capitals, so letter case does not
    count.

    Returns:
        32 hexadecimal digits.
    """
    # As a JSON list, so that no two different lists of parts give the same text.
    parts: list[JsonValue] = [domain, job_id, run, event, channel, recipient.lower()]
    return hashlib.sha256(encode_json(parts).encode()).hexdigest()[:32]


def encode_delivery(delivery: NewDelivery) -> dict[str, str]:
    """Write a new delivery as the fields of its hash."""
    fields = {
        "delivery_id": delivery["delivery_id"],
        "domain": delivery["domain"],
        "job_id": delivery["job_id"],
        "run": str(delivery["run"]),
        "event": delivery["event"],
        "channel": delivery["channel"],
        "recipient": delivery["recipient"],
        "user_id": str(delivery["user_id"]),
        "state": delivery["state"],
        "layer": delivery["layer"],
        "detail": delivery["detail"],
        "created_at": to_iso(delivery["created_at"]),
        "facts": encode_json(_to_json(delivery["facts"])),
    }
    if "reason" in delivery:
        fields["reason"] = delivery["reason"]
    if "subscriber" in delivery:
        fields["subscriber"] = delivery["subscriber"]
    return fields


def decode_delivery(fields: Mapping[str, str]) -> Delivery:
    """Read a delivery from its hash.

    Raises:
        DecodeError: a field is missing or malformed; another version wrote it, or a person did.
    """
    record: JsonObject = {
        name: _json_field(name, text) if name in _JSON_FIELDS else text for name, text in fields.items()
    }
    return convert_as(record, Delivery, "delivery")


def decode_items(fields: Mapping[str, str]) -> list[DigestItem]:
    """Read what a digest tells from the fields that its claim adds, `item:<n>:facts` and so on.

    One that cannot be read is left out: it must not keep the others back.
    """
    found: list[DigestItem] = []
    for number in range(1, MAX_TOLD + 1):
        try:
            facts = convert_as(decode_json(fields.get(f"item:{number}:facts", "")), MailFacts)
        except DecodeError:
            continue
        item: DigestItem = {"facts": facts}
        if f"item:{number}:subscriber" in fields:
            item["subscriber"] = fields[f"item:{number}:subscriber"]
        found.append(item)
    return found


def decode_users(fields: Mapping[str, str]) -> list[DigestUser]:
    """Read whose jobs a digest tells of from the fields that its claim adds, `user:<n>:jobs` and so on."""
    found: list[DigestUser] = []
    while f"user:{len(found) + 1}:jobs" in fields:
        place = f"user:{len(found) + 1}"
        user: DigestUser = {"jobs": int(fields[f"{place}:jobs"])}
        if f"{place}:name" in fields:
            user["name"] = fields[f"{place}:name"]
        if f"{place}:preferences" in fields:
            user["preferences"] = fields[f"{place}:preferences"]
        found.append(user)
    return found


def encode_attempts(attempts: list[AttemptNote]) -> str:
    """Write the latest attempts as the JSON of their field."""
    return encode_json([_to_json(note) for note in attempts[-MAX_ATTEMPT_NOTES:]])


def encode_replays(replays: list[ReplayNote]) -> str:
    """Write the replays as the JSON of their field."""
    return encode_json([_to_json(note) for note in replays])


def _to_json(data: Mapping[str, object]) -> JsonValue:
    """Copy a flat TypedDict as JSON, its moments as ISO 8601."""
    return to_json_value(
        {name: to_iso(value) if isinstance(value, datetime) else value for name, value in data.items()}
    )


def _json_field(name: str, text: str) -> JsonValue:
    try:
        return decode_json(text)
    except DecodeError as error:
        raise DecodeError(f"delivery.{name}", error.expected, error.found) from None
