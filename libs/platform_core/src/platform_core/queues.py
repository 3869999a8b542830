"""Names of the RQ queues, so that the side that submits and the side that works agree."""

from typing import Final

from platform_core.job_types import JOB_PRIORITIES, JobPriority

DEFAULT_QUEUE: Final = "default"
FILES_QUEUE: Final = "files"


def queue_name(base: str, priority: JobPriority) -> str:
    """Return the queue for one priority: `<base>-high`, `<base>` or `<base>-low`."""
    return base if priority == "normal" else f"{base}-{priority}"


def queue_names(base: str) -> tuple[str, ...]:
    """Return the queues of a base name in the order in which a worker empties them."""
    return tuple(queue_name(base, priority) for priority in JOB_PRIORITIES)
