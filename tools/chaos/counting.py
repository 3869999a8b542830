"""The count at the end: what was promised, and where a promise was broken."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypedDict

from platform_notify.deliveries import EMAIL, Delivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore
from platform_workers.lua_scripts import Script
from platform_workers.redis import RedisClient

from chaos.deeds import Told
from chaos.index_counting import broken_indexes
from chaos.jobs import QUEUES, PlannedJob
from chaos.log_reading import Logged, event_word_of, outcomes_in, read_log
from chaos.run_counting import broken_runs

LIVES_FOR_EVER: Final = re.compile(
    r"platform:domains"
    r"|[a-z_]+:jobs:(all|finished|types|leases:.+|status:.+|type:.+|user:.+)"
    r"|[a-z_]+:events:log"
    r"|notify:(due|dead):[a-z]+"
    r"|user:[^:]+:notification_preferences"
    r"|jobs-api:keys(:.+)?"
    r"|rq:(queues|workers.*|(worker|queue|wip|finished|failed|scheduled):.+)"
)
"""Keys that have no time to live: indexes, the bounded logs, the sets of waiting and dead deliveries, what
users have chosen, the API's keys, and RQ's lists and registries; but no attempt that RQ still remembers.

`rq:worker:<name>` is one because RQ writes a heartbeat and its time to live in two steps: a kill in between
leaves a few bytes."""

_WITHOUT_TTL: Final = Script(
    "without_ttl",
    "local found = {} for _, key in ipairs(KEYS) do"
    " if redis.call('PTTL', key) == -1 then found[#found + 1] = key end end return found",
)
_KEYS_AT_ONCE: Final = 1000


class Repeat(TypedDict):
    """A mail that was taken more than once.

    Attributes:
        times: how often it was taken.
        interrupted: how often a notifier ended, or lost its claim, before it could say how its attempt went.
        ambiguous: how many attempts ended with an answer that leaves open whether the mail left.
    """

    delivery_id: str
    job_id: str
    times: int
    interrupted: int
    ambiguous: int


class Count(TypedDict):
    """What was found; the `broken` sentences are broken promises, and there should be none.

    Attributes:
        jobs: jobs that Redis or the API acknowledged.
        outcomes: outcomes that the logs ever had.
        cancelled: how many of them were of cancelled runs.
        reruns: how many were of second and later runs.
        expected: mails that somebody asked for.
        untold: how many of these nothing tells of any more: trimmed before they were read, and the job run
            again since. They may be missing.
        arrived: how many of them the mail service has taken, by themselves or told in a digest.
        digests: how many digests it has taken.
        gathered: how many mails were told in one of them.
        repeats: mails that were taken more than once.
        in_flight: deliveries that a notifier was sending when it ended or lost its claim.
        doubtful: deliveries with an answer that left open whether the mail had left.
        keys: how many keys there are.
    """

    jobs: int
    outcomes: int
    cancelled: int
    reruns: int
    expected: int
    untold: int
    arrived: int
    digests: int
    gathered: int
    repeats: list[Repeat]
    in_flight: int
    doubtful: int
    keys: int
    broken: list[str]


class Past(TypedDict):
    """What Redis cannot tell at the end.

    Attributes:
        acknowledged: the jobs that Redis or the API has acknowledged.
        told: what the API has answered to who cancelled jobs or ran them again.
        taken: how often the mail service took each delivery.
        trimmed: entries that the logs no longer have.
        unread: job and run of those that no notifier had read.
    """

    acknowledged: set[str]
    told: Mapping[str, Told]
    taken: Counter[str]
    trimmed: Sequence[Logged]
    unread: set[tuple[str, int]]


def count_all(redis: RedisClient, deliveries: DeliveryStore, jobs: Sequence[PlannedJob], past: Past) -> Count:
    """Compare what was asked for with what came of it.

    Args:
        redis: where everything is.
        deliveries: the delivery records in it.
        jobs: as planned.
        past: what happened on the way.
    """
    taken = past["taken"]
    entries = [*past["trimmed"], *(entry for domain in QUEUES for entry in read_log(redis, domain))]
    outcomes = outcomes_in(entries)
    planned = {job["job_id"]: job for job in jobs}
    expected = expected_mails(outcomes, planned)
    records = {name: deliveries.find(name) for name in expected}
    last_runs = {outcome["job_id"]: outcome["run"] for outcome in sorted(outcomes, key=_run_of)}
    untold = {
        name
        for name, outcome in expected.items()
        if records[name] is None
        and (outcome["job_id"], outcome["run"]) in past["unread"]
        and outcome["run"] < last_runs[outcome["job_id"]]
    }
    digests = deliveries.digests_of([record for record in records.values() if record is not None])
    mailed = {name: _mailed_as(name, records[name]) for name in expected}
    repeats = [
        _repeat(name, record, taken[name])
        for name, record in sorted({**records, **digests}.items())
        if taken[name] > 1
    ]
    every_key = redis.keys("*")
    found = [record for record in (*records.values(), *digests.values()) if record is not None]
    return {
        "jobs": len(past["acknowledged"]),
        "outcomes": len(outcomes),
        "cancelled": sum(outcome["word"] == "cancelled" for outcome in outcomes),
        "reruns": sum(outcome["run"] > 1 for outcome in outcomes),
        "expected": len(expected),
        "untold": len(untold),
        "arrived": sum(mailed[name] in taken for name in expected),
        "digests": sum(name in taken for name in digests),
        "gathered": sum(mailed[name] != name for name in expected),
        "repeats": repeats,
        "in_flight": sum(record.get("interrupted", 0) > 0 for record in found),
        "doubtful": sum(_ambiguous(record) > 0 for record in found),
        "keys": len(every_key),
        "broken": [
            *broken_runs(redis, outcomes, planned, past["told"], past["acknowledged"]),
            *broken_mails(expected, records, taken, untold),
            *broken_digests(records, digests, taken),
            *(broken_repeat(repeat) for repeat in repeats if not is_explained(repeat)),
            *broken_keys(redis, every_key),
            *(
                sentence
                for domain in QUEUES
                for sentence in broken_indexes(
                    redis, domain, every_key, [entry for entry in entries if entry["domain"] == domain]
                )
            ),
        ],
    }


def expected_mails(outcomes: Sequence[Logged], planned: Mapping[str, PlannedJob]) -> dict[str, Logged]:
    """Return the outcomes that somebody wants to hear about, by the id their delivery must have.

    Nobody hears of a run that was cancelled.
    """
    return {
        delivery_id_of(
            outcome["domain"],
            outcome["job_id"],
            outcome["run"],
            event_word_of(outcome),
            EMAIL,
            planned[outcome["job_id"]]["email"],
        ): outcome
        for outcome in outcomes
        if outcome["word"] != "cancelled" and event_word_of(outcome) in planned[outcome["job_id"]]["on"]
    }


def broken_mails(
    expected: Mapping[str, Logged],
    records: Mapping[str, Delivery | None],
    taken: Counter[str],
    untold: set[str],
) -> Iterator[str]:
    """Every mail that was asked for was taken, but for those nothing tells of; and no other."""
    mailed = {name: _mailed_as(name, records[name]) for name in expected}
    for name, outcome in expected.items():
        record = records[name]
        state = "no record" if record is None else record["state"]
        if mailed[name] in taken:
            if state != "sent":
                yield f"delivery {name} of {outcome['job_id']} was taken, but its record says {state}"
        elif name not in untold:
            yield f"mail lost: delivery {name} of {outcome['job_id']}; its record says {state}"
    for name in sorted(taken.keys() - expected.keys() - set(mailed.values())):
        yield f"delivery {name or '(without an id)'} was mailed, but nobody asked for it"


def broken_digests(
    records: Mapping[str, Delivery | None], digests: Mapping[str, Delivery], taken: Counter[str]
) -> Iterator[str]:
    """What a digest tells it tells whole, and nobody else tells it too."""
    members = Counter(record["digest"] for record in records.values() if record and "digest" in record)
    for name, record in records.items():
        if record is not None and "digest" in record and name in taken:
            yield f"delivery {name} was mailed by itself and in digest {record['digest']}"
    for name, times in sorted(members.items()):
        told = digests[name].get("gathered", 0) if name in digests else 0
        if told != times:
            yield f"digest {name} tells of {told} mails, and {times} name it"


def is_explained(repeat: Repeat) -> bool:
    """Tell whether each repetition has its cause: an attempt that was cut short, or a doubtful answer."""
    return repeat["times"] - 1 <= repeat["interrupted"] + repeat["ambiguous"]


def broken_repeat(repeat: Repeat) -> str:
    """Say that a repetition has no cause."""
    return (
        f"mail repeated without a cause: delivery {repeat['delivery_id']} of {repeat['job_id']} was taken "
        f"{repeat['times']} times, interrupted {repeat['interrupted']}, doubtful {repeat['ambiguous']}"
    )


def broken_keys(redis: RedisClient, keys: Sequence[str]) -> Iterator[str]:
    """Every key has a time to live, but for those that may live for ever."""
    families: defaultdict[str, list[str]] = defaultdict(list)
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        page = [*keys[at : at + _KEYS_AT_ONCE]]
        for key in redis.run_script({"script": _WITHOUT_TTL, "keys": page, "args": []}):
            if LIVES_FOR_EVER.fullmatch(key) is None:
                families[re.sub(r"[0-9a-f]{32}|[0-9]{4,}", "*", key)].append(key)
    for family, found in sorted(families.items()):
        yield f"{len(found)} keys like {family} live for ever, for instance {found[0]}"


def _run_of(outcome: Logged) -> int:
    return outcome["run"]


def _mailed_as(name: str, record: Delivery | None) -> str:
    """Return the id of the mail that tells of a delivery: its own, or that of its digest."""
    return name if record is None else record.get("digest", name)


def _repeat(name: str, record: Delivery | None, times: int) -> Repeat:
    return {
        "delivery_id": name,
        "job_id": "no record" if record is None else record["job_id"],
        "times": times,
        "interrupted": 0 if record is None else record.get("interrupted", 0),
        "ambiguous": 0 if record is None else _ambiguous(record),
    }


def _ambiguous(record: Delivery) -> int:
    return sum(note["ambiguous"] for note in record.get("attempts", []))
