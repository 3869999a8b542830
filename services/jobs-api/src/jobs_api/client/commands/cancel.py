"""`jobs cancel`: stops jobs, whether they wait or run."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.each_job import EachJob
from jobs_api.client.references import Reference, add_jobs
from jobs_api.client.session import Session


class Arguments:
    """What may be written after `jobs cancel`."""

    jobs: Sequence[Reference]
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_jobs(parser)
    add_json(parser, "each cancelled job's record as a line of JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Cancel the jobs."""
    each = EachJob(session.connect(), session.terminal, "cancel", json=parsed.json)
    for _ in each.jobs(parsed.jobs, "cancelled"):
        pass
    return each.exit_code


COMMAND: Final = Command(
    "cancel",
    "stop jobs that wait or run",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
