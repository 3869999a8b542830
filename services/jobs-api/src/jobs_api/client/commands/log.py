"""`jobs log`: prints what is in a job's log, and follows it."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Final

from platform_core.job_types import JobStatusLiteral, is_outcome
from platform_core.json_values import encode_json, to_json_value
from rich.text import Text

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.documents import LogLine
from jobs_api.client.errors import RefusedError, ServerUnreachableError, StoppedError, may_pass
from jobs_api.client.exit_codes import EXIT_FAILED, EXIT_OK
from jobs_api.client.following import RECONNECT_ATTEMPTS
from jobs_api.client.references import Reference, add_job, looking_for
from jobs_api.client.session import Session
from jobs_api.client.terminal import Terminal, say, tell, write_line
from jobs_api.client.words import clock_words, visible

PAGE_LINES: Final = 200
POLL_SECONDS: Final = 1.0
_COLOURS: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class Arguments:
    """What may be written after `jobs log`."""

    job: Reference
    follow: bool
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until the job is done; the exit code tells how"
    )
    add_json(parser, "each line as a line of JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print the log."""
    api, terminal = session.connect(), session.terminal
    reader = _Reader(api, parsed.job)
    with looking_for(parsed.job):
        if parsed.follow:
            return _follow(api, terminal, reader, parsed)
        if _print(terminal, reader.new_lines(), json=parsed.json) == 0:
            say(terminal["err"], "The log is empty.")
    return EXIT_OK


class _Reader:
    """Reads on where it stopped the last time."""

    def __init__(self, api: JobsApi, job: Reference) -> None:
        self._api = api
        self._job = job
        self._after: str | None = None

    def new_lines(self) -> Iterator[LogLine]:
        """Give the lines that are new since the last call."""
        more = True
        while more:
            lines = self._api.log(self._job.domain, self._job.job_id, self._after, PAGE_LINES)["lines"]
            for line in lines:
                self._after = line["id"]
                yield line
            more = len(lines) == PAGE_LINES


def _follow(api: JobsApi, terminal: Terminal, reader: _Reader, parsed: Arguments) -> int:
    try:
        status = _follow_to_outcome(api, terminal, reader, parsed)
    except KeyboardInterrupt:
        raise StoppedError("stopped reading; the job itself goes on") from None
    return EXIT_OK if status == "completed" else EXIT_FAILED


def _follow_to_outcome(
    api: JobsApi, terminal: Terminal, reader: _Reader, parsed: Arguments
) -> JobStatusLiteral:
    status: JobStatusLiteral | None = None
    failures = 0
    while True:
        try:
            # The state first: what the log gets before an outcome is then in what is read after it.
            status = api.job(parsed.job.domain, parsed.job.job_id)["status"]
            _print(terminal, reader.new_lines(), json=parsed.json)
            failures = 0
            if is_outcome(status):
                return status
        except (ServerUnreachableError, RefusedError) as error:
            failures += 1
            # At first the address may be wrong, and waiting would only hide it.
            if status is None or failures >= RECONNECT_ATTEMPTS or not may_pass(error):
                raise
        terminal["wait"](POLL_SECONDS)


def _print(terminal: Terminal, lines: Iterator[LogLine], *, json: bool) -> int:
    count = 0
    for line in lines:
        count += 1
        if json:
            write_line(terminal["out"], encode_json(to_json_value(line)))
        else:
            tell(terminal["out"], _words(line))
    return count


def _words(line: LogLine) -> Text:
    level = visible(line["level"]).upper()
    text = Text(f"{clock_words(line['time'])}  ")
    return text.append(f"{level:<7}", _COLOURS.get(level, "")).append(f"  {visible(line['message'])}")


COMMAND: Final = Command(
    "log", "print a job's log", arguments=Arguments, add_arguments=add_arguments, run=run
)
