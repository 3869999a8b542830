"""Names of the RQ queues, so that the side that submits and the side that works agree."""

from typing import Final

DEFAULT_QUEUE: Final = "default"
FILES_QUEUE: Final = "files"


def low_queue_name(name: str) -> str:
    """Return the name of the RQ queue where a queue's jobs of priority `low` wait."""
    return f"{name}:low"
