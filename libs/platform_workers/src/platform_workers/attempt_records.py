"""A job's record as those see it who run and settle its attempts: read, with its context and its lease."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypedDict

from platform_core.clock import Clock
from platform_core.errors import DecodeError
from platform_core.job_types import JobRecord, job_key
from platform_core.logging import Logger

from platform_workers.errors import TransitionRefusedError
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_context import JobContext, make_job_context, new_token
from platform_workers.job_queue import JobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import parse_int_field
from platform_workers.job_transitions import Lease, guard_attempt, guard_lease
from platform_workers.redis import RedisClient

LEASE_DURATION: Final = timedelta(seconds=45)
"""How long a worker may be silent before its job is given away; it renews every two seconds."""


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


class AttemptRecords:
    """The records of the jobs whose attempts a worker process runs and settles."""

    def __init__(self, environment: AttemptEnvironment) -> None:
        self._env = environment
        self._logger = environment["logger"]

    def lease_token(self, run: int, attempt: int) -> str:
        """Return the name under which this worker holds an attempt's lease."""
        return f"{self._env['worker_name']}:{run}:{attempt}"

    def load(self, job_id: str) -> JobRecord | None:
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

    def context_of(self, record: JobRecord, token: str) -> JobContext:
        """Return the context of a record under a lease ("" for none)."""
        return self.context(record["job_id"], record["user_id"], record["queue"], token)

    def context(self, job_id: str, user_id: int, queue_name: str, token: str) -> JobContext:
        """Return the context of a job whose record was not read, under a lease ("" for none)."""
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

    def lease(self, token: str) -> Lease:
        """Return a lease that begins now."""
        return {"token": token, "until": self._env["clock"].now() + LEASE_DURATION}

    def begin(self, context: JobContext, run: int, attempt: int) -> None:
        """Begin an attempt under this worker's lease; raises as `JobContext` does."""
        token = self.lease_token(run, attempt)
        call = context.builder.started(
            guard=guard_attempt(run, attempt), transition_id=f"{token}:started", lease=self.lease(token)
        )
        context.apply("started", call)

    def _fail_unreadable(self, job_id: str, fault: str) -> None:
        domain = self._env["registry"].domain
        raw = self._env["redis"].hgetall(job_key(domain, job_id))
        try:
            user_id = parse_int_field(raw, "user_id")
        except DecodeError:
            user_id = 0
        token = raw.get("locked_by", "")
        context = self.context(job_id, user_id, self._env["queue"].name, token)
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
