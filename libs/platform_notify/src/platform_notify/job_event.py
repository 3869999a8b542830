"""The two things a job can end in, as far as a notification is concerned."""

from enum import Enum

from platform_core.event_families import KnownEventV1, is_job_event
from platform_core.job_events import JobCompletedV1, JobFailedV1, is_completed, is_failed
from platform_core.notifications import EventWord
from typing_extensions import TypeIs


class JobEvent(Enum):
    """How a job ended: the words that stand in a job's `notifications.email.on`."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"

    @property
    def word(self) -> EventWord:
        """The word as it stands in a notification intent."""
        return "SUCCESS" if self is JobEvent.SUCCESS else "FAILURE"


def is_outcome(event: KnownEventV1) -> TypeIs[JobCompletedV1 | JobFailedV1]:
    """Tell whether an event ends a job; started, progress and metrics do not."""
    return is_job_event(event) and (is_completed(event) or is_failed(event))


def job_event_of(event: JobCompletedV1 | JobFailedV1) -> JobEvent:
    """Name the outcome: completed is a success, failed a failure."""
    return JobEvent.SUCCESS if is_completed(event) else JobEvent.FAILURE
