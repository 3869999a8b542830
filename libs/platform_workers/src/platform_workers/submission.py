"""Submitting a job: check everything, then write its record and enqueue its first attempt in one step.

A caller that does not hear the answer cannot know whether its job was taken. With an idempotency key it asks
again: the key decides the job's id, so a repeat finds the first one's job, however many come at once.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from platform_core.clock import Clock, SystemClock, to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.job_types import JobPriority, JobRecord, job_key
from platform_core.json_values import JsonObject, JsonValue, encode_json
from platform_core.notifications import decode_context, decode_notifications

from platform_workers.errors import IdempotencyConflictError
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_context import new_token
from platform_workers.job_queue import AttemptTicket, JobQueue, RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import raise_if_exists
from platform_workers.redis import EXISTS, RedisClient

MAX_USER_ID: Final = 2**63 - 1


class JobRequest(TypedDict):
    """What a caller asks for.

    Attributes:
        job_type: A registered job type.
        payload: What its handler needs; its shape is the type's own.
        user_id: Whose job it is.
        priority: "normal" when left out; "high" enters at the front of the queue, "low" waits until nothing
            else does.
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


class Submission(TypedDict):
    """What came of a request under an idempotency key.

    Attributes:
        record: the job as it is now.
        is_new: True if this request made it, False if an earlier one had.
    """

    record: JobRecord
    is_new: bool


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

    @property
    def registry(self) -> HandlerRegistry:
        """The job types that are taken."""
        return self._registry

    def submit(self, request: JobRequest, *, job_id: str | None = None) -> JobRecord:
        """Check the request, store the job and enqueue it. Killed at any point, there is a whole job or none.

        Args:
            request: what is asked for.
            job_id: the new job's id; a random one when left out.

        Returns:
            The record as stored.

        Raises:
            UnknownJobTypeError: The job type has no handler; the message names the known ones.
            DecodeError: The payload, the context or the notifications have a fault; the path names it.
            JobExistsError: The id is taken.
            RedisUnavailableError: Redis did not answer. Whether the job was taken is unknown: the answer may
                have been lost after the write.
        """
        record = self._new_record(request, self._new_id() if job_id is None else job_id)
        reply = self._enqueue(record, unless=None)
        raise_if_exists(reply, record["job_id"])
        return record

    def submit_once(self, request: JobRequest, idempotency_key: str) -> Submission:
        """Submit the request, or find the job that an earlier one with the same key made.

        The key holds as long as the job's record is kept. A job that was cancelled or tried again by hand
        is still the key's job.

        Args:
            request: what is asked for.
            idempotency_key: chosen by the caller, anew for each job.

        Returns:
            The job, new or found.

        Raises:
            IdempotencyConflictError: an earlier request with this key asked for something else.
            UnknownJobTypeError: as `submit` does.
            DecodeError: as `submit` does; also when the earlier job's record cannot be read.
            RedisUnavailableError: Redis did not answer. Ask again with the same key.
        """
        record = self._new_record(request, idempotent_job_id(self._registry.domain, idempotency_key))
        digest = _digest(request)
        record["request_digest"] = digest
        key = job_key(self._registry.domain, record["job_id"])
        while True:
            found = self._store.load(record["job_id"])
            if found is not None:
                if found.get("request_digest") != digest:
                    raise IdempotencyConflictError(
                        "the idempotency key was used before, for a request that asked for something else"
                    )
                return {"record": found, "is_new": False}
            # "Exists" means that another request with the key was faster: then its record is there now.
            if self._enqueue(record, unless=key) != EXISTS:
                return {"record": record, "is_new": True}

    def _new_record(self, request: JobRequest, job_id: str) -> JobRecord:
        """Check the request and return the record of its job."""
        handler = self._registry.get(request["job_type"])
        handler["bind"](request["payload"])
        if "context" in request:
            decode_context(request["context"])
        if "notifications" in request:
            decode_notifications(request["notifications"])
        if not -MAX_USER_ID - 1 <= request["user_id"] <= MAX_USER_ID:
            raise DecodeError("$.user_id", "int of 64 bits", "int")
        if request.get("max_attempts", 1) < 1:
            raise DecodeError("$.max_attempts", "int >= 1", "int")
        now = self._clock.now()
        limits = handler["limits"]
        record: JobRecord = {
            "job_id": job_id,
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
            "timeout_seconds": limits["timeout_seconds"],
        }
        if "run_after" in request:
            record["run_after"] = request["run_after"]
        if "context" in request:
            record["context"] = request["context"]
        if "notifications" in request:
            record["notifications"] = request["notifications"]
        return record

    def _enqueue(self, record: JobRecord, *, unless: str | None) -> list[str]:
        ticket: AttemptTicket = {
            "domain": self._registry.domain,
            "job_id": record["job_id"],
            "run": 1,
            "attempt": 1,
            "timeout_seconds": self._registry.limits_of(record["job_type"])["timeout_seconds"],
            "priority": record["priority"],
        }
        call = self._store.create_call(record)
        run_at = record.get("run_after")
        if run_at is not None and run_at <= record["created_at"]:
            # It need not wait; and one from before 1970 RQ's scheduler would never find.
            run_at = None
        return self._queue.enqueue(ticket, call, run_at=run_at, unless=unless)


def idempotent_job_id(domain: JobDomain, idempotency_key: str) -> str:
    """Return the id of the job that a key stands for: 32 hexadecimal digits, as other job ids have."""
    return _sha256(["idempotency key", domain, idempotency_key])[:32]


def _digest(request: JobRequest) -> str:
    """Tell requests apart: the same text for those that ask for the same."""
    priority = request.get("priority", "normal")
    asked: JsonObject = {
        "job_type": request["job_type"],
        "payload": request["payload"],
        "user_id": request["user_id"],
        # What is meant when it is left out is no different when it is written.
        "priority": None if priority == "normal" else priority,
        "run_after": to_iso(request["run_after"]) if "run_after" in request else None,
        "max_attempts": request.get("max_attempts"),
        "context": request.get("context"),
        "notifications": request.get("notifications"),
    }
    return _sha256(asked)


def _sha256(value: JsonValue) -> str:
    return hashlib.sha256(encode_json(_sorted(value)).encode()).hexdigest()


def _sorted(value: JsonValue) -> JsonValue:
    """Return a value with the keys of every object in order: two spellings of one object are the same."""
    match value:
        case dict():
            return {name: _sorted(value[name]) for name in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value


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
