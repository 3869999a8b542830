"""How many jobs there are, and how they have fared in the last hour, day or week.

What there is now comes from the sizes of the index sets; the rest from hashes that the scripts of the store
count in, one for each minute and each hour (`scripts/job_buckets.lua`). So reading costs what the window has
buckets, however many jobs there are.

Durations are counted in bins that grow by a tenth. A percentile is right within 5 % (and a millisecond).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import ceil
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.clock import to_millis
from platform_core.job_events import JobDomain
from platform_core.job_types import JOB_STATUSES, JobStatusLiteral

from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient

JOB_STATISTICS = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "job_statistics")
JOB_TOTALS = load_script(SCRIPTS, "job_totals")

BIN_BASE: Final = 1.1
"""How much longer the longest duration of a bin is than that of the bin before."""

StatisticsWindow: TypeAlias = Literal["1h", "24h", "7d"]
StatusCounts: TypeAlias = dict[JobStatusLiteral, int]

PERCENTILES: Final = (0.50, 0.95, 0.99)

RECENT: Final = timedelta(minutes=15)
"""What counts as a short while ago: so many whole minutes, of which the present one is the last."""

ABANDONED_AFTER: Final = timedelta(seconds=10)
"""A worker that lives settles a job within some seconds after its lease has ended."""


class _Steps(TypedDict):
    """How a window is cut: so many steps, each of so many buckets."""

    bucket: Literal["minute", "hour"]
    bucket_length: timedelta
    steps: int
    buckets: int


WINDOWS: Final[Mapping[StatisticsWindow, _Steps]] = {
    "1h": {"bucket": "minute", "bucket_length": timedelta(minutes=1), "steps": 12, "buckets": 5},
    "24h": {"bucket": "hour", "bucket_length": timedelta(hours=1), "steps": 24, "buckets": 1},
    "7d": {"bucket": "hour", "bucket_length": timedelta(hours=1), "steps": 28, "buckets": 6},
}


class DurationPercentiles(TypedDict):
    """Durations in seconds: half of them, 95 % and 99 % were at most so long. Right within 5 %."""

    p50: float
    p95: float
    p99: float


class FinishedCounts(TypedDict):
    """How many jobs reached each outcome."""

    completed: int
    failed: int
    cancelled: int


class StatisticsStep(FinishedCounts):
    """What happened in one step of the window, which begins at `at` (UTC)."""

    at: datetime
    submitted: int


class JobStatistics(TypedDict):
    """How jobs have fared.

    Attributes:
        window: "1h" in steps of 5 minutes, "24h" of an hour, "7d" of 6 hours.
        begins: Where the first step begins (UTC). The present step is the last one, so the window is up to
            one step shorter than its name says.
        ends: The present.
        counts: How many jobs have each status now.
        by_type: The same for each job type that has a job.
        submitted: New jobs in the window.
        finished: Outcomes in the window; a job that was run again may have several.
        failure_rate: failed / (completed + failed), 0 to 1; None when there was neither.
        throughput_per_hour: completed and failed jobs for each hour of the window.
        run_seconds: How long the last attempt of completed and failed jobs ran; None when there were none.
        queue_seconds: How long attempts waited for a worker, from the moment they could start, by the Redis
            server's clock; None when none has started.
        series: The steps, oldest first.
    """

    window: StatisticsWindow
    begins: datetime
    ends: datetime
    counts: StatusCounts
    by_type: dict[str, StatusCounts]
    submitted: int
    finished: FinishedCounts
    failure_rate: float | None
    throughput_per_hour: float
    run_seconds: DurationPercentiles | None
    queue_seconds: DurationPercentiles | None
    series: list[StatisticsStep]


class JobTotals(TypedDict):
    """The jobs of one domain, in a few numbers.

    Attributes:
        counts: How many jobs have each status now.
        recent: How many reached each outcome within `RECENT`.
        abandoned: How many run under a lease that ended `ABANDONED_AFTER` ago or earlier, by the Redis
            server's clock: their worker is silent, and no other one has settled them.
    """

    counts: StatusCounts
    recent: FinishedCounts
    abandoned: int


def read_job_totals(redis: RedisClient, *, now: datetime) -> dict[str, JobTotals]:
    """Return the totals of every domain that has a job; one round trip for all.

    Args:
        redis: The connection.
        now: The present time.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    minute = timedelta(minutes=1)
    last = to_millis(now) // (minute // timedelta(milliseconds=1))
    patience = ABANDONED_AFTER // timedelta(milliseconds=1)
    args = [str(last - RECENT // minute + 1), str(last), str(patience)]
    reply = redis.run_script({"script": JOB_TOTALS, "keys": [], "args": args})
    numbers = {
        (domain, kind, name): int(number)
        for domain, kind, name, number in zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True)
    }
    return {
        domain: {
            "counts": {status: numbers[domain, "now", status] for status in JOB_STATUSES},
            "recent": {
                "completed": numbers[domain, "recent", "completed"],
                "failed": numbers[domain, "recent", "failed"],
                "cancelled": numbers[domain, "recent", "cancelled"],
            },
            "abandoned": numbers[domain, "abandoned", ""],
        }
        for domain in sorted(set(reply[::4]))
    }


def read_statistics(
    redis: RedisClient, domains: Iterable[JobDomain], window: StatisticsWindow, *, now: datetime
) -> JobStatistics:
    """Return the statistics of some domains together; one round trip for each.

    Args:
        redis: The connection.
        domains: Whose jobs.
        window: How far back.
        now: The present time.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    cut = WINDOWS[window]
    length = cut["bucket_length"]
    step = length * cut["buckets"]
    begins = _floor(now, step) - step * (cut["steps"] - 1)
    first = to_millis(begins) // (length // timedelta(milliseconds=1))
    sums: Counter[tuple[str, str]] = Counter()
    for domain in domains:
        args = [domain, cut["bucket"], str(first), str(cut["steps"]), str(cut["buckets"])]
        reply = redis.run_script({"script": JOB_STATISTICS, "keys": [], "args": args})
        for kind, name, number in zip(reply[::3], reply[1::3], reply[2::3], strict=True):
            sums[kind, name] += int(number)
    series: list[StatisticsStep] = [
        {
            "at": begins + step * number,
            "submitted": sums["step", f"{number} submitted"],
            "completed": sums["step", f"{number} completed"],
            "failed": sums["step", f"{number} failed"],
            "cancelled": sums["step", f"{number} cancelled"],
        }
        for number in range(cut["steps"])
    ]
    finished: FinishedCounts = {
        "completed": sum(part["completed"] for part in series),
        "failed": sum(part["failed"] for part in series),
        "cancelled": sum(part["cancelled"] for part in series),
    }
    ran = finished["completed"] + finished["failed"]
    types = sorted({name.partition(" ")[2] for kind, name in sums if kind == "type"})
    return {
        "window": window,
        "begins": begins,
        "ends": now,
        "counts": {status: sums["now", status] for status in JOB_STATUSES},
        "by_type": {
            job_type: {status: sums["type", f"{status} {job_type}"] for status in JOB_STATUSES}
            for job_type in types
        },
        "submitted": sum(part["submitted"] for part in series),
        "finished": finished,
        "failure_rate": finished["failed"] / ran if ran else None,
        "throughput_per_hour": ran / ((now - begins) / timedelta(hours=1)),
        "run_seconds": percentiles(_bins(sums, "run")),
        "queue_seconds": percentiles(_bins(sums, "queue")),
        "series": series,
    }


def percentiles(bins: Mapping[int, int]) -> DurationPercentiles | None:
    """Return the percentiles of durations counted in bins; None when there are none.

    Args:
        bins: How many durations each bin has; bin 0 is less than a millisecond, bin n from 1 on is up to
            `BIN_BASE ** (n - 1)` milliseconds.
    """
    ordered = sorted(bins)
    ends = list(accumulate(bins[number] for number in ordered))
    if not ends:
        return None
    p50, p95, p99 = (_seconds_of(ordered[bisect_left(ends, ceil(share * ends[-1]))]) for share in PERCENTILES)
    return {"p50": p50, "p95": p95, "p99": p99}


def _seconds_of(number: int) -> float:
    """Return the duration that is at most 1 part in 21 away from each one in the bin."""
    if number == 0:
        return 0.0
    longest = BIN_BASE ** (number - 1)
    return round(longest * 2 / (BIN_BASE + 1) / 1000, 6)


def _bins(sums: Mapping[tuple[str, str], int], kind: str) -> dict[int, int]:
    return {int(name): number for (found, name), number in sums.items() if found == kind}


def _floor(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the step that a moment lies in; steps count from 1970, UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return moment.astimezone(UTC) - (moment - epoch) % step
