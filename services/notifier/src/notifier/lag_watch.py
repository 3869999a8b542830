"""Whether the log is worked off: the notifier may be behind, but not without end."""

from collections.abc import Iterator, Mapping
from typing import Final, NotRequired, TypedDict

from platform_core.job_events import JobDomain
from platform_workers.redis.replies import GroupState

LAG_LIMIT: Final = 1000
"""So many unread entries are no reason to worry: they are read in seconds."""

LAG_WINDOW: Final = 30.0
"""Seconds for which a lag above the limit may stand without falling, and the reader without moving."""


class _Standing(TypedDict):
    """How far a log was read when it last got better.

    Attributes:
        since: when that was, by the monotonic clock.
        position: the last entry that was given out.
        lag: the fewest unread entries since the lag went above the limit; absent if the server cannot tell.
    """

    since: float
    position: str
    lag: NotRequired[int]


class LagWatch:
    """Watches the lag of each log over time.

    A lag above the limit that falls below its lowest is being worked off. Where the server cannot tell it
    (entries were trimmed in between), a reader that moves on is a good sign.
    """

    def __init__(self) -> None:
        self._behind: dict[JobDomain, _Standing] = {}

    def look(self, groups: Mapping[JobDomain, GroupState], now: float) -> None:
        """Take in how the logs stand.

        Args:
            groups: how far the log of each domain is read.
            now: by the monotonic clock, in seconds.
        """
        behind: dict[JobDomain, _Standing] = {}
        for domain, group in groups.items():
            if "lag" in group and group["lag"] <= LAG_LIMIT:
                continue
            before = self._behind.get(domain)
            behind[domain] = _begin(group, now) if before is None or _is_better(before, group) else before
        self._behind = behind

    def reasons(self, now: float) -> Iterator[str]:
        """Say of each log that is not worked off what is wrong.

        Args:
            now: by the monotonic clock, in seconds.
        """
        for domain, standing in sorted(self._behind.items()):
            stood = now - standing["since"]
            if stood < LAG_WINDOW:
                continue
            if "lag" in standing:
                yield (
                    f"The event log of {domain} is not worked off: {standing['lag']} events or more are"
                    f" unread, and for {stood:.0f} seconds they have not become fewer."
                )
            else:
                yield (
                    f"The event log of {domain} is not worked off: it has unread events (Redis cannot"
                    f" tell how many), and for {stood:.0f} seconds none was read."
                )


def _begin(group: GroupState, now: float) -> _Standing:
    standing: _Standing = {"since": now, "position": group["last_delivered_id"]}
    if "lag" in group:
        standing["lag"] = group["lag"]
    return standing


def _is_better(before: _Standing, group: GroupState) -> bool:
    if "lag" in before and "lag" in group:
        return group["lag"] < before["lag"]
    # Unknown now or before, so the two cannot be compared.
    return group["last_delivered_id"] != before["position"]
