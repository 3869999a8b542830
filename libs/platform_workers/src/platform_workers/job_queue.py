"""Handing attempts to RQ: each attempt of a job is one RQ job, enqueued in one transaction with the record.

RQ stays the engine (queues, workers, timeouts, the scheduler for later starts). An attempt's RQ job id is
made from domain, job, run and attempt, so a repeat overwrites itself, and the record decides whether a
delivered attempt is still wanted (`guard_attempt`). See docs/adr/0003; for the priorities, docs/adr/0006.
"""

from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol, TypedDict

from platform_core.job_events import JobDomain
from platform_core.job_types import JobPriority
from platform_core.queues import low_queue_name
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus

from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient, run_in_transaction, translated_errors

ATTEMPT_FUNCTION: Final = "platform_workers.rq_harness.run_attempt"

# RQ's own record of an attempt is of no use once the attempt has ended: the platform's record has it all.
_RESULT_TTL_SECONDS: Final = 60
_FAILURE_TTL_SECONDS: Final = 24 * 3600


class AttemptName(TypedDict):
    """Which attempt.

    Attributes:
        domain: The job's domain.
        job_id: The job.
        run: Which run of the job (1 is the first; a retry by hand makes the next).
        attempt: Which attempt within the run, 1 is the first.
    """

    domain: JobDomain
    job_id: str
    run: int
    attempt: int


class AttemptTicket(AttemptName):
    """One attempt, as it waits in the queue.

    Attributes:
        timeout_seconds: How long the attempt may take.
        priority: "high" goes to the front; "low" waits until nothing else does.
    """

    timeout_seconds: int
    priority: JobPriority


class JobQueue(Protocol):
    """Where attempts wait for a worker."""

    @property
    def name(self) -> str:
        """The queue's name."""

    def enqueue(
        self,
        ticket: AttemptTicket,
        alongside: ScriptCall,
        *,
        run_at: datetime | None,
        unless: str | None = None,
    ) -> list[str]:
        """Run the script and enqueue the attempt in one transaction.

        Args:
            ticket: The attempt.
            alongside: The script that moves the job's record.
            run_at: When the attempt may start; None for at once.
            unless: A key; if it is there, nothing is done.

        Returns:
            The script's reply; `["exists"]` if nothing was done because of `unless`.
        """

    def withdraw(self, name: AttemptName) -> None:
        """Take back an attempt whose record does not want it any more: out of the queue, or stopped.

        Best effort, because the record has decided already: an attempt that is delivered all the same is
        refused, and one whose worker does not hear that it shall stop finds out at its next renewal.

        Raises:
            RedisUnavailableError: Redis did not answer.
        """


def attempt_id(name: AttemptName) -> str:
    """Return the RQ job id of an attempt; the same attempt always has the same id."""
    return f"{name['domain']}-{name['job_id']}-{name['run']}-{name['attempt']}"


class RqJobQueue:
    """The real queue.

    Args:
        redis: The connection.
        name: The queue's name.
    """

    def __init__(self, *, redis: RedisClient, name: str) -> None:
        self._redis = redis
        self._name = name
        self._queue = Queue(name, connection=redis.connection)
        self._low_queue = Queue(low_queue_name(name), connection=redis.connection)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._name

    def enqueue(
        self,
        ticket: AttemptTicket,
        alongside: ScriptCall,
        *,
        run_at: datetime | None,
        unless: str | None = None,
    ) -> list[str]:
        """Run the script and enqueue the attempt in one MULTI/EXEC."""
        arguments = (ticket["domain"], ticket["job_id"], ticket["run"], ticket["attempt"])
        queue = self._low_queue if ticket["priority"] == "low" else self._queue
        with run_in_transaction(self._redis, alongside, unless=unless) as transaction:
            job = queue.create_job(
                ATTEMPT_FUNCTION,
                args=arguments,
                job_id=attempt_id(ticket),
                timeout=ticket["timeout_seconds"],
                result_ttl=_RESULT_TTL_SECONDS,
                failure_ttl=_FAILURE_TTL_SECONDS,
                description=f"{ticket['domain']} job {ticket['job_id']}, attempt {ticket['attempt']}",
            )
            # Kept with the job: RQ's scheduler looks at it when the time has come.
            job.enqueue_at_front = ticket["priority"] == "high"
            if run_at is None:
                queue.enqueue_job(job, pipeline=transaction.pipeline, at_front=job.enqueue_at_front)
            else:
                queue.schedule_job(job, run_at, pipeline=transaction.pipeline)
        return transaction.reply

    def withdraw(self, name: AttemptName) -> None:
        """Remove the attempt from RQ where it waits; where it runs, tell its worker to stop it."""
        with translated_errors():
            for queue in (self._queue, self._low_queue):
                job = queue.fetch_job(attempt_id(name))
                if job is not None:
                    self._withdraw(job)

    def _withdraw(self, job: Job) -> None:
        status = job.get_status(refresh=False)
        if status == JobStatus.STARTED:
            # Without a worker's name, or gone since: nobody is there to be told.
            with suppress(InvalidJobOperation, NoSuchJobError):
                send_stop_job_command(self._redis.connection, job.id)
        elif status in {JobStatus.QUEUED, JobStatus.SCHEDULED}:
            # A worker may have taken it a moment ago: it begins nothing, and what RQ writes about it then
            # expires like any attempt's.
            # Gone since: somebody else takes it back at the same moment.
            with suppress(InvalidJobOperation):
                self._delete(job)

    def _delete(self, job: Job) -> None:
        try:
            self._delete_whole(job)
        except ValueError:
            # RQ reads who runs it, and then looks each of them up: one was done in between. Without that list
            # there is nothing to look up.
            self._redis.connection.delete(job.execution_registry.key)
            self._delete_whole(job)

    def _delete_whole(self, job: Job) -> None:
        """Delete it in one transaction: out of its queue nobody finds the rest, which lives for ever."""
        with self._redis.connection.pipeline(transaction=True) as pipeline:
            job.delete(pipeline=pipeline)
            pipeline.execute()
