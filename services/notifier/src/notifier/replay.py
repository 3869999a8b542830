"""`notifier replay`: brings dead deliveries back and says in plain words what that means."""

from collections.abc import Iterator
from typing import Final, TypedDict

from platform_core.job_events import job_domain
from platform_notify.deliveries import Delivery
from platform_notify.replay import ReplayReport, ReplayWish

MAX_LINES: Final = 20
"""How many mails are listed one by one."""


class ReplayOptions(TypedDict):
    """What was asked for on the command line; None where nothing was said."""

    delivery: str | None
    domain: str | None
    provider: str | None


def wish_of(options: ReplayOptions) -> ReplayWish:
    """Turn the options into a wish.

    Raises:
        DecodeError: the domain is none.
    """
    wish: ReplayWish = {}
    if options["delivery"] is not None:
        wish["delivery_id"] = options["delivery"]
    if options["domain"] is not None:
        wish["domain"] = job_domain(options["domain"])
    if options["provider"] is not None:
        wish["provider"] = options["provider"]
    return wish


def tell_replay(report: ReplayReport) -> Iterator[str]:
    """Tell line by line what was brought back."""
    replayed = report["replayed"]
    if replayed:
        yield f"{_mails(len(replayed))} due again. A running notifier sends within a few seconds."
        for delivery in replayed[:MAX_LINES]:
            why = delivery["detail"] or "nobody knows why"
            yield (
                f"  {delivery['delivery_id']} about {_jobs(delivery)} of {delivery['domain']},"
                f" given up before: {why}."
            )
        if len(replayed) > MAX_LINES:
            yield f"  ... and {len(replayed) - MAX_LINES} more."
    else:
        yield "No mail that was given up fits, so nothing was changed."
    if report["unsure"]:
        yield f"{report['unsure']} of them may have been delivered before; then they come twice."
    if report["unreadable"]:
        yield f"{_mails(report['unreadable'])} left as given up, because the record cannot be read."


def _jobs(delivery: Delivery) -> str:
    return f"{delivery['gathered']} jobs" if "gathered" in delivery else f"job {delivery['job_id']}"


def _mails(count: int) -> str:
    return "1 mail is" if count == 1 else f"{count} mails are"
