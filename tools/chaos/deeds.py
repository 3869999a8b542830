"""What people do to jobs while everything is killed around them: cancel them, and have them run again.

They ask the API, at instants that follow from the seed. What it answered is kept, for the count at the end.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.clock import SystemClock
from platform_core.job_events import JobDomain

from chaos.api_calls import Answer, ApiCaller
from chaos.jobs import PlannedJob

What: TypeAlias = Literal["cancel", "retry"]

PEOPLE: Final = 4
"""How many ask side by side; all that is done to one job is done by one of them."""

PAUSE_SECONDS: Final = 0.25
"""Before somebody asks again."""

PATIENCE: Final = 60
"""How often somebody asks for a run that cannot be had yet, because the one before has not ended."""

_NO_OUTCOME: Final = ("is queued", "is processing")
_NOT_THERE: Final = 404

# Bound to a name of its own: whatever ends a thread belongs into the report.
_ANYTHING: type[Exception] = Exception


class PlannedDeed(TypedDict):
    """One of them, `at` so many seconds after the start."""

    at: float
    domain: JobDomain
    job_id: str
    what: What


class Told(TypedDict):
    """What the API has answered about one job.

    Attributes:
        cancelled: the runs that it said are cancelled.
        retried: the runs that it said begin.
        lost_cancels: how many cancels may have been carried out, and if so perhaps only later.
        lost_retries: the same for retries.
    """

    cancelled: list[int]
    retried: list[int]
    lost_cancels: int
    lost_retries: int


def plan_deeds(jobs: Sequence[PlannedJob], cancels: int, retries: int, random: Random) -> list[PlannedDeed]:
    """Return what is done, in the order of time.

    Args:
        jobs: the jobs; those that workers run are cancelled rather than the others, whose life is short.
        cancels: how many jobs are cancelled.
        retries: how many jobs that fail or are cancelled are to run again; some of them more than once.
        random: decides which, and when.
    """
    on_workers = [job for job in jobs if job["way"] != "context"]
    others = [job for job in jobs if job["way"] == "context"]
    some = random.sample(on_workers, min(len(on_workers), cancels * 2 // 3))
    some += random.sample(others, min(len(others), cancels - len(some)))
    deeds = [_deed(job, "cancel", job["at"] + _soon(random)) for job in some]
    cancelled = {job["job_id"] for job in some}
    ends_badly = [
        job for job in jobs if job["job_id"] in cancelled or job["ending"] in {"user_error", "fault"}
    ]
    for job in random.sample(ends_badly, min(len(ends_badly), retries)):
        at = job["at"] + _soon(random)
        for _ in range(random.choice((1, 1, 1, 2))):
            at += random.uniform(0.1, 2.0)
            deeds.append(_deed(job, "retry", at))
            if random.random() < 1 / 4:
                at += _soon(random)
                deeds.append(_deed(job, "cancel", at))
    return sorted(deeds, key=lambda deed: deed["at"])


class People:
    """Do what is planned, each for some of the jobs.

    Attributes:
        told: what was answered, for each job that they have asked about.
        broken: every answer that nobody may get.
        fault: what ended one of them early; empty if nothing did.
    """

    def __init__(self, api: ApiCaller, deeds: Sequence[PlannedDeed]) -> None:
        self.told: defaultdict[str, Told] = defaultdict(_nothing)
        self.broken: list[str] = []
        self.fault = ""
        self._api = api
        self._clock = SystemClock()
        self._stop = threading.Event()
        lanes: list[list[PlannedDeed]] = [[] for _ in range(PEOPLE)]
        lane_of: dict[str, int] = {}
        for deed in deeds:
            lane = lane_of.setdefault(deed["job_id"], len(lane_of) % PEOPLE)
            lanes[lane].append(deed)
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name="person", daemon=True) for lane in lanes
        ]

    def start(self) -> None:
        """Begin, each on a thread."""
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        """Tell whether there is still something to do."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop early."""
        self._stop.set()

    def _run(self, deeds: Iterable[PlannedDeed]) -> None:
        started = self._clock.monotonic()
        try:
            for deed in deeds:
                if self._stop.wait(max(0.0, started + deed["at"] - self._clock.monotonic())):
                    return
                if deed["what"] == "cancel":
                    self._cancel(deed)
                else:
                    self._retry(deed)
        except _ANYTHING as error:
            self.fault = f"{type(error).__name__}: {error}"

    def _cancel(self, deed: PlannedDeed) -> None:
        """Ask until there is an answer: repeated, it does no harm."""
        told = self.told[deed["job_id"]]
        for _ in range(PATIENCE):
            answer = self._ask(deed)
            found = answer.get("job")
            if answer["fate"] == "lost":
                told["lost_cancels"] += 1
            elif found is not None and found["status"] != "cancelled":
                # A retry whose answer was lost may begin between the cancel and the look that is answered.
                told["lost_cancels"] += 1
                if not told["lost_retries"]:
                    self.broken.append(f"a cancel of {deed['job_id']} was answered with {found}")
            elif found is not None:
                told["cancelled"].append(found["run"])
                return
            elif answer["fate"] == "answered" and answer["status"] != _NOT_THERE:
                return  # it has ended otherwise
            if self._stop.wait(PAUSE_SECONDS):
                return

    def _retry(self, deed: PlannedDeed) -> None:
        """Ask until there is an answer, or one was lost: repeated, it could ask for one run more."""
        told = self.told[deed["job_id"]]
        for _ in range(PATIENCE):
            answer = self._ask(deed)
            if answer["fate"] == "lost":
                told["lost_retries"] += 1
                return
            if "job" in answer:
                told["retried"].append(answer["job"]["run"])
                return
            runs = any(word in answer["problem"] for word in _NO_OUTCOME)
            too_early = runs or answer["status"] == _NOT_THERE
            if answer["fate"] == "answered" and not too_early:
                return  # it has completed
            if self._stop.wait(PAUSE_SECONDS):
                return

    def _ask(self, deed: PlannedDeed) -> Answer:
        return self._api.post(f"/v1/jobs/{deed['domain']}/{deed['job_id']}/{deed['what']}")


def runs_told(told: Mapping[str, Told]) -> tuple[int, int]:
    """Return how many runs were cancelled, and how many were begun, as far as the API has said so."""
    cancelled = {(job_id, run) for job_id, known in told.items() for run in known["cancelled"]}
    return len(cancelled), sum(len(known["retried"]) for known in told.values())


def _nothing() -> Told:
    return {"cancelled": [], "retried": [], "lost_cancels": 0, "lost_retries": 0}


def _deed(job: PlannedJob, what: What, at: float) -> PlannedDeed:
    return {"at": at, "domain": job["domain"], "job_id": job["job_id"], "what": what}


def _soon(random: Random) -> float:
    """Return after how many seconds: half of them at once, while a job waits, the others while it may run."""
    return random.uniform(0.0, 0.05) if random.random() < 1 / 2 else random.uniform(0.05, 2.5)
