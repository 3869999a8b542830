"""Which job types a service knows, and what runs for each: a typed payload, a function, limits.

```python
registry = HandlerRegistry(domain=job_domain("turkic"))

class ResizePayload(TypedDict):
    file_id: str
    width: int

def resize(payload: ResizePayload, job: JobRun) -> JobResult:
    job.publish_progress(50, "halfway")
    return {"result_id": "file-1", "result_bytes": 42}

registry.register("image.resize", ResizePayload, resize, max_attempts=3, timeout_seconds=120)
```

A payload is decoded at submission (refused with the path of the fault) and again in the worker. Jobs outlive
releases: how a payload may change is in docs/payload-versions.md.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypedDict, TypeVar, final

from platform_core.job_events import JobDomain
from platform_core.json_schemas import schema_of
from platform_core.json_values import JsonObject, JsonValue, PayloadCodec

from platform_workers.errors import HandlerRegistrationError, UnknownJobTypeError
from platform_workers.job_transitions import LogLevel

PayloadT = TypeVar("PayloadT")

JOB_TYPE_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
MAX_JOB_TYPE_LENGTH: Final = 64


@final
class JobResult(TypedDict):
    """What a handler returns: where its result is found, and the size in bytes (0 or more)."""

    result_id: str
    result_bytes: int


class JobRun(Protocol):
    """What a handler sees of the attempt it runs in."""

    @property
    def domain(self) -> JobDomain:
        """The job's domain."""

    @property
    def job_id(self) -> str:
        """The job."""

    @property
    def user_id(self) -> int:
        """Whose job it is."""

    @property
    def attempt(self) -> int:
        """Which attempt this is; 1 is the first."""

    def publish_progress(
        self, progress: int, message: str | None = None, *, payload: JsonValue = None
    ) -> None:
        """Tell who watches that the job is `progress` percent done (0 to 100).

        Raises:
            JobCancelledError: The job was cancelled or given to another worker: stop.
        """

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Write a line into the job's log, which keeps the last 200 or so, each up to 1,000 characters.

        Raises:
            JobCancelledError: The job was cancelled or given to another worker: stop.
        """


class HandlerLimits(TypedDict):
    """How often a job type is tried, how long one attempt may take, and the pause before the next.

    Attributes:
        max_attempts: 1 means no retry.
        timeout_seconds: An attempt that takes longer is stopped and counts as failed.
        backoff_seconds: Pause after the first failed attempt; it doubles with each further one.
    """

    max_attempts: int
    timeout_seconds: int
    backoff_seconds: float


DEFAULT_LIMITS: Final[HandlerLimits] = {"max_attempts": 3, "timeout_seconds": 600, "backoff_seconds": 5.0}

BoundHandler: TypeAlias = Callable[[JobRun], JobResult]
"""A handler with its decoded payload in hand."""


class Handler(TypedDict):
    """One registered job type; `bind` decodes a payload (raising `DecodeError`) and hides its type.

    `payload_schema` is the payload's JSON Schema, `description` says in a sentence what the job does.
    """

    job_type: str
    description: str
    payload_schema: JsonObject
    limits: HandlerLimits
    bind: Callable[[JsonValue], BoundHandler]


class HandlerRegistry:
    """The job types of one domain.

    Args:
        domain: The domain the jobs belong to.
    """

    def __init__(self, *, domain: JobDomain) -> None:
        self._domain = domain
        self._handlers: dict[str, Handler] = {}

    @property
    def domain(self) -> JobDomain:
        """The domain the jobs belong to."""
        return self._domain

    @property
    def job_types(self) -> list[str]:
        """Every registered job type, sorted."""
        return sorted(self._handlers)

    def register(
        self,
        job_type: str,
        payload_type: type[PayloadT],
        function: Callable[[PayloadT, JobRun], JobResult],
        *,
        max_attempts: int = DEFAULT_LIMITS["max_attempts"],
        timeout_seconds: int = DEFAULT_LIMITS["timeout_seconds"],
        backoff_seconds: float = DEFAULT_LIMITS["backoff_seconds"],
        description: str = "",
    ) -> None:
        """Add a job type.

        Args:
            job_type: Dotted lower-case words, "csv.column_stats"; at most 64 characters.
            payload_type: A TypedDict; what the job's payload must look like.
            function: Runs one attempt. It raises `JobUserError` for bad input; anything else it raises is a
                fault of the system and is tried again.
            max_attempts: How often to try in all.
            timeout_seconds: How long one attempt may take.
            backoff_seconds: Pause before the second attempt, doubling afterwards.
            description: What the job does, in a sentence for who submits it.

        Raises:
            HandlerRegistrationError: The name is malformed or taken, or a limit makes no sense.
        """
        if len(job_type) > MAX_JOB_TYPE_LENGTH or JOB_TYPE_PATTERN.fullmatch(job_type) is None:
            raise HandlerRegistrationError(f"job type {job_type!r}: use dotted lower-case words")
        if job_type in self._handlers:
            raise HandlerRegistrationError(f"job type {job_type!r} is registered already")
        if max_attempts < 1 or timeout_seconds < 1 or backoff_seconds < 0:
            raise HandlerRegistrationError(
                f"job type {job_type!r}: max_attempts and timeout_seconds must be 1 or more, "
                "backoff_seconds 0 or more"
            )

        codec = PayloadCodec(payload_type)

        def bind(payload: JsonValue) -> BoundHandler:
            decoded = codec.decode(payload)
            return lambda job: function(decoded, job)

        self._handlers[job_type] = {
            "job_type": job_type,
            "description": description,
            "payload_schema": schema_of(payload_type),
            "limits": {
                "max_attempts": max_attempts,
                "timeout_seconds": timeout_seconds,
                "backoff_seconds": backoff_seconds,
            },
            "bind": bind,
        }

    def limits_of(self, job_type: str) -> HandlerLimits:
        """Return a job type's limits; the defaults for a type that this process does not know."""
        handler = self._handlers.get(job_type)
        return DEFAULT_LIMITS if handler is None else handler["limits"]

    def get(self, job_type: str) -> Handler:
        """Return a job type's handler.

        Raises:
            UnknownJobTypeError: None is registered; the message names the known ones.
        """
        handler = self._handlers.get(job_type)
        if handler is None:
            known = ", ".join(self.job_types) or "none"
            raise UnknownJobTypeError(f"job_type: unknown job type {job_type!r}; known: {known}")
        return handler
