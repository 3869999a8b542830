"""One run: start everything, let the blows fall, settle, count, and leave nothing running."""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, TypedDict

from local_platform import wait_until
from platform_core.clock import Clock, SystemClock
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.replay import replay_dead
from platform_workers.redis import RedisClient, connect

from chaos.api_calls import ApiCaller
from chaos.blows import plan_blows
from chaos.counting import Count, count_all
from chaos.deeds import People, plan_deeds, runs_told
from chaos.jobs import FEW_PEOPLE, QUEUES, PlannedJob, plan_jobs
from chaos.listening import EventClient, unheard
from chaos.log_reading import Logged, read_log
from chaos.mail_service import MoodyMailtrap
from chaos.processes import processes_of, stop_all, wait_gone
from chaos.publishing import Publisher
from chaos.settling import Shortened, Unfinished, cut_waits_short, unfinished
from chaos.stage import Options, Stage, running_stage
from chaos.striking import let_blows_fall
from chaos.submitting import HttpSubmitter

ORPHAN_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 240.0
PATIENT_SECONDS: Final = 3600.0

HEAR_SECONDS: Final = 30.0
"""How long the client of the events may take to come to the end of the logs."""


class Result(TypedDict):
    """What a run gave.

    Attributes:
        folder: where the logs and the data lie.
        blows: how many blows hit, by what was done to whom.
        moods: how many requests the mail service treated how.
        seconds: how long the blows fell, and how long it took to settle.
        shortened: the waits that were cut short; None if none were.
        revived: dead deliveries that were brought back.
        left: what was unfinished when the time was up; all 0 if it settled.
        told: how many runs the API said were cancelled, and how many it said begin.
        lost: how many requests to the API got no answer.
        repeated: how many submissions were repeated under their key.
        connections: how often the client of the events has connected.
        heard: how many events it has heard that the logs keep.
        count: the count.
        broken: every broken promise.
    """

    folder: Path
    blows: Counter[str]
    moods: Counter[str]
    seconds: tuple[float, float]
    shortened: Shortened | None
    revived: int
    left: Unfinished
    told: tuple[int, int]
    lost: int
    repeated: int
    connections: int
    heard: int
    count: Count
    broken: list[str]


def run(options: Options, say: Callable[[str], None]) -> Result:
    """Do the run.

    Args:
        options: see there.
        say: told what goes on, in a line.
    """
    random = Random(options["seed"])
    # No other process has this name in its command line, so what carries it belongs to this run.
    folder = options["folder"] / f"run-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    with MoodyMailtrap(folder / "ca.pem", random=Random(random.random())) as mailtrap:
        if options["well"]:
            mailtrap.calm_down()
        with running_stage(options, folder, mailtrap) as stage:
            result = _play(options, stage, random, say)
        result["broken"] += [f"process left running: {found['command']}" for found in processes_of(folder)]
    return result


class Callers:
    """All who want something of the platform, at work side by side."""

    def __init__(self, options: Options, stage: Stage, jobs: Sequence[PlannedJob], random: Random) -> None:
        self.api = ApiCaller(stage.api_url, stage.key)
        self.publisher = Publisher(connect(stage.url), jobs)
        self.submitter = HttpSubmitter(self.api, jobs)
        self.people = People(self.api, plan_deeds(jobs, options["cancels"], options["retries"], random))
        self.client = EventClient(stage.api_url, stage.key)
        self._jobs = jobs

    def start(self) -> None:
        """Begin."""
        self.submitter.upload()
        for caller in (self.client, self.publisher, self.submitter, self.people):
            caller.start()

    def are_done(self) -> bool:
        """Tell whether there is nothing left to hand in and to do."""
        return not any(caller.is_alive() for caller in (self.publisher, self.submitter, self.people))

    @property
    def acknowledged(self) -> set[str]:
        """The jobs that Redis or the API has acknowledged."""
        return self.publisher.acknowledged | self.submitter.acknowledged

    def end(self) -> None:
        """End them all."""
        for caller in (self.client, self.publisher, self.submitter, self.people):
            caller.stop()
        self.api.close()

    def broken(self, redis: RedisClient, trimmed: Sequence[Logged]) -> list[str]:
        """Return what they were answered, or heard, and should not have; and what they should have."""
        found = [*self.api.faults, *self.submitter.broken, *self.people.broken, *self.client.broken]
        if len(self.acknowledged) < len(self._jobs):
            found.append(f"only {len(self.acknowledged)} of {len(self._jobs)} jobs came in")
        callers = (self.publisher, self.submitter, self.people, self.client)
        found += [f"a caller has ended early: {caller.fault}" for caller in callers if caller.fault]
        for domain in QUEUES:
            kept = list(read_log(redis, domain))
            wait_until(partial(self.client.has_heard, kept), HEAR_SECONDS)
            gone = [entry for entry in trimmed if entry["domain"] == domain]
            found += unheard(self.client.heard[domain], kept, gone)
        return found


def _play(options: Options, stage: Stage, random: Random, say: Callable[[str], None]) -> Result:
    wishes, clock = options["wishes"], SystemClock()
    jobs = plan_jobs(
        options["jobs"],
        options["rq_jobs"],
        wishes["seconds"],
        random,
        http_count=options["http_jobs"],
        people=FEW_PEOPLE if options["digest"] else None,
    )
    blows = plan_blows(wishes, random)
    callers = Callers(options, stage, jobs, random)
    started = clock.monotonic()
    callers.start()
    hit = let_blows_fall(blows, stage.victim, clock, started + wishes["seconds"])
    say(f"{sum(hit.values())} blows fell; now everything may settle")
    calmed = clock.monotonic()
    stage.mailtrap.calm_down()
    wait_until(callers.are_done, SETTLE_SECONDS)
    shortened = None if options["patient"] else _stop_and_shorten(stage, clock)
    for member in stage.members:
        member.recover()
    redis = connect(stage.url)
    patience = PATIENT_SECONDS if options["patient"] else SETTLE_SECONDS
    wait_until(lambda: not any(unfinished(redis).values()), patience)
    store = DeliveryStore(redis, clock)
    revived = len(replay_dead(store, EMAIL, {})["replayed"])
    wait_until(lambda: not any(unfinished(redis).values()), patience)
    settled = clock.monotonic()
    count = count_all(
        redis,
        store,
        jobs,
        {
            "acknowledged": callers.acknowledged,
            "told": callers.people.told,
            "taken": stage.mailtrap.taken,
            "trimmed": stage.log.entries,
            "unread": stage.log.unread,
        },
    )
    broken = [*count["broken"], *(name for name in hit if "by itself" in name)]
    broken += callers.broken(redis, stage.log.entries)
    callers.end()
    return {
        "folder": stage.folder,
        "blows": hit,
        "moods": stage.mailtrap.treated,
        "seconds": (calmed - started, settled - calmed),
        "shortened": shortened,
        "revived": revived,
        "left": unfinished(redis),
        "told": runs_told(callers.people.told),
        "lost": callers.api.lost,
        "repeated": callers.submitter.repeated,
        "connections": callers.client.connections,
        "heard": callers.client.count,
        "count": count,
        "broken": broken,
    }


def _stop_and_shorten(stage: Stage, clock: Clock) -> Shortened:
    stop_all(stage.members)
    wait_gone(stage.folder, besides=lambda found: not stage.is_orphan(found["pid"]), seconds=ORPHAN_SECONDS)
    return cut_waits_short(connect(stage.url), clock)
