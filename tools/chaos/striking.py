"""Lets the planned blows fall, and their victims come back."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from platform_core.clock import Clock

from chaos.blows import Blow, PlannedBlow
from chaos.log_trimming import TrimmedLog

NAMES: Final = {"log": "log trimmed while no notifier ran"}


class Victim(Protocol):
    """What can be hit and comes back."""

    def strike(self, blow: Blow) -> bool:
        """Hit it; False if there was nothing to hit."""

    def recover(self) -> None:
        """Bring it back."""


def let_blows_fall(
    blows: Sequence[PlannedBlow],
    victim: Callable[[PlannedBlow], Victim],
    clock: Clock,
    until: float,
) -> Counter[str]:
    """Strike at the planned times and let each victim recover; return what hit, once all have recovered.

    Args:
        blows: in order.
        victim: finds who gets a blow.
        clock: the time; the plan begins now.
        until: come back not before this time of the clock (monotonic).
    """
    started, pause = clock.monotonic(), threading.Event()
    hit: Counter[str] = Counter()
    recoveries: list[tuple[float, Victim]] = []
    coming = [*blows]
    while coming or recoveries or clock.monotonic() < until:
        now = clock.monotonic()
        for due, member in [one for one in recoveries if one[0] <= now]:
            member.recover()
            recoveries.remove((due, member))
        if coming and started + coming[0]["at"] <= now:
            blow = coming[0]
            member = victim(blow)
            down = [other for _, other in recoveries]
            if member in down or (blow["victim"] == "notifier" and any(map(is_log, down))):
                # It is down or paused already: the blow falls when it is up again.
                coming[0] = {**blow, "at": blow["at"] + 0.2}
                coming.sort(key=lambda planned: planned["at"])
                continue
            del coming[0]
            if not member.strike(blow["blow"]):
                hit[f"{blow['victim']} had ended by itself"] += 1
                member.recover()
                continue
            hit[NAMES.get(blow["victim"], f"{blow['victim']} {blow['blow']}")] += 1
            recoveries.append((clock.monotonic() + blow["lasts"], member))
        pause.wait(0.01)
    return hit


def is_log(victim: Victim) -> bool:
    """Tell whether a victim is the log: while it is down, so are all notifiers."""
    return isinstance(victim, TrimmedLog)
