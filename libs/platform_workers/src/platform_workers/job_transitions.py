"""Builds the one script call behind each step of a job's life, and reads its reply.

The state machine itself is in `scripts/job_transition.lua`, because only there is it atomic. This module
knows which fields each step sets, and turns a refusal into a typed error.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

from platform_core.clock import Clock, to_iso, to_millis
from platform_core.errors import DecodeError
from platform_core.job_events import (
    ErrorKind,
    JobDomain,
    default_events_log,
    encode_job_event,
    make_completed_event,
    make_failed_event,
    make_progress_event,
    make_started_event,
)
from platform_core.job_types import job_key
from platform_core.json_values import JsonValue

from platform_workers.errors import (
    JobNotFoundError,
    LeaseLostError,
    OutcomeAlreadyRecordedError,
    StaleAttemptError,
    TransitionRefusedError,
)
from platform_workers.event_messages import MAX_MESSAGE_BYTES
from platform_workers.lua_scripts import SCRIPTS, ScriptCall, load_script

JOB_TRANSITION = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "job_transition")
JOB_LOG = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "job_log")

EVENTS_LOG_LENGTH: Final = 100_000
"""About how many outcome and start events a domain's durable log keeps."""

MAX_TEXT_LENGTH: Final = 10_000
"""How many characters of a message are told. An event has to fit what readers take (1 MiB)."""

MAX_RESULT_ID_LENGTH: Final = 1_000

MAX_LOG_LENGTH: Final = 1_000
"""How many characters of a handler's line are kept in its job's log."""

CANCELLED_MESSAGE: Final = "cancelled"
"""What the `failed` event of a cancelled job says; V1 has no event of its own for it."""

Step = Literal["started", "progress", "completed", "failed", "retried", "renewed", "cancelled", "rerun"]
LogLevel = Literal["info", "warning", "error"]

LEASE_FIELDS: Final = ("locked_by", "locked_until")
OUTCOME_FIELDS: Final = ("error", "error_kind", "result_id", "result_bytes", "finished_at")
GUARD_EXPIRED: Final = "expired"
GUARD_ANYONE: Final = "anyone"


class Applied(TypedDict):
    """The record after a step: its status, attempts begun so far, and the run it is in."""

    status: str
    attempt_count: int
    run: int


class JobIdentity(TypedDict):
    """Which job, and where its events go."""

    domain: JobDomain
    job_id: str
    user_id: int
    queue_name: str
    events_channel: str


class Lease(TypedDict):
    """Who runs the job and until when nobody else may."""

    token: str
    until: datetime


def guard_lease(token: str) -> str:
    """The step is allowed while the record's lease is `token` ("" for: under no lease)."""
    return f"lease:{token}"


def guard_attempt(run: int, attempt: int) -> str:
    """The start is allowed while the record waits for this attempt of this run (both count from 1)."""
    return f"attempt:{run}:{attempt}"


def guard_run(run: int) -> str:
    """The step is allowed while the record is in this run (from 1)."""
    return f"run:{run}"


def bounded_text(text: str, limit: int = MAX_TEXT_LENGTH) -> str:
    """Return a text that fits an event: not too long, and no half characters (a file name may bring some)."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"


class TransitionBuilder:
    """Makes the script calls of one job. Holds no connection.

    Args:
        identity: Which job.
        clock: Where "now" comes from.
        retention: How long the record stays after its outcome.
    """

    def __init__(self, identity: JobIdentity, *, clock: Clock, retention: timedelta) -> None:
        self._identity = identity
        self._clock = clock
        self._retention_ms = int(retention.total_seconds() * 1000)

    def started(self, *, guard: str, transition_id: str, lease: Lease | None) -> ScriptCall:
        """The job begins an attempt; `lease` is None for a job that runs without one."""
        event = make_started_event(
            domain=self._identity["domain"],
            job_id=self._identity["job_id"],
            user_id=self._identity["user_id"],
            queue=self._identity["queue_name"],
        )
        now = self._clock.now()
        fields = {
            "started_at": to_iso(now), "attempt_started_at": to_iso(now), "updated_at": to_iso(now),
            "attempt_count": "+1", "progress": "0",
        }  # fmt: skip
        if lease is not None:
            fields |= _lease_fields(lease)
        return self._call(
            "started", guard=guard, transition_id=transition_id, event=encode_job_event(event), fields=fields,
            absent=("run_after", "queued_ms"), log="started",
        )  # fmt: skip

    def progress(
        self, percent: int, message: str | None, payload: JsonValue, *, guard: str, transition_id: str
    ) -> ScriptCall:
        """The job is `percent` (0 to 100) done. Live only: it does not enter the durable log."""
        message = None if message is None else bounded_text(message)
        event = make_progress_event(
            domain=self._identity["domain"],
            job_id=self._identity["job_id"],
            user_id=self._identity["user_id"],
            progress=percent,
            message=message,
            payload=payload,
        )
        fields = {"progress": str(percent), "updated_at": to_iso(self._clock.now())}
        if message is not None:
            fields["message"] = message
        text = encode_job_event(event)
        if len(text.encode()) > MAX_MESSAGE_BYTES:
            raise DecodeError("$.payload", f"at most {MAX_MESSAGE_BYTES} bytes", "more")
        return self._call(
            "progress", guard=guard, transition_id=transition_id, event=text,
            fields=fields, log="" if message is None else f"{percent} %: {message}",
        )  # fmt: skip

    def completed(self, *, result_id: str, result_bytes: int, guard: str, transition_id: str) -> ScriptCall:
        """The job is done; its result is stored under `result_id` and has `result_bytes` bytes."""
        if len(result_id) > MAX_RESULT_ID_LENGTH:
            raise DecodeError("$.result_id", f"at most {MAX_RESULT_ID_LENGTH} characters", "str")
        event = make_completed_event(
            domain=self._identity["domain"],
            job_id=self._identity["job_id"],
            user_id=self._identity["user_id"],
            result_id=result_id,
            result_bytes=result_bytes,
        )
        now = to_iso(self._clock.now())
        return self._call(
            "completed", guard=guard, transition_id=transition_id, event=encode_job_event(event),
            fields={
                "progress": "100", "result_id": result_id, "result_bytes": str(result_bytes),
                "finished_at": now, "updated_at": now,
            },
            absent=(*LEASE_FIELDS, "error", "error_kind"), log=f"completed, result of {result_bytes} bytes",
        )  # fmt: skip

    def failed(self, kind: ErrorKind, message: str, *, guard: str, transition_id: str) -> ScriptCall:
        """The job has failed for good: `user` when the input was at fault, `system` otherwise."""
        message = bounded_text(message)
        event = make_failed_event(
            domain=self._identity["domain"],
            job_id=self._identity["job_id"],
            user_id=self._identity["user_id"],
            error_kind=kind,
            message=message,
        )
        now = to_iso(self._clock.now())
        return self._call(
            "failed", guard=guard, transition_id=transition_id, event=encode_job_event(event),
            fields={"error": message, "error_kind": kind, "finished_at": now, "updated_at": now},
            absent=LEASE_FIELDS, log=f"failed ({kind}): {message}", level="error",
        )  # fmt: skip

    def retried(self, message: str, *, run_after: datetime, guard: str, transition_id: str) -> ScriptCall:
        """An attempt failed and another one will follow at `run_after`. No event: nothing is final yet."""
        return self._call(
            "retried", guard=guard, transition_id=transition_id, event="",
            fields={
                "error": message, "run_after": to_iso(run_after), "updated_at": to_iso(self._clock.now()),
                "locked_until_ms": "0",
            },
            absent=LEASE_FIELDS, log=f"attempt failed, again at {run_after:%Y-%m-%d %H:%M:%S} UTC: {message}",
            level="warning",
        )  # fmt: skip

    def cancelled(self, *, transition_id: str) -> ScriptCall:
        """Somebody does not want the job any more, whether it waits or runs. V1 consumers hear `failed`."""
        event = make_failed_event(
            domain=self._identity["domain"],
            job_id=self._identity["job_id"],
            user_id=self._identity["user_id"],
            error_kind="user",
            message=CANCELLED_MESSAGE,
        )
        now = to_iso(self._clock.now())
        return self._call(
            "cancelled", guard=GUARD_ANYONE, transition_id=transition_id, event=encode_job_event(event),
            fields={"error": CANCELLED_MESSAGE, "error_kind": "user", "finished_at": now, "updated_at": now},
            absent=(*LEASE_FIELDS, "run_after"), log="cancelled", level="warning",
        )  # fmt: skip

    def rerun(self, *, run: int) -> ScriptCall:
        """Somebody wants a failed or cancelled job to run again, as run number `run`. No event: it waits.

        The transition id is made of the run: two who ask at once have asked for one and the same run.
        """
        return self._call(
            "rerun", guard=guard_run(run - 1), transition_id=f"rerun:{run}", event="",
            fields={
                "run": str(run), "attempt_count": "0", "progress": "0",
                "updated_at": to_iso(self._clock.now()),
            },
            absent=(*LEASE_FIELDS, *OUTCOME_FIELDS, "message", "started_at", "run_after"),
            log=f"run {run} was asked for",
        )  # fmt: skip

    def log_line(self, message: str, level: LogLevel, *, token: str) -> ScriptCall:
        """A line for the job's log, from whoever holds its lease."""
        return {
            "script": JOB_LOG,
            "keys": [job_key(self._identity["domain"], self._identity["job_id"])],
            "args": [token, level, bounded_text(message, MAX_LOG_LENGTH)],
        }

    def renewed(self, lease: Lease, *, transition_id: str) -> ScriptCall:
        """The worker still works on it: its lease ends later."""
        return self._call(
            "renewed", guard=guard_lease(lease["token"]), transition_id=transition_id, event="",
            fields=_lease_fields(lease), log="",
        )  # fmt: skip

    def _call(
        self,
        step: Step,
        *,
        guard: str,
        transition_id: str,
        event: str,
        fields: Mapping[str, str],
        log: str,
        level: LogLevel = "info",
        absent: Sequence[str] = (),
    ) -> ScriptCall:
        domain, job_id = self._identity["domain"], self._identity["job_id"]
        pairs = [part for pair in fields.items() for part in pair]
        return {
            "script": JOB_TRANSITION,
            "keys": [job_key(domain, job_id), default_events_log(domain)],
            "args": [
                domain, job_id, step, str(to_millis(self._clock.now())), str(self._retention_ms),
                guard, transition_id, event, self._identity["events_channel"], str(EVENTS_LOG_LENGTH),
                level, log, str(len(fields)), *pairs, *absent,
            ],
        }  # fmt: skip


def _lease_fields(lease: Lease) -> dict[str, str]:
    return {
        "locked_by": lease["token"],
        "locked_until": to_iso(lease["until"]),
        "locked_until_ms": str(to_millis(lease["until"])),
    }


def read_reply(reply: Sequence[str], *, step: Step, job_id: str) -> Applied:
    """Return the record after the step, or raise what the script refused it for (`raise_if_refused`)."""
    raise_if_refused(reply, step=step, job_id=job_id)
    return {"status": reply[1], "attempt_count": int(reply[2]), "run": int(reply[3])}


def raise_if_refused(reply: Sequence[str], *, step: Step | Literal["log"], job_id: str) -> None:
    """Read the first word of a script's reply.

    Raises:
        JobNotFoundError: There is no record.
        OutcomeAlreadyRecordedError: The job has its outcome.
        LeaseLostError: The lease is not the caller's.
        StaleAttemptError: The record does not wait for this attempt, or is in another run.
        TransitionRefusedError: The step does not follow from the record's status.
    """
    verdict = reply[0]
    if verdict == "ok":
        return
    if verdict == "missing":
        raise JobNotFoundError(f"there is no record of job {job_id}")
    status = reply[1]
    text = f"job {job_id}: `{step}` refused"
    if verdict == "final":
        raise OutcomeAlreadyRecordedError(f"{text}, its outcome is `{status}` already", status=status)
    if verdict == "lease":
        raise LeaseLostError(f"{text}, its lease is not held by this worker", status=status)
    if verdict == "stale":
        raise StaleAttemptError(f"{text}, it does not wait for this attempt", status=status)
    raise TransitionRefusedError(f"{text}, its status is `{status}`", status=status)
