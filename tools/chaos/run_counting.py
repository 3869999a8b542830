"""The count of runs: what the logs say of each, against the records and what the API has answered."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from platform_core.job_types import job_key
from platform_workers.redis import RedisClient

from chaos.deeds import Told
from chaos.jobs import PlannedJob
from chaos.log_reading import Logged

FINAL: Final = frozenset({"completed", "failed", "cancelled"})


def broken_runs(
    redis: RedisClient,
    outcomes: Sequence[Logged],
    jobs: Mapping[str, PlannedJob],
    told: Mapping[str, Told],
    acknowledged: set[str],
) -> Iterator[str]:
    """Every acknowledged job has one outcome in each of its runs, and no run that nobody has asked for.

    Args:
        redis: where the records are.
        outcomes: all that the logs ever said.
        jobs: by their ids.
        told: what the API has answered.
        acknowledged: the jobs that Redis or the API has acknowledged.
    """
    words: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        words[outcome["job_id"]][outcome["run"]].append(outcome["word"])
    for job_id in sorted(acknowledged):
        record = redis.hgetall(job_key(jobs[job_id]["domain"], job_id)) if job_id in jobs else {}
        if not record:
            yield f"job {job_id} has no record"
            continue
        runs = words[job_id]
        yield from _broken_ends(job_id, record["status"], int(record["run"]), runs)
        if job_id in told:
            yield from _broken_words(job_id, int(record["run"]), runs, told[job_id])
        elif int(record["run"]) > 1 or any("cancelled" in ends for ends in runs.values()):
            yield f"job {job_id} was cancelled or run again, and nobody has asked for it"
    for job_id in sorted(words.keys() - acknowledged):
        yield f"job {job_id} has outcomes, and nobody has handed it in"


def _broken_ends(job_id: str, status: str, last: int, runs: Mapping[int, list[str]]) -> Iterator[str]:
    """One outcome in each run up to the record's own, whose outcome the record shows."""
    if status not in FINAL:
        yield f"job {job_id} has no outcome: its record says {status}"
    for run in range(1, last + 1):
        ends = runs.get(run, [])
        if len(ends) != 1:
            yield f"run {run} of job {job_id} has {len(ends)} outcomes in the log {ends}"
    for run in sorted(runs):
        if run > last:
            yield f"job {job_id} has an outcome of run {run}, and its record is in run {last}"
    if status in FINAL and status not in runs.get(last, [status]):
        yield f"run {last} of job {job_id} ended as {runs[last]} in the log, and its record says {status}"


def _broken_words(job_id: str, last: int, runs: Mapping[int, list[str]], told: Told) -> Iterator[str]:
    """What the API has said was done; what was done, it has said, or its answer was lost."""
    cancelled = {run for run, ends in runs.items() if "cancelled" in ends}
    for run in sorted({*told["cancelled"]} - cancelled):
        yield f"run {run} of job {job_id} was said to be cancelled, and ended as {runs.get(run, [])}"
    unexplained = cancelled - {*told["cancelled"]}
    if len(unexplained) > told["lost_cancels"]:
        yield f"runs {sorted(unexplained)} of job {job_id} were cancelled, and nobody has asked for it"
    begun = {*range(2, last + 1)}
    if len({*told["retried"]}) < len(told["retried"]):
        yield f"job {job_id} was said to begin the same run twice: {told['retried']}"
    for run in sorted({*told["retried"]} - begun):
        yield f"run {run} of job {job_id} was said to begin, and its record is in run {last}"
    if len(begun - {*told["retried"]}) > told["lost_retries"]:
        yield f"job {job_id} is in run {last}; answered were {told['retried']}, lost {told['lost_retries']}"
