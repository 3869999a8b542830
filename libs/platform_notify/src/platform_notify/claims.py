"""What a sender gets when it claims deliveries, read from the reply of the script."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.errors import DecodeError
from platform_workers.job_store import parse_datetime_field

from platform_notify.deliveries import Delivery, decode_delivery, decode_items, decode_users

MAX_WORK: Final = 500
"""At most how many mails, and jobs gathered into them, one claim takes; a single digest it takes in any case.

Redis does nothing else while the scripts run that claim and settle: this keeps each of them at about 10 ms.
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Verdict: TypeAlias = Literal["claimed", "probe", "none", "open", "paused", "limited"]


class Unreadable(TypedDict):
    """A claimed delivery whose record cannot be read; `fault` says why."""

    delivery_id: str
    domain: str
    job_id: str
    fault: str


class Claim(TypedDict):
    """What a sender got.

    Attributes:
        verdict: `claimed`; `probe` if this one delivery tests an open circuit; `none` if nothing is due;
            `open`, `paused` and `limited` if nothing may be sent through the provider now.
        token: proves the claim when it is settled.
        deliveries: at most as many as were asked for, the longest due first.
        unreadable: claimed too, to be settled as dead.
        again_at: when there may be something to claim; absent if nothing waits at all.
        closed_at: when the provider's circuit was closed, if that was lately.
    """

    verdict: Verdict
    token: str
    deliveries: list[Delivery]
    unreadable: list[Unreadable]
    again_at: NotRequired[datetime]
    closed_at: NotRequired[datetime]


def read_claim(reply: Sequence[str], token: str) -> Claim:
    """Read the reply of `scripts/deliveries_claim.lua`; `token` is that of the claim."""
    verdict, again_at, closed_at, *rest = reply
    claim: Claim = {"verdict": _verdict(verdict), "token": token, "deliveries": [], "unreadable": []}
    if again_at:
        claim["again_at"] = _EPOCH + timedelta(milliseconds=int(again_at))
    # Written by hand it may be anything; then no time is left out of account.
    with suppress(DecodeError):
        claim["closed_at"] = parse_datetime_field({"closed_at": closed_at}, "closed_at")
    for delivery_id, fields in _records(rest):
        try:
            claim["deliveries"].append(_read_delivery(fields))
        except DecodeError as error:
            claim["unreadable"].append(
                {
                    "delivery_id": delivery_id,
                    "domain": fields.get("domain", "-"),
                    "job_id": fields.get("job_id", "-"),
                    "fault": str(error),
                }
            )
    return claim


def _read_delivery(fields: Mapping[str, str]) -> Delivery:
    own = {name: text for name, text in fields.items() if not name.startswith(("item:", "user:"))}
    delivery = decode_delivery(own)
    if "gathered" in delivery:
        delivery["items"], delivery["users"] = decode_items(fields), decode_users(fields)
    return delivery


def _verdict(word: str) -> Verdict:
    match word:
        case "claimed" | "probe" | "open" | "paused" | "limited":
            return word
        case _:
            return "none"


def _records(texts: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Take the claimed records out of the script's flat reply."""
    at = 0
    while at < len(texts):
        delivery_id, end = texts[at], at + 2 + int(texts[at + 1])
        flat = texts[at + 2 : end]
        yield delivery_id, dict(zip(flat[::2], flat[1::2], strict=True))
        at = end
