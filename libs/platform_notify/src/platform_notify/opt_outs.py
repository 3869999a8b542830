"""Whether a mail that waited is still wanted when it leaves: an opt-out always wins, also a late one.

A mail may wait for minutes, gathered into a digest, or for hours, while its provider is away. Pure; what
users have stored comes with the claim.
"""

from typing import NotRequired, TypedDict

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.notifications import decode_preferences

from platform_notify.decision import Layer, SkipReason, opt_out_layer
from platform_notify.deliveries import Delivery


class Stop(TypedDict):
    """Why a mail is not sent after all, as the decision of the intake would have said it."""

    reason: SkipReason
    layer: Layer
    detail: str


class LeftOut(Stop):
    """A user of whose jobs a digest does not tell, and why."""

    user: str


class Wanted(TypedDict):
    """What of a delivery is wanted when it leaves.

    Attributes:
        delivery: what is to be sent; of a digest only the jobs of those who want it.
        left_out: the other users of a digest.
        stop: why nothing is sent at all; absent if something is.
    """

    delivery: Delivery
    left_out: list[LeftOut]
    stop: NotRequired[Stop]


def what_is_wanted(delivery: Delivery) -> Wanted:
    """Return what of a claimed delivery is to be sent.

    A digest leaves out the jobs of those users who have opted out. As a rule all are one user's; if there are
    jobs of nobody else, nothing is sent.
    """
    wanted: Wanted = {"delivery": delivery, "left_out": []}
    if "items" not in delivery:
        stop = _stop(delivery.get("preferences"), delivery["domain"])
        if stop is not None:
            wanted["stop"] = stop
        return wanted
    users = delivery.get("users", [])
    jobs = 0
    for user in users:
        stop = _stop(user.get("preferences"), delivery["domain"])
        if stop is not None:
            wanted["left_out"].append({"user": user.get("name", ""), **stop})
            jobs += user["jobs"]
    names = {one["user"] for one in wanted["left_out"]}
    if names and len(names) == len(users):
        first = wanted["left_out"][0]
        wanted["stop"] = {"reason": first["reason"], "layer": first["layer"], "detail": first["detail"]}
    elif names:
        items = [item for item in delivery["items"] if item.get("subscriber") not in names]
        wanted["delivery"] = {**delivery, "items": items, "gathered": delivery.get("gathered", 0) - jobs}
    return wanted


def _stop(preferences: str | None, domain: JobDomain) -> Stop | None:
    if preferences is None:
        return None
    try:
        layer = opt_out_layer(decode_preferences(preferences), domain)
    except DecodeError as error:
        return {"reason": "invalid_preferences", "layer": "preferences", "detail": str(error)}
    return None if layer is None else {"reason": "opted_out", "layer": layer, "detail": ""}
