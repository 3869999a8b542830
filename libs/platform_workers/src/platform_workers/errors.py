"""What can go wrong between a job and Redis, named for what the caller does about it."""

from platform_core.errors import PlatformError


class WorkersError(PlatformError):
    """Root of every error this library raises."""


class RedisUnavailableError(WorkersError):
    """Redis did not answer or takes nothing (down, restarting, loading, read-only, full): try later."""


class RedisCommandError(WorkersError):
    """Redis answered and refused the command: a fault of the caller or of the server's setting."""


class KeyTakenError(RedisCommandError):
    """A key of the store holds what another program wrote there; the message names it. Nothing was written.

    Whoever is in charge of Redis has to move that key away; then the same step can be made.
    """


class JobNotFoundError(WorkersError):
    """There is no record of this job in the store."""


class TransitionRefusedError(WorkersError):
    """The record's state does not allow this step.

    Attributes:
        status: The status the record is in, as stored.
    """

    def __init__(self, message: str, *, status: str) -> None:
        super().__init__(message)
        self.status = status


class OutcomeAlreadyRecordedError(TransitionRefusedError):
    """The job has its one outcome already; a second one is refused."""


class LeaseLostError(TransitionRefusedError):
    """Another worker (or none) holds the job's lease: this one must stop and publish nothing."""


class StaleAttemptError(TransitionRefusedError):
    """The queue delivered an attempt that the record is not waiting for (a repeat or a leftover)."""


class JobCancelledError(BaseException):
    """Raised inside a running handler that must stop: its job was cancelled or given to another worker.

    Like `asyncio.CancelledError` it is no `Exception`, so that a handler's `except Exception` does not
    swallow it. `finally` blocks run; a handler that catches it to clean up should raise it again. Nothing
    that the handler returns counts any more.
    """


class JobExistsError(WorkersError):
    """A job with this id is stored already."""


class IdempotencyConflictError(WorkersError):
    """The idempotency key was used before, for a request that asked for something else."""


class UnknownJobTypeError(WorkersError):
    """No handler is registered for this job type; the message names the known ones."""


class HandlerRegistrationError(WorkersError):
    """A handler was registered twice or with limits that make no sense."""
