"""Whether anybody works on the queue of a job. An extra: where it can't be told, a command goes on."""

from contextlib import suppress

from platform_core.clock import Clock

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import decoded
from jobs_api.client.documents import Job, Queue
from jobs_api.client.errors import RefusedError, ServerUnreachableError
from jobs_api.client.words import parse_moment, visible


class QueueReport(Queue):
    """How the queue of a job stands, and the same as the JSON text that the API gave."""

    text: str


def queue_of(api: JobsApi, job: Job, clock: Clock) -> QueueReport | None:
    """Return how the queue stands in which a job waits.

    Args:
        api: the API.
        job: the job.
        clock: tells the time.

    Returns:
        None for a job that does not wait or whose time has not come, and where the API does not say: an older
        one, or one that is away.
    """
    if job["status"] != "queued":
        return None
    run_after = parse_moment(job.get("run_after", ""))
    if run_after is not None and run_after > clock.now():
        return None
    with suppress(RefusedError, ServerUnreachableError):
        text = api.queue_text(job["domain"], job["job_id"])
        return {**decoded(text, Queue), "text": text}
    return None


def queue_words(queue: Queue) -> str:
    """Say who serves a queue."""
    name = visible(queue["queue"])
    if queue["workers"] == 0:
        return f"no worker serves the queue {name}"
    return f"a worker serves the queue {name} now"
