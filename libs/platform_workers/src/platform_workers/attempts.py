"""One attempt of a job from start to settlement, without RQ.

What runs inside the worker, and what puts right an attempt whose process died.

Killed at any step, the record stays true: before `started` it waits in the queue, afterwards it is under a
lease that runs out, and then `reap_expired` of any worker gives the job its next attempt or its failure.
"""

import random
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypedDict, final

from platform_core.clock import Clock, to_millis
from platform_core.errors import DecodeError, JobUserError
from platform_core.job_events import ErrorKind, encode_job_event, make_completed_event
from platform_core.job_types import JobRecord, job_key
from platform_core.logging import Logger

from platform_workers.attempt_run import AttemptRun
from platform_workers.errors import (
    JobCancelledError,
    JobNotFoundError,
    RedisUnavailableError,
    TransitionRefusedError,
    UnknownJobTypeError,
)
from platform_workers.handlers import BoundHandler, HandlerRegistry, JobResult
from platform_workers.job_context import JobContext, make_job_context, new_token
from platform_workers.job_queue import AttemptTicket, JobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import parse_int_field
from platform_workers.job_transitions import (
    GUARD_EXPIRED,
    Lease,
    TransitionBuilder,
    bounded_text,
    guard_attempt,
    guard_lease,
    read_reply,
)
from platform_workers.redis import RedisClient

LEASE_DURATION: Final = timedelta(seconds=45)
"""How long a worker may be silent before its job is given away; it renews every two seconds."""

MAX_MESSAGE_LENGTH: Final = 500
"""How many characters of a handler's fault are told; a person reads them."""

MAX_BACKOFF_SECONDS: Final = 3600.0

# How long an attempt's end is tried again while Redis is away, and the pauses between (seconds).
_SETTLE_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, *([10.0] * 30))


_RANDOM: Final = random.SystemRandom()


class AttemptEnvironment(TypedDict):
    """What an attempt needs from the worker process.

    Attributes:
        redis: The connection.
        store: The domain's records.
        queue: Where a next attempt goes; the worker looks after the jobs of this queue alone.
        registry: The domain's handlers.
        events_channel: Where events go.
        worker_name: Who runs it; part of the lease token.
        clock: Where "now" comes from.
        wait: Pauses for so many seconds (used only while Redis is away).
        jitter: Returns a random number from 0 to 1, to spread retries.
        logger: Where the operator reads.
        timeout_error: What the engine raises inside a handler that took too long.
    """

    redis: RedisClient
    store: JobRecordStore
    queue: JobQueue
    registry: HandlerRegistry
    events_channel: str
    worker_name: str
    clock: Clock
    wait: Callable[[float], None]
    jitter: Callable[[], float]
    logger: Logger
    timeout_error: type[Exception]


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


class AttemptRunner:
    """Runs attempts and settles them. One instance a worker process."""

    def __init__(self, environment: AttemptEnvironment) -> None:
        self._env = environment
        self._logger = environment["logger"]

    @property
    def environment(self) -> AttemptEnvironment:
        """What the runner was made with."""
        return self._env

    def lease_token(self, run: int, attempt: int) -> str:
        """Return the name under which this worker holds an attempt's lease."""
        return f"{self._env['worker_name']}:{run}:{attempt}"

    def run(self, job_id: str, run: int, attempt: int) -> None:
        """Run one attempt to its end: completed, failed, or back in the queue.

        An attempt the record does not wait for (a repeat, a leftover, a job that has its outcome) is logged
        and left alone.
        """
        record = self._load(job_id)
        if record is None:
            return
        token = self.lease_token(run, attempt)
        context = self._context_of(record, token)
        try:
            self._begin(context, run, attempt)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_not_wanted", job_id=job_id, reason=str(error))
            return
        try:
            outcome = self._handle(record, context, attempt)
            self._settle_patiently(lambda: self._settle(record, context, attempt, outcome, token))
        except TransitionRefusedError as error:
            self._logger.warning("worker.outcome_refused", job_id=job_id, reason=str(error))
        except JobCancelledError as error:
            # Whoever took the job away has written what became of it; there is nothing to settle.
            self._logger.warning("worker.attempt_stopped", job_id=job_id, reason=str(error))

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
        record = self._load(job_id)
        if record is None or record["run"] != run:
            return
        token = self.lease_token(run, attempt)
        never_began = record["status"] == "queued" and record["attempt_count"] == attempt - 1
        if not never_began and record.get("locked_by") != token:
            return
        context = self._context_of(record, token)
        try:
            if never_began:
                # It died before it began: count the attempt, or one that always dies would never end.
                self._begin(context, run, attempt)
            self._settle(record, context, attempt, _system_fault(reason), token, at_once=at_once)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_settled_elsewhere", job_id=job_id, reason=str(error))

    def renew(self, job_id: str, run: int, attempt: int) -> bool:
        """Keep the job for this worker.

        Returns:
            False when the lease is lost: the job was cancelled or is another's now, and its handler should
            be stopped. True also before the attempt has begun: then there is no lease yet.
        """
        token = self.lease_token(run, attempt)
        # The record is not read for this: it may be large, and every busy worker asks every two seconds.
        context = self._context(job_id, 0, self._env["queue"].name, token)
        call = context.builder.renewed(self._lease(token), transition_id=new_token())
        try:
            context.apply("renewed", call)
        except (TransitionRefusedError, JobNotFoundError) as error:
            if self._may_still_begin(job_id, run, attempt):
                return True
            self._logger.warning("worker.lease_not_renewed", job_id=job_id, reason=str(error))
            return False
        return True

    def reap_expired(self, *, limit: int = 100) -> int:
        """Settle jobs whose worker has been silent for longer than its lease.

        Returns:
            How many were settled.
        """
        leases = f"{self._env['registry'].domain}:jobs:leases:{self._env['queue'].name}"
        now = to_millis(self._env["clock"].now())
        settled = 0
        for job_id in self._env["redis"].zrange_by_score(leases, 0, now - 1, limit=limit):
            record = self._load(job_id)
            if record is None:
                # Nobody can settle it any more; left there, such leases would hide those that can be.
                self._env["redis"].zrem(leases, job_id)
            else:
                settled += self._reap(record)
        return settled

    def _may_still_begin(self, job_id: str, run: int, attempt: int) -> bool:
        """Tell whether the record waits for this attempt, or has just got its lease.

        A server that stood still for seconds, or a busy machine, holds up what a horse does before it begins.
        """
        key = job_key(self._env["registry"].domain, job_id)
        raw = self._env["redis"].hmget(key, ("status", "run", "attempt_count", "locked_by"))
        waits = {"status": "queued", "run": str(run), "attempt_count": str(attempt - 1)}
        return raw == waits or raw.get("locked_by") == self.lease_token(run, attempt)

    def _load(self, job_id: str) -> JobRecord | None:
        """Return the record; None, with a line in the log, when it is gone or nobody can read it.

        A job whose record cannot be read is failed, because somebody waits for it.
        """
        try:
            record = self._env["store"].load(job_id)
        except DecodeError as error:
            self._logger.error("worker.record_malformed", job_id=job_id, error=str(error))
            self._fail_unreadable(job_id, str(error))
            return None
        if record is None:
            self._logger.error("worker.record_missing", job_id=job_id)
        return record

    def _fail_unreadable(self, job_id: str, fault: str) -> None:
        domain = self._env["registry"].domain
        raw = self._env["redis"].hgetall(job_key(domain, job_id))
        try:
            user_id = parse_int_field(raw, "user_id")
        except DecodeError:
            user_id = 0
        token = raw.get("locked_by", "")
        context = self._context(job_id, user_id, self._env["queue"].name, token)
        call = context.builder.failed(
            "system",
            f"the job's record cannot be read: {fault}",
            guard=guard_lease(token),
            transition_id=new_token(),
        )
        try:
            context.apply("failed", call)
        except TransitionRefusedError as error:
            self._logger.error("worker.record_beyond_repair", job_id=job_id, reason=str(error))

    def _reap(self, record: JobRecord) -> int:
        fault = _system_fault("the worker that ran it stopped answering")
        context = self._context_of(record, "")
        try:
            self._settle(record, context, record["attempt_count"], fault, token=None, at_once=True)
        except TransitionRefusedError as error:
            self._logger.info("worker.attempt_settled_elsewhere", job_id=record["job_id"], reason=str(error))
            return 0
        self._logger.warning("worker.lease_expired", job_id=record["job_id"])
        return 1

    def _context_of(self, record: JobRecord, token: str) -> JobContext:
        return self._context(record["job_id"], record["user_id"], record["queue"], token)

    def _context(self, job_id: str, user_id: int, queue_name: str, token: str) -> JobContext:
        return make_job_context(
            redis=self._env["redis"],
            domain=self._env["registry"].domain,
            events_channel=self._env["events_channel"],
            job_id=job_id,
            user_id=user_id,
            queue_name=queue_name,
            lease_token=token,
            clock=self._env["clock"],
            retention=self._env["store"].retention,
        )

    def _lease(self, token: str) -> Lease:
        return {"token": token, "until": self._env["clock"].now() + LEASE_DURATION}

    def _begin(self, context: JobContext, run: int, attempt: int) -> None:
        token = self.lease_token(run, attempt)
        call = context.builder.started(
            guard=guard_attempt(run, attempt), transition_id=f"{token}:started", lease=self._lease(token)
        )
        context.apply("started", call)

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
            return _system_fault(f"it took longer than {limit} seconds")
        except Exception as error:  # the worker's boundary: whatever a handler raises must end as an outcome
            self._logger.error(
                "worker.handler_failed",
                job_id=job_id,
                job_type=record["job_type"],
                traceback=traceback.format_exc(),
            )
            return _system_fault(f"{type(error).__name__}: {error}")

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

    def _settle(
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
        elif outcome["may_retry"] and attempt < record["max_attempts"]:
            pause = 0.0 if at_once else self._pause_after(record, attempt)
            self._enqueue_next(record, builder, attempt, outcome["message"], guard, transition_id, pause)
        else:
            call = builder.failed(
                outcome["kind"], outcome["message"], guard=guard, transition_id=transition_id
            )
            context.apply("failed", call)

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

    def _settle_patiently(self, settle: Callable[[], None]) -> None:
        """Settle, waiting for Redis where it is away; the last try's error is raised."""
        for pause in _SETTLE_PAUSES:
            try:
                settle()
            except RedisUnavailableError as error:
                self._logger.warning("worker.redis_away", error=str(error), wait_seconds=pause)
                self._env["wait"](pause)
            else:
                return
        settle()


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


def _system_fault(message: str) -> Fault:
    return {"kind": "system", "message": bounded_text(message, MAX_MESSAGE_LENGTH), "may_retry": True}
