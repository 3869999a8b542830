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
    """

    delivery_id: NotRequired[str]
    domain: NotRequired[JobDomain]
    provider: NotRequired[str]


class ReplayReport(TypedDict):
    """What came of it.

    Attributes:
        replayed: these are due now.
        unsure: how many of them may have been delivered before.
        unreadable: how many dead ones have a record that cannot be read; they stay dead.
    """

    replayed: list[Delivery]
    unsure: int
    unreadable: int


def replay_dead(store: DeliveryStore, channel: str, wish: ReplayWish) -> ReplayReport:
    """Make dead deliveries due again, their attempts counted anew.

    Raises:
        RedisUnavailableError: Redis does not answer. What was replayed before stays so.
    """
    report: ReplayReport = {"replayed": [], "unsure": 0, "unreadable": 0}
    wanted = _whole(store, wish.get("delivery_id"))
    for delivery_id in store.dead_ids(channel):
        if delivery_id != (wanted or delivery_id):
            continue
        try:
            delivery = store.find(delivery_id)
        except DecodeError:
            report["unreadable"] += 1
            continue
        if delivery is not None and _fits(delivery, wish) and store.replay(delivery):
            report["replayed"].append(delivery)
            report["unsure"] += "unsure" in delivery
    return report


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
