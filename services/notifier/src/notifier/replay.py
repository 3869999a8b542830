"""`notifier replay`: brings dead deliveries back, or lists them, and says in plain words what that means."""

from collections.abc import Iterator
from typing import Final, TypedDict

from platform_core.job_events import job_domain
from platform_notify.circuit import CircuitState
from platform_notify.deliveries import Delivery
from platform_notify.delivery_store import DeliveryStore
from platform_notify.replay import DeadReport, ReplayReport, ReplayWish

from notifier.explain import utc

MAX_LINES: Final = 20
"""How many mails that were brought back are listed one by one."""


class ReplayOptions(TypedDict):
    """What was asked for on the command line; None where nothing was said.

    Attributes:
        refused: also what the provider refused for itself; one that is named by its id is replayed anyhow.
    """

    delivery: str | None
    domain: str | None
    provider: str | None
    refused: bool


def wish_of(options: ReplayOptions) -> ReplayWish:
    """Turn the options into a wish.

    Raises:
        DecodeError: the domain is none.
    """
    wish: ReplayWish = {"spare_refused": options["delivery"] is None and not options["refused"]}
    if options["delivery"] is not None:
        wish["delivery_id"] = options["delivery"]
    if options["domain"] is not None:
        wish["domain"] = job_domain(options["domain"])
    if options["provider"] is not None:
        wish["provider"] = options["provider"]
    return wish


def tell_replay(report: ReplayReport, provider: str, circuit: CircuitState) -> Iterator[str]:
    """Tell line by line what was brought back.

    Args:
        report: what came of it.
        provider: the one that the settings name.
        circuit: that of this provider.
    """
    replayed = report["replayed"]
    if replayed:
        yield f"{_mails(len(replayed))} due again. {_when(provider, circuit)}"
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
    yield from _left(report["refused"], report["unreadable"])


def why_not_replayed(delivery_id: str, store: DeliveryStore) -> str:
    """Say why a delivery that was named was not brought back.

    Raises:
        DecodeError: its record cannot be read.
    """
    delivery = store.find(delivery_id)
    if delivery is None:
        return f"there is no delivery {delivery_id}; `notifier explain` and `replay --list` show the ids."
    if delivery["state"] == "dead":
        return f"delivery {delivery_id} does not fit what else was asked for."
    return f"delivery {delivery_id} was not given up: it is {delivery['state']}."


def tell_dead(report: DeadReport) -> Iterator[str]:
    """Tell line by line what a replay would bring back and what it would leave; nothing was changed."""
    dead, refused = report["dead"], report["refused"]
    if not dead and not refused:
        yield "No mail that was given up fits."
    if dead:
        yield f"{_mails(len(dead))} given up and can be sent after all:"
        yield from map(_dead, dead)
    yield from _left(len(refused), report["unreadable"])
    yield from map(_dead, refused)


def _when(provider: str, circuit: CircuitState) -> str:
    if circuit["state"] == "closed" and "paused_until" in circuit:
        return f"The provider {provider} has asked to be left alone until {utc(circuit['paused_until'])}."
    if circuit["state"] == "closed":
        return "A running notifier sends within a few seconds."
    since = f" since {utc(circuit['opened_at'])}" if "opened_at" in circuit else ""
    return f"The provider {provider} refuses the account{since}; what is due waits until it is taken again."


def _left(refused: int, unreadable: int) -> Iterator[str]:
    """Say how many a replay leaves as they are, and why."""
    if refused:
        yield (
            f"{_mails(refused)} left as given up, because the provider refused the mail for itself, such as"
            " for a wrong address. --refused takes these too, a DELIVERY_ID the one."
        )
    if unreadable:
        yield f"{_mails(unreadable)} left as given up, because the record cannot be read."


def _dead(delivery: Delivery) -> str:
    """Say in one line what was given up, since when and why, and what the provider said last."""
    since = utc(delivery.get("settled_at", delivery["created_at"]))
    said = "".join(
        f" Last: {note['result']}, {note['detail']}." for note in delivery.get("attempts", [])[-1:]
    )
    twice = " It may have been delivered before." if "unsure" in delivery else ""
    return (
        f"  {delivery['delivery_id']} about {_jobs(delivery)} of {delivery['domain']}, given up at {since}:"
        f" {delivery['detail'] or 'nobody knows why'}.{said}{twice}"
    )


def _jobs(delivery: Delivery) -> str:
    return f"{delivery['gathered']} jobs" if "gathered" in delivery else f"job {delivery['job_id']}"


def _mails(count: int) -> str:
    return "1 mail is" if count == 1 else f"{count} mails are"
