"""What is done to whom, and when: a plan that follows from the seed alone."""

from random import Random
from typing import Final, Literal, TypeAlias, TypedDict

Victim: TypeAlias = Literal["notifier", "worker", "api", "redis", "log"]

# `log` are the durable logs, trimmed while no notifier runs.

Blow: TypeAlias = Literal["kill", "kill_with_children", "kill_children", "pause"]
"""`kill` and `pause` are SIGKILL and SIGSTOP. A worker has children: the work horse and RQ's scheduler."""

SHORT_PAUSE: Final = (0.3, 3.0)
LONG_PAUSE: Final = (80.0, 95.0)
"""Seconds; longer than any lease, so that the work of a paused process is given away behind its back."""

LONG_SHARE: Final = 0.25
LONG_PAUSES_FROM: Final = 300.0
"""Only a run of at least so many seconds has room for long pauses."""


class Wishes(TypedDict):
    """How much is to happen.

    Attributes:
        seconds: how long the blows fall.
        notifiers: how many notifiers there are.
        workers: how many workers there are.
        notifier_kills: how many SIGKILLs they get in all.
        worker_kills: the same for workers, their children included.
        api_kills: how often the API is killed.
        redis_kills: how often Redis is killed and started again.
        pauses: how many SIGSTOPs, over all.
        trims: how often every notifier is killed and the durable logs are trimmed before they are back.
    """

    seconds: float
    notifiers: int
    workers: int
    notifier_kills: int
    worker_kills: int
    api_kills: int
    redis_kills: int
    pauses: int
    trims: int


class PlannedBlow(TypedDict):
    """One blow.

    Attributes:
        at: seconds after the start.
        number: which of the victims of that name, from 0.
        lasts: seconds until the victim is started again or goes on.
    """

    at: float
    victim: Victim
    number: int
    blow: Blow
    lasts: float


def plan_blows(wishes: Wishes, random: Random) -> list[PlannedBlow]:
    """Return the blows in the order of their time; the same seed gives the same plan."""
    blows: list[PlannedBlow] = []
    for _ in range(wishes["notifier_kills"]):
        number = random.randrange(wishes["notifiers"])
        blows.append(_blow("notifier", number, "kill", random.uniform(0.05, 0.5), wishes, random))
    for _ in range(wishes["worker_kills"]):
        kinds: tuple[Blow, ...] = ("kill", "kill_with_children", "kill_children")
        number = random.randrange(wishes["workers"])
        blows.append(_blow("worker", number, random.choice(kinds), random.uniform(0.05, 1.0), wishes, random))
    blows += [
        _blow("api", 0, "kill", random.uniform(0.05, 1.0), wishes, random) for _ in range(wishes["api_kills"])
    ]
    blows += [
        _blow("redis", 0, "kill", random.uniform(0.05, 1.5), wishes, random)
        for _ in range(wishes["redis_kills"])
    ]
    for _ in range(wishes["pauses"]):
        victim: Victim = random.choice(("notifier", "notifier", "worker", "api", "redis"))
        count = {"notifier": wishes["notifiers"], "worker": wishes["workers"]}.get(victim, 1)
        lasts = random.uniform(*SHORT_PAUSE)
        if victim != "redis" and wishes["seconds"] >= LONG_PAUSES_FROM and random.random() < LONG_SHARE:
            lasts = random.uniform(*LONG_PAUSE)
        blows.append(_blow(victim, random.randrange(count), "pause", lasts, wishes, random))
    blows += [
        _blow("log", 0, "kill", random.uniform(0.5, 3.0), wishes, random) for _ in range(wishes["trims"])
    ]
    return sorted(blows, key=lambda blow: blow["at"])


def _blow(
    victim: Victim, number: int, blow: Blow, lasts: float, wishes: Wishes, random: Random
) -> PlannedBlow:
    # The first moments are left out: there is nothing to hit before the processes are up.
    at = random.uniform(0.05, 1.0) * wishes["seconds"]
    return {"at": at, "victim": victim, "number": number, "blow": blow, "lasts": lasts}
