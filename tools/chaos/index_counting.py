"""The count of the job store: index sets and counters, made again out of the records and the log.

What is expected is written here a second time, as docs/adr/0007 and `job_buckets.lua` say it, so that a fault
of the scripts is not copied.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Final

from platform_core.clock import to_millis
from platform_core.job_events import JobDomain
from platform_workers.domains import DOMAINS_KEY
from platform_workers.redis import RedisClient

from chaos.log_reading import Logged
from chaos.run_counting import FINAL

_FOREVER: Final = float("inf")
_ALL: Final = 1_000_000
_LISTED: Final = 3

_BUCKETS: Final = ("minute", "hour")


def broken_indexes(
    redis: RedisClient, domain: JobDomain, keys: Sequence[str], entries: Sequence[Logged]
) -> Iterator[str]:
    """Say where the index sets and counters of a domain differ from its records.

    Args:
        redis: where they are.
        domain: whose.
        keys: every key there is.
        entries: all that the domain's log ever said. It must not be older than the counters: two hours.
    """
    prefix = f"{domain}:job:"
    records = {
        key.removeprefix(prefix): redis.hgetall(key)
        for key in keys
        if key.startswith(prefix) and not key.endswith(":log")
    }
    yield from _broken_sets(redis, domain, keys, _expected_sets(domain, records))
    finished = {_finished_member(job_id, record) for job_id, record in records.items() if _has_ended(record)}
    yield from _difference(
        f"{domain}:jobs:finished", finished, {*redis.zrange(f"{domain}:jobs:finished", 0, -1)}
    )
    types = {record["job_type"] for record in records.values()}
    yield from _difference(f"{domain}:jobs:types", types, {*redis.smembers(f"{domain}:jobs:types")})
    if bool(records) is not (domain in redis.smembers(DOMAINS_KEY)):
        yield f"{domain} has {len(records)} jobs, and {DOMAINS_KEY} says otherwise"
    yield from _broken_counters(redis, domain, keys, len(records), entries)


def _expected_sets(
    domain: JobDomain, records: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Mapping[str, float]]:
    """Return every index set that orders jobs by their age; see docs/adr/0007 for the names."""
    sets: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for job_id, record in records.items():
        created = float(to_millis(datetime.fromisoformat(record["created_at"])))
        status, job_type = f"status:{record['status']}", f"type:{record['job_type']}"
        for parts in product((status, ""), (job_type, ""), (f"user:{record['user_id']}", "")):
            name = ":".join(part for part in parts if part) or "all"
            sets[f"{domain}:jobs:{name}"][job_id] = created
    return sets


def _broken_sets(
    redis: RedisClient,
    domain: JobDomain,
    keys: Sequence[str],
    expected: Mapping[str, Mapping[str, float]],
) -> Iterator[str]:
    heads = tuple(f"{domain}:jobs:{word}" for word in ("all", "status:", "type:", "user:", "leases:"))
    for name in sorted({*expected, *(key for key in keys if key.startswith(heads))}):
        found = dict(redis.zrange_with_scores(name, 0, _FOREVER, offset=0, limit=_ALL))
        wanted = expected.get(name, {})
        yield from _difference(name, {*wanted}, {*found})
        moved = sorted(job_id for job_id in found if found[job_id] != wanted.get(job_id, found[job_id]))
        if moved:
            yield f"{name} has {len(moved)} jobs at another time than their records, as {moved[:_LISTED]}"


def _broken_counters(
    redis: RedisClient, domain: JobDomain, keys: Sequence[str], jobs: int, entries: Sequence[Logged]
) -> Iterator[str]:
    """Each job was counted once when it came and each run when it ended, in the minutes and in the hours."""
    words = Counter(str(entry["word"]) for entry in entries)
    expected = Counter(
        {
            "submitted": jobs,
            "completed": words["completed"],
            "failed": words["failed"],
            "cancelled": words["cancelled"],
            "queue": words["started"],
            "run": words["completed"] + words["failed"],
        }
    )
    for bucket in _BUCKETS:
        sums = Counter[str]()
        for key in keys:
            if key.startswith(f"{domain}:jobs:{bucket}:"):
                for field, number in redis.hgetall(key).items():
                    sums[field.partition(":")[0]] += int(number)
        for field in expected:
            if sums[field] != expected[field]:
                yield f"the {bucket}s of {domain} count {sums[field]} {field}, and it were {expected[field]}"


def _difference(name: str, wanted: set[str], found: set[str]) -> Iterator[str]:
    for word, members in (("lacks", wanted - found), ("has too many", found - wanted)):
        if members:
            yield f"{name} {word}: {len(members)}, as {sorted(members)[:_LISTED]}"


def _has_ended(record: Mapping[str, str]) -> bool:
    return record["status"] in FINAL


def _finished_member(job_id: str, record: Mapping[str, str]) -> str:
    return f"{job_id} {record['job_type']} {record['user_id']}"
