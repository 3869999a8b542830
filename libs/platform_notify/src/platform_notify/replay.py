"""Brings dead deliveries back: what was given up while a provider was broken is sent after all."""

from typing import NotRequired, TypedDict

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain

from platform_notify.deliveries import Delivery
from platform_notify.delivery_store import DeliveryStore


class ReplayWish(TypedDict):
    """Which dead deliveries to bring back; those that fit everything that is said.

    Attributes:
        delivery_id: this one alone; if it was gathered into a digest, the whole digest.
        domain: those about jobs of this domain.
        provider: those that were last given to this provider.
        spare_refused: whether to leave those out that the provider refused for themselves. Sent again they
            would be refused again, and too many of these cost a sender its good name.
    """

    delivery_id: NotRequired[str]
    domain: NotRequired[JobDomain]
    provider: NotRequired[str]
    spare_refused: NotRequired[bool]


class DeadReport(TypedDict):
    """What is dead and fits a wish.

    Attributes:
        dead: what a replay would bring back, by when it was given up, oldest first.
        refused: what fits but for `spare_refused`, in the same order.
        unreadable: how many dead ones have a record that cannot be read; they stay dead.
    """

    dead: list[Delivery]
    refused: list[Delivery]
    unreadable: int


class ReplayReport(TypedDict):
    """What came of it.

    Attributes:
        replayed: these are due now.
        unsure: how many of them may have been delivered before.
        refused: how many were left out because of `spare_refused`.
        unreadable: how many dead ones have a record that cannot be read; they stay dead.
    """

    replayed: list[Delivery]
    unsure: int
    refused: int
    unreadable: int


def find_dead(store: DeliveryStore, channel: str, wish: ReplayWish) -> DeadReport:
    """Find what `replay_dead` would bring back; changes nothing.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    report: DeadReport = {"dead": [], "refused": [], "unreadable": 0}
    wanted = _whole(store, wish.get("delivery_id"))
    for delivery_id in store.dead_ids(channel):
        if delivery_id != (wanted or delivery_id):
            continue
        try:
            delivery = store.find(delivery_id)
        except DecodeError:
            report["unreadable"] += 1
            continue
        if delivery is None or not _fits(delivery, wish):
            continue
        spared = wish.get("spare_refused", False) and was_refused(delivery)
        report["refused" if spared else "dead"].append(delivery)
    return report


def replay_dead(store: DeliveryStore, channel: str, wish: ReplayWish) -> ReplayReport:
    """Make dead deliveries due again, their attempts counted anew.

    Raises:
        RedisUnavailableError: Redis does not answer. What was replayed before stays so.
    """
    found = find_dead(store, channel, wish)
    replayed = [delivery for delivery in found["dead"] if store.replay(delivery)]
    return {
        "replayed": replayed,
        "unsure": sum("unsure" in delivery for delivery in replayed),
        "refused": len(found["refused"]),
        "unreadable": found["unreadable"],
    }


def was_refused(dead: Delivery) -> bool:
    """Tell whether the provider refused a mail for itself when it was tried last, such as a wrong address."""
    return any(note["result"] == "refused" for note in dead.get("attempts", [])[-1:])


def _whole(store: DeliveryStore, delivery_id: str | None) -> str | None:
    """Return what to replay so that a delivery is: the digest it was gathered into, or itself."""
    try:
        delivery = None if delivery_id is None else store.find(delivery_id)
    except DecodeError:
        delivery = None
    return delivery_id if delivery is None else delivery.get("digest", delivery_id)


def _fits(delivery: Delivery, wish: ReplayWish) -> bool:
    if delivery["domain"] != wish.get("domain", delivery["domain"]):
        return False
    provider = delivery.get("provider")
    return provider == wish.get("provider", provider)
