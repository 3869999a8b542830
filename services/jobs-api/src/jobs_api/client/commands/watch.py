"""`jobs watch`: follows a job until it is done, then prints its result."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.references import Reference, add_job, looking_for
from jobs_api.client.session import Session
from jobs_api.client.shell_completion import names_a_file
from jobs_api.client.watching import following, watch_job


class Arguments:
    """What may be written after `jobs watch`."""

    job: Reference
    output: Path | None
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    names_a_file(parser.add_argument("--output", metavar="PATH", type=Path, help="save the result here"))
    add_json(parser, "each event as a line of JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Follow the job."""
    how = following(parsed.output, json=parsed.json)
    with looking_for(parsed.job):
        return watch_job(session.connect(), session.terminal, parsed.job.domain, parsed.job.job_id, how)


COMMAND: Final = Command(
    "watch",
    "follow a job until it is done, then print its result",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
