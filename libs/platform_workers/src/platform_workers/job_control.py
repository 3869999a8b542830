"""What a person does to a job from outside its worker: cancel it, or have it run again.

```python
control = make_job_control(redis=redis)
control.cancel(job_domain("turkic"), job_id)
control.rerun(job_domain("turkic"), job_id)
```

Neither needs the handler or its registry, so any process can do it for jobs of any domain. Killed at any
step, the record is true: a cancelled job's worker finds out at its next renewal, and a run that was asked for
is in the queue in the same transaction.
"""

from collections.abc import Callable, Mapping

from platform_core.clock import Clock, SystemClock
from platform_core.job_events import JobDomain, default_events_channel
from platform_core.job_types import is_outcome, job_key
from platform_core.logging import Logger, get_logger

from platform_workers.errors import (
    JobNotFoundError,
    OutcomeAlreadyRecordedError,
    RedisUnavailableError,
    TransitionRefusedError,
)
from platform_workers.handlers import DEFAULT_LIMITS
from platform_workers.job_context import JobContext, make_job_context, new_token
from platform_workers.job_queue import AttemptTicket, JobQueue, RqJobQueue
from platform_workers.job_record_store import parse_priority
from platform_workers.job_store import check_job_id, parse_int_field, parse_status, required_str
from platform_workers.job_transitions import Applied, read_reply
from platform_workers.redis import RedisClient

_FIELDS = (
    "status", "user_id", "run", "attempt_count", "queue", "priority", "timeout_seconds",
)  # fmt: skip
# What an older record, or one of a team's own, may leave out.
_DEFAULTS: Mapping[str, str] = {
    "run": "1",
    "attempt_count": "0",
    "priority": "normal",
    "timeout_seconds": str(DEFAULT_LIMITS["timeout_seconds"]),
}


class JobControl:
    """Cancels jobs and runs them again. Thread-safe.

    Both methods raise `JobNotFoundError` without a record, `DecodeError` when a field that is needed is
    missing or invalid (it names the field), and `RedisUnavailableError` when Redis does not answer; then it
    is unknown whether the step was made, and asking again does no harm.

    Args:
        redis: The connection.
        queue_of: Returns the queue of a name.
        clock: Where "now" comes from.
        logger: Where the operator reads.
    """

    def __init__(
        self, *, redis: RedisClient, queue_of: Callable[[str], JobQueue], clock: Clock, logger: Logger
    ) -> None:
        self._redis = redis
        self._queue_of = queue_of
        self._clock = clock
        self._logger = logger

    def cancel(self, domain: JobDomain, job_id: str) -> Applied:
        """Cancel a job that waits or runs; one that is cancelled already stays so.

        The record says `cancelled` when this returns, and nothing that its handler still does counts. A
        handler that runs is told to stop, and has a few seconds to clean up.

        Raises:
            OutcomeAlreadyRecordedError: The job has completed or failed.
        """
        raw = self._read(domain, job_id)
        context = self._context(domain, job_id, raw)
        found: Applied = {
            "status": "cancelled",
            "attempt_count": parse_int_field(raw, "attempt_count"),
            "run": parse_int_field(raw, "run"),
        }
        try:
            applied = context.apply("cancelled", context.builder.cancelled(transition_id=new_token()))
        except OutcomeAlreadyRecordedError as error:
            if error.status != "cancelled":
                raise
            # Asked for once more, perhaps because the first answer was lost: its worker is told once more.
            applied = found
        if "queue" in raw:
            self._withdraw(self._queue_of(raw["queue"]), domain, job_id, applied)
        return applied

    def rerun(self, domain: JobDomain, job_id: str) -> Applied:
        """Put a failed or cancelled job back into its queue as its next run, with all its attempts.

        The run's outcome is published and notified like the first one's.

        Raises:
            TransitionRefusedError: The job has completed, or it waits or runs already.
        """
        raw = self._read(domain, job_id)
        run = parse_int_field(raw, "run") + 1
        status = parse_status(raw)
        if status == "completed" or not is_outcome(status):
            # Looked at before, because what is written along with the script enters the queue even if the
            # script refuses. Should the record move between this look and the script, then somebody else has
            # just asked for this run, and its first attempt is in the queue twice (it begins once), or the
            # record has expired, and the worker that finds none passes the attempt over.
            raise TransitionRefusedError(f"job {job_id} is `{status}`: it cannot be run again", status=status)
        ticket: AttemptTicket = {
            "domain": domain,
            "job_id": job_id,
            "run": run,
            "attempt": 1,
            "timeout_seconds": parse_int_field(raw, "timeout_seconds"),
            "priority": parse_priority(raw),
        }
        call = self._context(domain, job_id, raw).builder.rerun(run=run)
        reply = self._queue_of(required_str(raw, "queue")).enqueue(ticket, call, run_at=None)
        return read_reply(reply, step="rerun", job_id=job_id)

    def _read(self, domain: JobDomain, job_id: str) -> dict[str, str]:
        """Return the fields that matter here; the record may be large, or a team's own."""
        check_job_id(job_id)
        raw = self._redis.hmget(job_key(domain, job_id), _FIELDS)
        if not raw:
            raise JobNotFoundError(f"there is no record of job {job_id}")
        return {**_DEFAULTS, **raw}

    def _context(self, domain: JobDomain, job_id: str, raw: Mapping[str, str]) -> JobContext:
        return make_job_context(
            redis=self._redis,
            domain=domain,
            events_channel=default_events_channel(domain),
            job_id=job_id,
            user_id=parse_int_field(raw, "user_id"),
            queue_name=raw.get("queue", ""),
            clock=self._clock,
        )

    def _withdraw(self, queue: JobQueue, domain: JobDomain, job_id: str, applied: Applied) -> None:
        """Take the job's attempts back: the one that runs, or the one that waits."""
        try:
            for attempt in (applied["attempt_count"], applied["attempt_count"] + 1):
                queue.withdraw(
                    {"domain": domain, "job_id": job_id, "run": applied["run"], "attempt": attempt}
                )
        except RedisUnavailableError as error:
            self._logger.warning("jobs.attempt_not_withdrawn", job_id=job_id, error=str(error))


def make_job_control(*, redis: RedisClient, clock: Clock | None = None) -> JobControl:
    """Return a control of the jobs on RQ.

    Args:
        redis: The connection.
        clock: Where "now" comes from; the system's clock by default.
    """
    return JobControl(
        redis=redis,
        queue_of=lambda name: RqJobQueue(redis=redis, name=name),
        clock=SystemClock() if clock is None else clock,
        logger=get_logger("platform_workers.job_control"),
    )
