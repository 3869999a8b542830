"""What a handler sees of the attempt it runs in, with a job context behind it."""

from typing import final

from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue
from platform_core.logging import Logger

from platform_workers.errors import JobCancelledError, RedisUnavailableError, TransitionRefusedError
from platform_workers.horse import handler_knows
from platform_workers.job_context import JobContext
from platform_workers.job_transitions import LogLevel


@final
class AttemptRun:
    """A `JobRun`: what its handler sees of an attempt.

    An outage of Redis does not reach the handler. That its job is no longer its own does, as
    `JobCancelledError`.

    Args:
        context: The job's context under the attempt's lease.
        attempt: Which attempt of the run, from 1.
        logger: Where the operator reads.
    """

    def __init__(self, context: JobContext, *, attempt: int, logger: Logger) -> None:
        self._context = context
        self._attempt = attempt
        self._logger = logger

    @property
    def domain(self) -> JobDomain:
        """The job's domain."""
        return self._context.identity["domain"]

    @property
    def job_id(self) -> str:
        """The job."""
        return self._context.identity["job_id"]

    @property
    def user_id(self) -> int:
        """Whose job it is."""
        return self._context.identity["user_id"]

    @property
    def attempt(self) -> int:
        """Which attempt this is; 1 is the first."""
        return self._attempt

    def publish_progress(
        self, progress: int, message: str | None = None, *, payload: JsonValue = None
    ) -> None:
        """Tell who watches how far the job is."""
        try:
            self._context.publish_progress(progress, message, payload=payload)
        except RedisUnavailableError as error:
            # Progress is for watchers alone: a job must not fail because one step could not be told.
            self._logger.warning("worker.progress_not_published", job_id=self.job_id, error=str(error))
        except TransitionRefusedError as error:
            handler_knows()
            raise JobCancelledError(str(error)) from error

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Write a line into the job's log."""
        try:
            self._context.write_log(message, level)
        except RedisUnavailableError as error:
            self._logger.warning("worker.line_not_logged", job_id=self.job_id, error=str(error))
        except TransitionRefusedError as error:
            handler_knows()
            raise JobCancelledError(str(error)) from error
