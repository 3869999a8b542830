"""`jobs retry`: runs failed or cancelled jobs again."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.each_job import EachJob
from jobs_api.client.references import Reference, add_jobs, name_of
from jobs_api.client.session import Session
from jobs_api.client.terminal import say
from jobs_api.client.watching import watch_job


class Arguments:
    """What may be written after `jobs retry`."""

    jobs: Sequence[Reference]
    watch: bool
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_jobs(parser)
    parser.add_argument("--watch", action="store_true", help="then follow each in turn, and print its result")
    add_json(parser, "each job's record as a line of JSON, then (with --watch) its events")


def run(parsed: Arguments, session: Session) -> int:
    """Run the jobs again, and follow them if that was asked for."""
    api, terminal = session.connect(), session.terminal
    each = EachJob(api, terminal, "retry", json=parsed.json)
    again = [*each.jobs(parsed.jobs, "queued again")]
    if not parsed.watch:
        return each.exit_code
    codes = [each.exit_code]
    for job in again:
        if len(again) > 1:
            say(terminal["err"], f"watching   {name_of(job)}")
        codes.append(watch_job(api, terminal, job["domain"], job["job_id"], {"json": parsed.json}))
    return max(codes)


COMMAND: Final = Command(
    "retry",
    "run failed or cancelled jobs again",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
