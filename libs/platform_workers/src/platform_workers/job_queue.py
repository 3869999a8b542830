"""Handing attempts to RQ: each attempt of a job is one RQ job, enqueued in one transaction with the record.

RQ stays the engine (queues, workers, timeouts, the scheduler for later starts). An attempt's RQ job id is
made from domain, job, run and attempt, so a repeat overwrites itself, and the record decides whether a
delivered attempt is still wanted (`guard_attempt`). See docs/adr/0003.
"""

from datetime import datetime
from typing import Final, Protocol, TypedDict

from platform_core.job_events import JobDomain
from rq import Queue

from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient, run_in_transaction

ATTEMPT_FUNCTION: Final = "platform_workers.rq_harness.run_attempt"

# RQ's own record of an attempt is of no use once the attempt has ended: the platform's record has it all.
_RESULT_TTL_SECONDS: Final = 60
_FAILURE_TTL_SECONDS: Final = 24 * 3600


class AttemptTicket(TypedDict):
    """One attempt, as it waits in the queue.

    Attributes:
        domain: The job's domain.
        job_id: The job.
        run: Which run of the job (1 is the first; a retry by hand makes the next).
        attempt: Which attempt within the run, 1 is the first.
        timeout_seconds: How long the attempt may take.
        urgent: True puts it in front of the queue.
    """

    domain: JobDomain
    job_id: str
    run: int
    attempt: int
    timeout_seconds: int
    urgent: bool


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


def attempt_id(ticket: AttemptTicket) -> str:
    """Return the RQ job id of an attempt; the same attempt always has the same id."""
    return f"{ticket['domain']}-{ticket['job_id']}-{ticket['run']}-{ticket['attempt']}"


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
        with run_in_transaction(self._redis, alongside, unless=unless) as transaction:
            job = self._queue.create_job(
                ATTEMPT_FUNCTION,
                args=arguments,
                job_id=attempt_id(ticket),
                timeout=ticket["timeout_seconds"],
                result_ttl=_RESULT_TTL_SECONDS,
                failure_ttl=_FAILURE_TTL_SECONDS,
                description=f"{ticket['domain']} job {ticket['job_id']}, attempt {ticket['attempt']}",
            )
            if run_at is None:
                self._queue.enqueue_job(job, pipeline=transaction.pipeline, at_front=ticket["urgent"])
            else:
                self._queue.schedule_job(job, run_at, pipeline=transaction.pipeline)
        return transaction.reply
