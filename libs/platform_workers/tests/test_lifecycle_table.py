"""Every step from every status: the table in docs/job-lifecycle.md is what the script does, cell by cell."""

import re
from pathlib import Path
from typing import Final, get_args

import pytest
from builders import make_record
from platform_core.job_events import JobDomain, decode_job_event, default_events_channel
from platform_core.job_types import JOB_STATUSES, JobStatusLiteral

from platform_workers.errors import (
    LeaseLostError,
    OutcomeAlreadyRecordedError,
    StaleAttemptError,
    TransitionRefusedError,
)
from platform_workers.job_context import make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import read_log
from platform_workers.job_transitions import (
    GUARD_ANYONE,
    GUARD_EXPIRED,
    Lease,
    Step,
    TransitionBuilder,
    guard_attempt,
    guard_lease,
    guard_run,
)
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

DOC: Final = Path(__file__).parents[3] / "docs" / "job-lifecycle.md"
STEPS: Final[tuple[Step, ...]] = get_args(Step)
TOKEN: Final = "w:1:1"


def table_after(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading of the document, without the line under its head."""
    lines = DOC.read_text("utf-8").partition(f"\n## {heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def documented_steps() -> dict[tuple[str, str], str]:
    head, *rows = table_after("Steps")
    statuses = head[1 : 1 + len(JOB_STATUSES)]
    return {
        (row[0].strip("`"), status): cell
        for row in rows
        for status, cell in zip(statuses, row[1:], strict=False)
    }


TABLE: Final = documented_steps()
EVENTS: Final = {row[0].strip("`"): row[6] for row in table_after("Steps")[1:]}


def call_of(step: Step, builder: TransitionBuilder, clock: FakeClock, guard: str | None = None) -> ScriptCall:
    """The step's call; with the guard that fits a record of `stored` unless another is given."""
    lease: Lease = {"token": TOKEN, "until": clock.now()}
    fitting = guard_lease("") if guard is None else guard
    match step:
        case "started":
            call = builder.started(guard=fitting, transition_id="t", lease=lease)
        case "progress":
            call = builder.progress(10, "going", None, guard=fitting, transition_id="t")
        case "completed":
            call = builder.completed(result_id="r", result_bytes=1, guard=fitting, transition_id="t")
        case "failed":
            call = builder.failed("system", "broken", guard=fitting, transition_id="t")
        case "retried":
            call = builder.retried("broken", run_after=clock.now(), guard=fitting, transition_id="t")
        case "renewed":
            call = builder.renewed(lease, transition_id="t")
        case "cancelled":
            call = builder.cancelled(transition_id="t")
        case _:
            call = builder.rerun(run=2)
    if guard is not None:
        call["args"][5] = guard
    return call


def stored(store: JobRecordStore, redis: RedisClient, status: JobStatusLiteral, *, lease: str = "") -> None:
    """A record in this status; a lease only where one is asked for."""
    record = make_record(status=status)
    if status != "queued":
        record["attempt_count"] = 1
    store.save(record)
    if lease:
        redis.hset("shop:job:job-1", {"locked_by": lease})


def everything(redis: RedisClient) -> list[tuple[str, str]]:
    """Every key with what is in it."""
    dumps = ((key, redis.connection.dump(key)) for key in redis.keys("*"))
    return [(key, repr(value)) for key, value in dumps]


def test_the_table_has_every_step_and_every_status() -> None:
    assert set(TABLE) == {(step, status) for step in STEPS for status in JOB_STATUSES}
    assert set(TABLE.values()) == {*JOB_STATUSES, "refused", "final"}


def test_the_diagram_shows_the_table() -> None:
    """An arrow for every step that leads somewhere, and none else."""
    text = DOC.read_text("utf-8")
    arrows = {
        (step.strip(), before, after)
        for before, after, steps in re.findall(r"^    (\w+) --> (\w+): (.+)$", text, re.MULTILINE)
        for step in steps.split(",")
    }
    assert arrows == {
        (step, before, after) for (step, before), after in TABLE.items() if after in JOB_STATUSES
    }


@pytest.mark.parametrize("status", JOB_STATUSES)
@pytest.mark.parametrize("step", STEPS)
def test_every_step_from_every_status(
    step: Step,
    status: JobStatusLiteral,
    store: JobRecordStore,
    redis: RedisClient,
    domain: JobDomain,
    clock: FakeClock,
) -> None:
    stored(store, redis, status, lease=TOKEN if step == "renewed" else "")
    context = make_job_context(
        redis=redis, domain=domain, events_channel=default_events_channel(domain), job_id="job-1",
        user_id=7, queue_name="default", clock=clock,
    )  # fmt: skip
    call = call_of(step, context.builder, clock)
    expected = TABLE[step, status]
    before = everything(redis)
    if expected in {"refused", "final"}:
        kind = OutcomeAlreadyRecordedError if expected == "final" else TransitionRefusedError
        with pytest.raises(TransitionRefusedError) as caught:
            context.apply(step, call)
        assert (type(caught.value), caught.value.status) == (kind, status)
        assert everything(redis) == before
        return
    applied = context.apply(step, call)
    assert applied["status"] == expected
    assert redis.hgetall("shop:job:job-1")["status"] == expected
    assert store.list_ids(f"status:{expected}") == ["job-1"]
    assert [store.count(f"status:{other}") for other in JOB_STATUSES].count(1) == 1
    final = expected in {"completed", "failed", "cancelled"}
    for key in ("shop:job:job-1", "shop:job:job-1:log"):
        assert (redis.ttl(key) > 0) == final or not redis.keys(key), key
    assert (redis.zcard("shop:jobs:finished") == 1) == final
    logged = [decode_job_event(entry["fields"]["event"])["type"] for entry in redis.xrange("shop:events:log")]
    word = re.match(r"`(\w+)`$|`(\w+)`, kind", EVENTS[step])
    assert logged == ([f"shop.job.{word.group(1) or word.group(2)}.v1"] if word else [])
    assert [line["message"] for line in read_log(redis, domain, "job-1")] or step == "renewed"


GUARDS: Final = [
    # step, status, lease of the record, guard, what it is refused with
    ("started", "queued", "", guard_attempt(1, 1), None),
    ("started", "queued", "", guard_attempt(1, 2), StaleAttemptError),
    ("started", "queued", "", guard_attempt(2, 1), StaleAttemptError),
    ("completed", "processing", TOKEN, guard_lease(TOKEN), None),
    ("completed", "processing", TOKEN, guard_lease("w:1:2"), LeaseLostError),
    ("completed", "processing", TOKEN, guard_lease(""), LeaseLostError),
    ("completed", "processing", "", guard_lease(TOKEN), LeaseLostError),
    ("renewed", "processing", "other", None, LeaseLostError),
    ("retried", "processing", TOKEN, GUARD_EXPIRED, LeaseLostError),
    ("cancelled", "processing", TOKEN, None, None),
    ("rerun", "failed", "", guard_run(1), None),
    ("rerun", "failed", "", guard_run(2), StaleAttemptError),
    ("rerun", "cancelled", "", guard_run(3), StaleAttemptError),
]


@pytest.mark.parametrize(("step", "status", "lease", "guard", "refusal"), GUARDS)
def test_every_guard(
    step: Step,
    status: JobStatusLiteral,
    lease: str,
    guard: str | None,
    refusal: type[TransitionRefusedError] | None,
    store: JobRecordStore,
    redis: RedisClient,
    domain: JobDomain,
    clock: FakeClock,
) -> None:
    stored(store, redis, status, lease=lease)
    context = make_job_context(
        redis=redis, domain=domain, events_channel=default_events_channel(domain), job_id="job-1",
        user_id=7, queue_name="default", clock=clock,
    )  # fmt: skip
    call = call_of(step, context.builder, clock, guard)
    before = everything(redis)
    if refusal is None:
        assert context.apply(step, call)["status"] == TABLE[step, status]
        return
    with pytest.raises(refusal):
        context.apply(step, call)
    assert everything(redis) == before


def test_the_document_names_every_guard() -> None:
    words = {row[0].strip("`").partition(":")[0] for row in table_after("Guards")[1:]}
    made = {guard_lease("x"), guard_attempt(1, 1), GUARD_EXPIRED, guard_run(1), GUARD_ANYONE}
    assert words == {guard.partition(":")[0] for guard in made}
