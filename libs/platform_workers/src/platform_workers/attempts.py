"""One attempt of a job from start to settlement, without RQ: what runs inside the worker.

Killed at any step, the record stays true: before `started` it waits in the queue, afterwards it is under a
lease that runs out (`attempt_settlement`).
"""

import traceback

from platform_core.errors import DecodeError, JobUserError
from platform_core.job_events import encode_job_event, make_completed_event
from platform_core.job_types import JobRecord, job_key

from platform_workers.attempt_records import LEASE_DURATION, AttemptEnvironment, AttemptRecords
from platform_workers.attempt_run import AttemptRun
from platform_workers.attempt_settlement import (
    MAX_BACKOFF_SECONDS,
    MAX_MESSAGE_LENGTH,
    AttemptSettlement,
    Fault,
    backoff_seconds,
    random_jitter,
    system_fault,
)
from platform_workers.errors import JobNotFoundError, TransitionRefusedError, UnknownJobTypeError
from platform_workers.handlers import BoundHandler, JobResult
from platform_workers.job_context import JobContext, new_token
from platform_workers.job_transitions import bounded_text

__all__ = [
    "LEASE_DURATION",
    "MAX_BACKOFF_SECONDS",
    "MAX_MESSAGE_LENGTH",
    "AttemptEnvironment",
    "AttemptRunner",
    "Fault",
    "backoff_seconds",
    "random_jitter",
]


class AttemptRunner:
    """Runs attempts and settles them. One instance a worker process."""

    def __init__(self, environment: AttemptEnvironment) -> None:
        self._env = environment
        self._logger = environment["logger"]
        self._records = AttemptRecords(environment)
        self._settlement = AttemptSettlement(environment, self._records)

    @property
    def environment(self) -> AttemptEnvironment:
        """What the runner was made with."""
        return self._env

    def run(self, job_id: str, run: int, attempt: int) -> None:
        """Run one attempt to its end: completed, failed, or back in the queue.

        An attempt the record does not wait for (a repeat, a leftover, a job that has its outcome) is logged
        and left alone.

        Raises:
            JobCancelledError: The job was given away, or ended, meanwhile; the record says what became of it.
        """
        record = self._records.load(job_id)
        if record is None:
            return
        token = self._records.lease_token(run, attempt)
        context = self._records.context_of(record, token)
        try:
            self._records.begin(context, run, attempt)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_not_wanted", job_id=job_id, reason=str(error))
            return
        try:
            outcome = self._handle(record, context, attempt)
            self._settlement.patiently(
                lambda: self._settlement.settle(record, context, attempt, outcome, token)
            )
        except TransitionRefusedError as error:
            self._logger.warning("worker.outcome_refused", job_id=job_id, reason=str(error))

    def settle_dead(self, job_id: str, run: int, attempt: int, reason: str, *, at_once: bool = False) -> None:
        """Settle an attempt whose process has ended; see `AttemptSettlement.settle_dead`."""
        self._settlement.settle_dead(job_id, run, attempt, reason, at_once=at_once)

    def renew(self, job_id: str, run: int, attempt: int) -> bool:
        """Keep the job for this worker.

        Returns:
            False when the lease is lost: the job was cancelled or is another's now, and its handler should
            be stopped. True also before the attempt has begun: then there is no lease yet.
        """
        token = self._records.lease_token(run, attempt)
        # The record is not read for this: it may be large, and every busy worker asks every two seconds.
        context = self._records.context(job_id, 0, self._env["queue"].name, token)
        call = context.builder.renewed(self._records.lease(token), transition_id=new_token())
        try:
            context.apply("renewed", call)
        except (TransitionRefusedError, JobNotFoundError) as error:
            if self._may_still_begin(job_id, run, attempt):
                return True
            self._logger.warning("worker.lease_not_renewed", job_id=job_id, reason=str(error))
            return False
        return True

    def reap_expired(self, *, limit: int = 100) -> int:
        """Settle jobs whose worker has been silent for longer than its lease; return how many were."""
        return self._settlement.reap_expired(limit=limit)

    def _may_still_begin(self, job_id: str, run: int, attempt: int) -> bool:
        """Tell whether the record waits for this attempt, or has just got its lease.

        A server that stood still for seconds, or a busy machine, holds up what a horse does before it begins.
        """
        key = job_key(self._env["registry"].domain, job_id)
        raw = self._env["redis"].hmget(key, ("status", "run", "attempt_count", "locked_by"))
        waits = {"status": "queued", "run": str(run), "attempt_count": str(attempt - 1)}
        return raw == waits or raw.get("locked_by") == self._records.lease_token(run, attempt)

    def _handle(self, record: JobRecord, context: JobContext, attempt: int) -> JobResult | Fault:
        """Run the handler; its result, or why it failed.

        Raises:
            JobCancelledError: The job was given away, or ended, meanwhile.
        """
        job_id = record["job_id"]
        bound = self._bind(record)
        if not callable(bound):
            return bound
        try:
            result = bound(AttemptRun(context, attempt=attempt, logger=self._logger))
            _check_result(record, context, result)
            return result
        except JobUserError as error:
            return {
                "kind": "user",
                "message": bounded_text(str(error), MAX_MESSAGE_LENGTH),
                "may_retry": False,
            }
        except self._env["timeout_error"]:
            limit = self._env["registry"].get(record["job_type"])["limits"]["timeout_seconds"]
            self._logger.error("worker.attempt_timed_out", job_id=job_id, timeout_seconds=limit)
            return system_fault(f"it took longer than {limit} seconds")
        except Exception as error:  # the worker's boundary: whatever a handler raises must end as an outcome
            self._logger.error(
                "worker.handler_failed",
                job_id=job_id,
                job_type=record["job_type"],
                traceback=traceback.format_exc(),
            )
            return system_fault(f"{type(error).__name__}: {error}")

    def _bind(self, record: JobRecord) -> BoundHandler | Fault:
        try:
            return self._env["registry"].get(record["job_type"])["bind"](record["payload"])
        except (UnknownJobTypeError, DecodeError) as error:
            # Another attempt would find the same: this worker's code does not fit the job.
            self._logger.error("worker.job_not_understood", job_id=record["job_id"], error=str(error))
            return {
                "kind": "system",
                "message": bounded_text(str(error), MAX_MESSAGE_LENGTH),
                "may_retry": False,
            }


def _check_result(record: JobRecord, context: JobContext, result: JobResult) -> None:
    """Make sure the result can be told as an event.

    Raises:
        DecodeError: It cannot; the error names the field.
    """
    event = make_completed_event(
        domain=context.identity["domain"],
        job_id=record["job_id"],
        user_id=record["user_id"],
        result_id=result["result_id"],
        result_bytes=result["result_bytes"],
    )
    encode_job_event(event)
