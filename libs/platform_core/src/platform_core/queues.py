"""Names of the RQ queues, so that the side that submits and the side that works agree."""

from typing import Final

DEFAULT_QUEUE: Final = "default"
FILES_QUEUE: Final = "files"
