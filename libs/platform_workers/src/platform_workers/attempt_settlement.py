"""How an attempt ends: with the job's outcome or its next attempt, also where its process has died.

Killed at any step, the record stays true: it is under a lease that runs out, and then `reap_expired` of any
worker gives the job its next attempt or its failure.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal, TypedDict, final

from platform_core.clock import to_millis
from platform_core.job_events import ErrorKind
from platform_core.job_types import JobRecord, job_key

from platform_workers.attempt_records import AttemptEnvironment, AttemptRecords
from platform_workers.errors import (
    KeyTakenError,
    RedisCommandError,
    RedisUnavailableError,
    TransitionRefusedError,
)
from platform_workers.handlers import JobResult
from platform_workers.job_context import JobContext
from platform_workers.job_queue import AttemptTicket
from platform_workers.job_transitions import (
    GUARD_EXPIRED,
    TransitionBuilder,
    bounded_text,
    guard_lease,
    read_reply,
)
from platform_workers.lua_scripts import SCRIPTS, load_script

LEASE_DROP: Final = load_script(SCRIPTS, "lease_drop")

MAX_MESSAGE_LENGTH: Final = 500
"""How many characters of a handler's fault are told; a person reads them."""

MAX_BACKOFF_SECONDS: Final = 3600.0

# How long an attempt's end is tried again while Redis is away, and the pauses between (seconds).
_SETTLE_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, *([10.0] * 30))

_RANDOM: Final = random.SystemRandom()


@final
class Fault(TypedDict):
    """Why an attempt failed, and whether another one may help."""

    kind: ErrorKind
    message: str
    may_retry: bool


def backoff_seconds(base: float, attempt: int, jitter: float) -> float:
    """Return the pause after failed attempt number `attempt`: doubling, at most an hour, +-20 %.

    Args:
        base: Pause after the first attempt, in seconds.
        attempt: The attempt that failed, from 1.
        jitter: A random number from 0 to 1.
    """
    pause = min(base * 2.0 ** min(attempt - 1, 20), MAX_BACKOFF_SECONDS)
    return pause * (0.8 + 0.4 * jitter)


def random_jitter() -> float:
    """Return a random number from 0 to 1."""
    return _RANDOM.random()


def system_fault(message: str) -> Fault:
    """Return a fault that another attempt may mend."""
    return {"kind": "system", "message": bounded_text(message, MAX_MESSAGE_LENGTH), "may_retry": True}


class AttemptSettlement:
    """Settles attempts. One instance a worker process."""

    def __init__(self, environment: AttemptEnvironment, records: AttemptRecords) -> None:
        self._env = environment
        self._records = records
        self._logger = environment["logger"]

    def settle(
        self,
        record: JobRecord,
        context: JobContext,
        attempt: int,
        outcome: JobResult | Fault,
        token: str | None,
        *,
        at_once: bool = False,
    ) -> None:
        """Write an attempt's end: the outcome, or the next attempt.

        Args:
            record: The job as it was when the attempt began.
            context: The job's context.
            attempt: The attempt that ended.
            outcome: How it ended.
            token: The lease it ran under; None when that lease has run out and anybody may settle it.
            at_once: True for a next attempt without a pause.
        """
        guard = GUARD_EXPIRED if token is None else guard_lease(token)
        # The same for every try of this settlement, so that one repeated after a lost answer is recognised.
        transition_id = f"{token or 'reaper'}:{record['run']}:{attempt}:settled"
        builder = context.builder
        if "result_id" in outcome:
            call = builder.completed(
                result_id=outcome["result_id"],
                result_bytes=outcome["result_bytes"],
                guard=guard,
                transition_id=transition_id,
            )
            context.apply("completed", call)
            became = "completed"
        elif outcome["may_retry"] and attempt < record["max_attempts"]:
            pause = 0.0 if at_once else self._pause_after(record, attempt)
            self._enqueue_next(record, builder, attempt, outcome["message"], guard, transition_id, pause)
            became = "queued"
        else:
            call = builder.failed(
                outcome["kind"], outcome["message"], guard=guard, transition_id=transition_id
            )
            context.apply("failed", call)
            became = "failed"
        self._logger.info(
            "worker.attempt_ended",
            job_id=record["job_id"],
            job_type=record["job_type"],
            attempt=attempt,
            became=became,
        )

    def patiently(self, settle: Callable[[], None]) -> None:
        """Settle, waiting for Redis where it is away or a key is taken; the last try's error is raised."""
        for pause in _SETTLE_PAUSES:
            try:
                settle()
            except RedisUnavailableError as error:
                self._logger.warning("worker.redis_away", error=str(error), wait_seconds=pause)
            except KeyTakenError as error:
                # Somebody may move that key away in time.
                self._logger.error("worker.key_taken", error=str(error), wait_seconds=pause)
            else:
                return
            self._env["wait"](pause)
        settle()

    def settle_dead(self, job_id: str, run: int, attempt: int, reason: str, *, at_once: bool = False) -> None:
        """Give an attempt whose process has ended its next attempt or its failure, if it has none yet.

        Args:
            job_id: The job.
            run: The run of the job.
            attempt: The attempt.
            reason: What is said of it.
            at_once: True for a next attempt without a pause: the pause is kept by the engine's scheduler,
                which may have died with the worker.
        """
        record = self._records.load(job_id)
        if record is None or record["run"] != run:
            return
        token = self._records.lease_token(run, attempt)
        never_began = record["status"] == "queued" and record["attempt_count"] == attempt - 1
        if not never_began and record.get("locked_by") != token:
            return
        context = self._records.context_of(record, token)
        try:
            if never_began:
                # It died before it began: count the attempt, or one that always dies would never end.
                self._records.begin(context, run, attempt)
            self.settle(record, context, attempt, system_fault(reason), token, at_once=at_once)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_settled_elsewhere", job_id=job_id, reason=str(error))

    def reap_expired(self, *, limit: int = 100) -> int:
        """Settle jobs whose worker has been silent for longer than its lease.

        Leases under which nobody runs a job any more are taken away, and those that cannot be settled for now
        are passed over: left in front, either would hide the others.

        Args:
            limit: At most how many to settle or to take away.

        Returns:
            How many were settled.
        """
        leases = f"{self._env['registry'].domain}:jobs:leases:{self._env['queue'].name}"
        last = to_millis(self._env["clock"].now()) - 1
        settled = dropped = left = 0
        while settled + dropped < limit:
            page = self._env["redis"].zrange_with_scores(
                leases, 0, last, offset=left, limit=limit - settled - dropped
            )
            if not page:
                break
            for job_id, _ in page:
                match self._reap(leases, job_id):
                    case "settled":
                        settled += 1
                    case "dropped":
                        dropped += 1
                    case _:
                        left += 1
        return settled

    def _reap(self, leases: str, job_id: str) -> Literal["settled", "dropped", "left"]:
        try:
            record = self._records.load(job_id)
            if record is not None and record["status"] == "processing" and self._give_away(record):
                return "settled"
            reply = self._env["redis"].run_script(
                {
                    "script": LEASE_DROP,
                    "keys": [leases, job_key(self._env["registry"].domain, job_id)],
                    "args": [job_id, self._env["queue"].name, str(to_millis(self._env["clock"].now()))],
                }
            )
        except RedisCommandError as error:
            self._logger.error("worker.lease_not_settled", job_id=job_id, error=str(error))
            return "left"
        return "dropped" if reply[0] == "dropped" else "left"

    def _give_away(self, record: JobRecord) -> bool:
        fault = system_fault("the worker that ran it stopped answering")
        context = self._records.context_of(record, "")
        try:
            self.settle(record, context, record["attempt_count"], fault, token=None, at_once=True)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_settled_elsewhere", job_id=record["job_id"], reason=str(error))
            return False
        self._logger.warning("worker.lease_expired", job_id=record["job_id"])
        return True

    def _pause_after(self, record: JobRecord, attempt: int) -> float:
        base = self._env["registry"].limits_of(record["job_type"])["backoff_seconds"]
        return backoff_seconds(base, attempt, self._env["jitter"]())

    def _enqueue_next(
        self,
        record: JobRecord,
        builder: TransitionBuilder,
        attempt: int,
        message: str,
        guard: str,
        transition_id: str,
        pause: float,
    ) -> None:
        run_after = self._env["clock"].now() + timedelta(seconds=pause)
        ticket: AttemptTicket = {
            "domain": self._env["registry"].domain,
            "job_id": record["job_id"],
            "run": record["run"],
            "attempt": attempt + 1,
            "timeout_seconds": self._env["registry"].limits_of(record["job_type"])["timeout_seconds"],
            "priority": record["priority"],
        }
        # With the script refused (another settled it first), the attempt is in the queue all the same: either
        # the same one as the other's, or one that the record does not wait for.
        run_at = None if pause == 0 else run_after
        call = builder.retried(message, run_after=run_after, guard=guard, transition_id=transition_id)
        reply = self._env["queue"].enqueue(ticket, call, run_at=run_at)
        read_reply(reply, step="retried", job_id=record["job_id"])
