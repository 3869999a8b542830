"""What a job says about itself: started, progress, completed, failed. One call is one atomic step.

```python
ctx = make_job_context(redis=redis, domain=TURKIC, events_channel=default_events_channel(TURKIC),
                       job_id=job_id, user_id=user_id, queue_name=queue)
ctx.publish_started()
ctx.publish_progress(50, "halfway", payload={"file": 3})
ctx.publish_completed(result_id=file_id, result_bytes=size)
```

Each call moves the record, its indexes, the job's log, the durable event log and the channel together in
Redis, so whoever hears `completed` and reads the store finds `completed`.
"""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from platform_core.clock import Clock, SystemClock
from platform_core.job_events import ErrorKind, JobDomain
from platform_core.json_values import JsonValue

from platform_workers.job_store import DEFAULT_RETENTION
from platform_workers.job_transitions import (
    Applied,
    JobIdentity,
    LogLevel,
    Step,
    TransitionBuilder,
    guard_lease,
    raise_if_refused,
    read_reply,
)
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient


def new_token() -> str:
    """Return a random name that no other process will make (32 hex digits)."""
    return uuid4().hex


class JobContext:
    """Publishes the life of one job. Made by `make_job_context`.

    Every method is one round trip and raises `RedisUnavailableError` when Redis does not answer,
    `JobNotFoundError` without a record, `OutcomeAlreadyRecordedError` after an outcome, `LeaseLostError`
    when the job was given to another worker, `TransitionRefusedError` for a step out of order, and
    `KeyTakenError` when another program has written where the step is to write. A refusal means that nothing
    was written; after `RedisUnavailableError` that is unknown, because the answer may have
    been lost after the write.
    """

    def __init__(
        self,
        *,
        redis: RedisClient,
        identity: JobIdentity,
        clock: Clock,
        retention: timedelta,
        lease_token: str,
        new_id: Callable[[], str],
    ) -> None:
        self._redis = redis
        self._identity = identity
        self._builder = TransitionBuilder(identity, clock=clock, retention=retention)
        self._lease_token = lease_token
        self._guard = guard_lease(lease_token)
        self._new_id = new_id

    @property
    def identity(self) -> JobIdentity:
        """Which job this is."""
        return self._identity

    @property
    def builder(self) -> TransitionBuilder:
        """The calls behind the methods, for a caller that puts them into a transaction."""
        return self._builder

    def publish_started(self) -> Applied:
        """The job begins: its record goes from `queued` to `processing`."""
        return self.apply(
            "started",
            self._builder.started(guard=self._guard, transition_id=self._new_id(), lease=None),
        )

    def publish_progress(
        self, progress: int, message: str | None = None, *, payload: JsonValue = None
    ) -> Applied:
        """The job is `progress` percent done (0 to 100), with words and data for who watches.

        Raises:
            DecodeError: `progress` is outside 0..100.
        """
        call = self._builder.progress(
            progress, message, payload, guard=self._guard, transition_id=self._new_id()
        )
        return self.apply("progress", call)

    def publish_completed(self, *, result_id: str, result_bytes: int) -> Applied:
        """The job is done. Final.

        Args:
            result_id: Where the result is found (a file, model or video id).
            result_bytes: Its size in bytes, 0 or more.
        """
        call = self._builder.completed(
            result_id=result_id,
            result_bytes=result_bytes,
            guard=self._guard,
            transition_id=self._new_id(),
        )
        return self.apply("completed", call)

    def publish_failed(self, error_kind: ErrorKind, message: str) -> Applied:
        """The job has failed for good. Final.

        Args:
            error_kind: "user" when the input was at fault, "system" otherwise.
            message: Why, in words for the person who waits for the job.
        """
        call = self._builder.failed(error_kind, message, guard=self._guard, transition_id=self._new_id())
        return self.apply("failed", call)

    def write_log(self, message: str, level: LogLevel = "info") -> None:
        """Append a line to the job's bounded log; at most 1,000 characters of it are kept."""
        call = self._builder.log_line(message, level, token=self._lease_token)
        raise_if_refused(self._redis.run_script(call), step="log", job_id=self._identity["job_id"])

    def apply(self, step: Step, call: ScriptCall) -> Applied:
        """Run one call of `builder` and read its reply; what the publish methods do."""
        return read_reply(self._redis.run_script(call), step=step, job_id=self._identity["job_id"])


def make_job_context(
    *,
    redis: RedisClient,
    domain: JobDomain,
    events_channel: str,
    job_id: str,
    user_id: int,
    queue_name: str,
    lease_token: str = "",
    clock: Clock | None = None,
    retention: timedelta = DEFAULT_RETENTION,
    new_id: Callable[[], str] = new_token,
) -> JobContext:
    """Return the context of one job.

    Args:
        redis: The connection.
        domain: The job's domain.
        events_channel: Where its events go, `default_events_channel(domain)`.
        job_id: The job; its record must exist before the first call.
        user_id: Whose job it is.
        queue_name: The queue it came from, told in the started event.
        lease_token: The lease this worker holds; empty for a job that runs without one.
        clock: Where "now" comes from; the system's clock by default.
        retention: How long the record stays after its outcome.
        new_id: Makes the id by which a repeat of the same step is recognised.
    """
    return JobContext(
        redis=redis,
        identity={
            "domain": domain,
            "job_id": job_id,
            "user_id": user_id,
            "queue_name": queue_name,
            "events_channel": events_channel,
        },
        clock=SystemClock() if clock is None else clock,
        retention=retention,
        lease_token=lease_token,
        new_id=new_id,
    )
