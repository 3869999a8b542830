"""The colours of the status words."""

from typing import Final

from platform_core.job_types import JobStatusLiteral
from rich.text import Text

_COLOURS: Final[dict[JobStatusLiteral, str]] = {
    "queued": "",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}


def status_text(status: JobStatusLiteral) -> Text:
    """Return a status as a coloured word; where there is no colour it is the word alone."""
    return Text(status, _COLOURS[status])


def status_style(status: JobStatusLiteral, count: int) -> str:
    """Return the colour of a number of jobs; none for none."""
    return _COLOURS[status] if count else "dim"
