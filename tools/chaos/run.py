"""One run: start everything, let the blows fall, settle, count, and leave nothing running."""

import os
import secrets
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypedDict

from local_platform import BIN, wait_until
from platform_core.clock import Clock, SystemClock
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.replay import replay_dead
from platform_workers.redis import connect

from chaos.blows import Blow, PlannedBlow, Wishes, plan_blows
from chaos.counting import Count, count_all
from chaos.jobs import FEW_PEOPLE, plan_jobs
from chaos.log_trimming import TrimmedLog
from chaos.mail_service import MoodyMailtrap
from chaos.processes import Member, RedisMember, processes_of, stop_all, wait_gone
from chaos.publishing import Publisher
from chaos.settling import Shortened, Unfinished, cut_waits_short, unfinished

TOOLS: Final = Path(__file__).parent.parent
ORPHAN_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 240.0
PATIENT_SECONDS: Final = 3600.0

NAMES: Final = {"log": "log trimmed while no notifier ran"}

SANDBOX: Final = {"MAILTRAP_USE_SANDBOX": "true", "MAILTRAP_INBOX_ID": "1"}
EMAIL_LOG: Final = {"MAILTRAP_USE_SANDBOX": "false", "MAILTRAP_ACCOUNT_ID": "1"}

NO_DIGESTS: Final = {"MAIL_DIGEST": "off"}
DIGESTS: Final = {"MAIL_DIGEST": "all", "MAIL_DIGEST_WINDOW": "5s"}


class Options(TypedDict):
    """What a run is to be.

    Attributes:
        seed: decides the jobs, the blows and the moods of the mail service.
        jobs: how many jobs in all.
        rq_jobs: how many of them real workers run.
        wishes: how many blows, and on how many processes.
        well: True for a mail service that never misbehaves.
        email_log: True sends for real, where Mailtrap keeps a log that settles what is in doubt; False uses
            the sandbox, which has none.
        digest: True shares the jobs out among few people and gathers their mails into digests.
        patient: True waits for leases and retries to end by themselves, instead of cutting them short.
        folder: for logs and data.
    """

    seed: int
    jobs: int
    rq_jobs: int
    wishes: Wishes
    well: bool
    email_log: bool
    digest: bool
    patient: bool
    folder: Path


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
    count: Count
    broken: list[str]


class Victim(Protocol):
    """What can be hit and comes back."""

    def strike(self, blow: Blow) -> bool:
        """Hit it; False if there was nothing to hit."""

    def recover(self) -> None:
        """Bring it back."""


class Stage:
    """The processes of a run, while they run."""

    def __init__(self, options: Options, folder: Path, mailtrap: MoodyMailtrap) -> None:
        self.folder = folder
        self.mailtrap = mailtrap
        self.redis = RedisMember(folder / "redis")
        self.redis.start()
        self.url = self.redis.server.url
        environ = {
            **_environ(self.url, mailtrap),
            **(EMAIL_LOG if options["email_log"] else SANDBOX),
            **(DIGESTS if options["digest"] else NO_DIGESTS),
        }
        logs = folder / "logs"
        logs.mkdir()
        self.notifiers = [
            Member(f"notifier-{n}", [str(BIN / "notifier"), "run"], environ, logs / f"notifier-{n}.log")
            for n in range(options["wishes"]["notifiers"])
        ]
        self.log = TrimmedLog(self.url, self.redis, self.notifiers)
        command = [sys.executable, "-m", "chaos.worker", self.url, str(folder)]
        self.workers = [
            Member(f"worker-{n}", command, environ, logs / f"worker-{n}.log")
            for n in range(options["wishes"]["workers"])
        ]

    @property
    def members(self) -> list[Member]:
        """Every process but Redis."""
        return [*self.notifiers, *self.workers]

    def victim(self, blow: PlannedBlow) -> Victim:
        """Return who gets a blow."""
        match blow["victim"]:
            case "notifier":
                return self.notifiers[blow["number"]]
            case "worker":
                return self.workers[blow["number"]]
            case "redis":
                return self.redis
            case "log":
                return self.log

    def is_orphan(self, pid: int) -> bool:
        """Tell whether a process of the folder has outlived its worker; Redis is none."""
        redis = {found["pid"] for found in processes_of(self.folder / "redis")}
        return pid not in redis

    def end(self) -> None:
        """End whatever runs."""
        stop_all(self.members)
        self.redis.stop()


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
        with _stage(options, folder, mailtrap) as stage:
            result = _play(options, stage, random, say)
        result["broken"] += [f"process left running: {found['command']}" for found in processes_of(folder)]
    return result


@contextmanager
def _stage(options: Options, folder: Path, mailtrap: MoodyMailtrap) -> Iterator[Stage]:
    stage = Stage(options, folder, mailtrap)
    try:
        for member in stage.members:
            member.start()
        yield stage
    finally:
        mailtrap.calm_down()
        stage.end()
        wait_gone(folder, besides=lambda _: False, seconds=0)


def _play(options: Options, stage: Stage, random: Random, say: Callable[[str], None]) -> Result:
    wishes, clock = options["wishes"], SystemClock()
    people = FEW_PEOPLE if options["digest"] else None
    jobs = plan_jobs(options["jobs"], options["rq_jobs"], wishes["seconds"], random, people=people)
    blows = plan_blows(wishes, random)
    publisher = Publisher(connect(stage.url), jobs)
    started = clock.monotonic()
    publisher.start()
    hit = let_blows_fall(blows, stage.victim, clock, started + wishes["seconds"])
    say(f"{sum(hit.values())} blows fell; now everything may settle")
    calmed = clock.monotonic()
    stage.mailtrap.calm_down()
    wait_until(lambda: not publisher.is_alive(), SETTLE_SECONDS)
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
        acknowledged=publisher.acknowledged,
        taken=stage.mailtrap.taken,
        trimmed=stage.log.outcomes,
    )
    publisher.stop()
    broken = [*count["broken"], *(name for name in hit if "by itself" in name)]
    if len(publisher.acknowledged) < len(jobs):
        broken.append(f"only {len(publisher.acknowledged)} of {len(jobs)} jobs came in {publisher.fault}")
    return {
        "folder": stage.folder,
        "blows": hit,
        "moods": stage.mailtrap.treated,
        "seconds": (calmed - started, settled - calmed),
        "shortened": shortened,
        "revived": revived,
        "left": unfinished(redis),
        "count": count,
        "broken": broken,
    }


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


def _stop_and_shorten(stage: Stage, clock: Clock) -> Shortened:
    stop_all(stage.members)
    wait_gone(stage.folder, besides=lambda found: not stage.is_orphan(found["pid"]), seconds=ORPHAN_SECONDS)
    return cut_waits_short(connect(stage.url), clock)


def _environ(redis_url: str, mailtrap: MoodyMailtrap) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(TOOLS), os.environ.get("PYTHONPATH", "")]),
        "REDIS_URL": redis_url,
        "MAIL_FROM_EMAIL": "jobs@example.com",
        "MAIL_FROM_NAME": "Chaos",
        "MAILTRAP_API_KEY": "chaos",
        "MAILTRAP_API_HOST": mailtrap.host,
        "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
        "NOTIFIER_PORT": "0",
    }
