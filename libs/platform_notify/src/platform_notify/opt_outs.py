"""Whether a mail that waited is still wanted when it leaves: an opt-out always wins, also a late one.

A mail may wait for minutes, gathered into a digest, or for hours, while its provider is away. Pure; what
users have stored comes with the claim.
"""

from typing import TypedDict

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


def stop_of(delivery: Delivery) -> Stop | None:
    """Return why a claimed delivery is not to be sent after all; None if it is.

    A digest is stopped if every user of whose jobs it tells has opted out. As a rule that is one user.
    """
    if "items" not in delivery:
        return _stop(delivery.get("preferences"), delivery["domain"])
    stops = [_stop(item.get("preferences"), delivery["domain"]) for item in delivery["items"]]
    found = [stop for stop in stops if stop is not None]
    return found[0] if found and len(found) == len(stops) else None


def _stop(preferences: str | None, domain: JobDomain) -> Stop | None:
    if preferences is None:
        return None
    try:
        layer = opt_out_layer(decode_preferences(preferences), domain)
    except DecodeError as error:
        return {"reason": "invalid_preferences", "layer": "preferences", "detail": str(error)}
    return None if layer is None else {"reason": "opted_out", "layer": layer, "detail": ""}
