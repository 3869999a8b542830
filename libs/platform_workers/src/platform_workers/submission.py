"""Submitting a job: check everything, then write its record and enqueue its first attempt in one step."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from platform_core.clock import Clock, SystemClock
from platform_core.errors import DecodeError
from platform_core.job_types import JobPriority, JobRecord
from platform_core.json_values import JsonValue
from platform_core.notifications import decode_context, decode_notifications

from platform_workers.handlers import HandlerRegistry
from platform_workers.job_context import new_token
from platform_workers.job_queue import AttemptTicket, JobQueue, RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import raise_if_exists
from platform_workers.redis import RedisClient

MAX_USER_ID: Final = 2**63 - 1


class JobRequest(TypedDict):
    """What a caller asks for.

    Attributes:
        job_type: A registered job type.
        payload: What its handler needs; its shape is the type's own.
        user_id: Whose job it is.
        priority: "normal" when left out; "high" enters at the front of the queue.
        run_after: Not before this time.
        max_attempts: Fewer or more tries than the type's own limit; 1 or more.
        context: Who the job is for (`{"user_id": ..., "email": ...}`), stored as given.
        notifications: Who wants to hear about it and when, stored as given.
    """

    job_type: str
    payload: JsonValue
    user_id: int
    priority: NotRequired[JobPriority]
    run_after: NotRequired[datetime]
    max_attempts: NotRequired[int]
    context: NotRequired[JsonValue]
    notifications: NotRequired[JsonValue]


class JobSubmitter:
    """Submits jobs of one domain to one queue.

    Args:
        store: The domain's records.
        queue: Where attempts wait.
        registry: The job types that are known; others are refused.
        clock: Where "now" comes from.
        new_id: Makes job ids.
    """

    def __init__(
        self,
        *,
        store: JobRecordStore,
        queue: JobQueue,
        registry: HandlerRegistry,
        clock: Clock | None = None,
        new_id: Callable[[], str] = new_token,
    ) -> None:
        self._store = store
        self._queue = queue
        self._registry = registry
        self._clock = SystemClock() if clock is None else clock
        self._new_id = new_id

    def submit(self, request: JobRequest) -> JobRecord:
        """Check the request, store the job and enqueue it. Killed at any point, there is a whole job or none.

        Returns:
            The record as stored.

        Raises:
            UnknownJobTypeError: The job type has no handler; the message names the known ones.
            DecodeError: The payload, the context or the notifications have a fault; the path names it.
            JobExistsError: The id is taken.
            RedisUnavailableError: Redis did not answer. Whether the job was taken is unknown: the answer may
                have been lost after the write.
        """
        handler = self._registry.get(request["job_type"])
        handler["bind"](request["payload"])
        if "context" in request:
            decode_context(request["context"])
        if "notifications" in request:
            decode_notifications(request["notifications"])
        if abs(request["user_id"]) > MAX_USER_ID:
            raise DecodeError("$.user_id", "int of 64 bits", "int")
        if request.get("max_attempts", 1) < 1:
            raise DecodeError("$.max_attempts", "int >= 1", "int")
        now = self._clock.now()
        limits = handler["limits"]
        record: JobRecord = {
            "job_id": self._new_id(),
            "user_id": request["user_id"],
            "status": "queued",
            "progress": 0,
            "message": None,
            "created_at": now,
            "updated_at": now,
            "error": None,
            "job_type": request["job_type"],
            "payload": request["payload"],
            "priority": request.get("priority", "normal"),
            "queue": self._queue.name,
            "attempt_count": 0,
            "max_attempts": request.get("max_attempts", limits["max_attempts"]),
            "run": 1,
        }
        if "run_after" in request:
            record["run_after"] = request["run_after"]
        if "context" in request:
            record["context"] = request["context"]
        if "notifications" in request:
            record["notifications"] = request["notifications"]
        ticket: AttemptTicket = {
            "domain": self._registry.domain,
            "job_id": record["job_id"],
            "run": 1,
            "attempt": 1,
            "timeout_seconds": limits["timeout_seconds"],
            "urgent": record["priority"] == "high",
        }
        reply = self._queue.enqueue(ticket, self._store.create_call(record), run_at=record.get("run_after"))
        raise_if_exists(reply, record["job_id"])
        return record


def make_submitter(*, redis: RedisClient, queue_name: str, registry: HandlerRegistry) -> JobSubmitter:
    """Return a submitter on RQ, with the platform's own records.

    Args:
        redis: The connection.
        queue_name: The queue its worker works on.
        registry: The domain's job types.
    """
    return JobSubmitter(
        store=JobRecordStore(redis=redis, domain=registry.domain),
        queue=RqJobQueue(redis=redis, name=queue_name),
        registry=registry,
    )
