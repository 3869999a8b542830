"""Whether anybody works on the queue of a job. An extra: where it can't be told, a command goes on."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from platform_core.clock import Clock

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import decoded
from jobs_api.client.documents import Job, Queue
from jobs_api.client.errors import RefusedError, ServerUnreachableError
from jobs_api.client.words import parse_moment, visible

ABANDONED_AFTER: Final = timedelta(seconds=10)
"""A worker that lives settles a job within some seconds after its lease has ended."""

ABANDONED_WORDS: Final = (
    "its worker has stopped answering; the job is tried again when a worker takes over, "
    "if it has an attempt left"
)


class QueueReport(Queue):
    """How the queue of a job stands, and the same as the JSON text that the API gave."""

    text: str


def queue_of(api: JobsApi, job: Job, clock: Clock) -> QueueReport | None:
    """Return how the queue stands in which a job waits, or whose workers are to take it over.

    Args:
        api: the API.
        job: the job.
        clock: tells the time.

    Returns:
        None for a job that needs no worker now or whose time has not come, and where the API does not say: an
        older one, or one that is away.
    """
    if job["status"] != "queued" and not is_abandoned(job, clock):
        return None
    run_after = parse_moment(job.get("run_after", ""))
    if run_after is not None and run_after > clock.now():
        return None
    with suppress(RefusedError, ServerUnreachableError):
        text = api.queue_text(job["domain"], job["job_id"])
        return {**decoded(text, Queue), "text": text}
    return None


def is_abandoned(job: Job, clock: Clock) -> bool:
    """Return whether a job's worker is silent, and no other one has taken the job over."""
    locked_until = parse_moment(job.get("locked_until", "")) if job["status"] == "processing" else None
    return locked_until is not None and locked_until < clock.now() - ABANDONED_AFTER


def queue_words(queue: Queue) -> str:
    """Say who serves a queue."""
    name = visible(queue["queue"])
    if queue["workers"] == 0:
        return f"no worker serves the queue {name}"
    return f"a worker serves the queue {name} now"
