"""Shows a job's events: lines for a log, a live bar for a person, or JSON for a program."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from platform_core.clock import Clock
from platform_core.event_families import KnownEventV1, is_job_event
from platform_core.job_events import is_completed, is_progress, is_started
from platform_core.json_values import encode_json
from platform_notify.plain_words import human_size
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs_api.client.documents import Job
from jobs_api.client.following import Update
from jobs_api.client.queues import ABANDONED_WORDS, queue_words
from jobs_api.client.terminal import spinner_name
from jobs_api.client.words import visible

WHOLE: Final = 100
ROOM_FOR_TIME: Final = 60
"""In a terminal narrower than this the words are worth more than the time."""


class Display(Protocol):
    """Where updates are shown."""

    def show(self, update: Update) -> None:
        """Show one update."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""


class LineDisplay:
    """One line an event, with the time it came at.

    Args:
        console: where to write.
        clock: tells the time.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def show(self, update: Update) -> None:
        """Write one line; a state is told only when no event said the same."""
        if update["kind"] == "event":
            self._write(*event_line(update["event"]))
        elif update["kind"] == "lost":
            self._write("waiting", "the connection is gone; trying again")
        elif update["kind"] == "queue":
            self._write("queued", queue_words(update["queue"]))
        elif update["kind"] == "abandoned":
            self._write("waiting", ABANDONED_WORDS)
        elif update["job"]["status"] != self._last:
            self._write(*state_line(update["job"]))

    def _write(self, word: str, rest: str) -> None:
        self._last = _STATUS_AFTER.get(word, word)
        now = self._clock.now().astimezone().strftime("%H:%M:%S")
        self._console.print(Text(f"{now}  {word:<10}  {rest}".rstrip()), soft_wrap=True)


_STATUS_AFTER: Final = {"started": "processing", "progress": "processing"}


class BarDisplay:
    """A live bar for a terminal.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        columns: list[ProgressColumn] = [
            SpinnerColumn(spinner_name(console)),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        ]
        if console.width < ROOM_FOR_TIME:
            columns = [column for column in columns if not isinstance(column, TimeElapsedColumn)]
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=WHOLE)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, update: Update) -> None:
        """Move the bar."""
        if update["kind"] == "lost":
            self._move(None, "the connection is gone; trying again")
        elif update["kind"] == "queue":
            self._move(None, queue_words(update["queue"]))
        elif update["kind"] == "abandoned":
            self._move(None, ABANDONED_WORDS)
        elif update["kind"] == "state":
            job = update["job"]
            self._move(job["progress"], visible(job["message"] or job["status"]))
        else:
            self._show_event(update["event"])

    def _show_event(self, event: KnownEventV1) -> None:
        if is_job_event(event) and is_progress(event):
            self._move(event["progress"], visible(event.get("message", "")))
        else:
            word, rest = event_line(event)
            self._move(None, f"{word}  {rest}")

    def _move(self, percent: int | None, words: str) -> None:
        self._progress.update(self._task, completed=percent, description=words)


class JsonDisplay:
    """One JSON object a line: `{"event": <name>, "data": <as sent>}`.

    Args:
        write: takes one line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def show(self, update: Update) -> None:
        """Write one line; a lost connection is nothing that a program needs to know."""
        if update["kind"] == "queue":
            self._write_line("queue", update["queue"]["text"])
        elif update["kind"] == "abandoned":
            self._write_line("abandoned", update["text"])
        elif update["kind"] != "lost":
            self._write_line(update["name"] if update["kind"] == "event" else "state", update["text"])

    def _write_line(self, name: str, data: str) -> None:
        self._write(f'{{"event":{encode_json(name)},"data":{data}}}\n')


def event_line(event: KnownEventV1) -> tuple[str, str]:
    """Return an event as a word and the rest of a line."""
    if not is_job_event(event):
        return "metrics", event["type"]
    if is_started(event):
        return "started", f"queue {visible(event['queue'])}"
    if is_progress(event):
        return "progress", f"{event['progress']:>3} %  {visible(event.get('message', ''))}"
    if is_completed(event):
        return "completed", f"result of {human_size(event['result_bytes'])}"
    return "failed", visible(event["message"])


def state_line(job: Job) -> tuple[str, str]:
    """Return a job's state as a word and the rest of a line."""
    match job["status"]:
        case "queued" if job.get("attempt_count", 0) > 0:
            return "queued", f"it will be tried again: {visible(job['error'] or 'the last attempt failed')}"
        case "processing":
            return "processing", f"{job['progress']:>3} %  {visible(job['message'] or '')}"
        case "failed":
            return "failed", visible(job["error"] or "")
        case _:
            return job["status"], ""
