"""`jobs list`: the jobs that there are, newest first."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Final

from platform_core.clock import to_iso
from platform_core.job_types import JOB_STATUSES, JobStatusLiteral
from platform_core.json_values import encode_json
from rich.text import Text

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import Moment, add_json, parse_count, parse_moment
from jobs_api.client.command import Command
from jobs_api.client.documents import Job
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.job_type_names import did_you_mean
from jobs_api.client.paging import pages_of_jobs
from jobs_api.client.references import name_of
from jobs_api.client.session import Session
from jobs_api.client.statuses import status_text
from jobs_api.client.tables import Column, TableWriter
from jobs_api.client.terminal import Terminal, say, tell, write_line
from jobs_api.client.words import age_words, visible

DEFAULT_LIMIT: Final = 20

COLUMNS: Final[tuple[Column, ...]] = (
    {"heading": "JOB"},
    {"heading": "TYPE"},
    {"heading": "STATUS"},
    {"heading": "CREATED", "optional": True},
    {"heading": "USER", "right": True, "optional": True},
    {"heading": "WHAT", "shrinks": True, "optional": True},
)


class Arguments:
    """What may be written after `jobs list`."""

    domain: str | None
    status: JobStatusLiteral | None
    type: str | None
    user: int | None
    since: Moment | None
    until: Moment | None
    limit: int
    all: bool
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--domain", metavar="DOMAIN", help="of this domain alone")
    parser.add_argument("--status", choices=JOB_STATUSES, help="of this status alone")
    parser.add_argument("--type", metavar="JOB_TYPE", help="of this type alone")
    parser.add_argument("--user", metavar="NUMBER", type=int, help="of this user alone")
    when = "a time such as 2026-01-31T12:00, or 1h, 7d ago"
    parser.add_argument("--since", metavar="TIME", type=parse_moment, help=f"created since: {when}")
    parser.add_argument("--until", metavar="TIME", type=parse_moment, help="created before: the same")
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--limit",
        metavar="NUMBER",
        type=parse_count,
        default=DEFAULT_LIMIT,
        help=f"how many at most (default {DEFAULT_LIMIT})",
    )
    many.add_argument("--all", action="store_true", help="every one of them")
    add_json(parser, "each job as a line of JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print the list."""
    api, terminal = session.connect(), session.terminal
    filters = _filters(parsed, terminal["clock"].now())
    table = TableWriter(terminal["out"], COLUMNS)
    count, more = 0, False
    for page in pages_of_jobs(api, terminal["err"], filters, None if parsed.all else parsed.limit):
        count += len(page["jobs"])
        more = "next_cursor" in page
        if parsed.json:
            for document in page["documents"]:
                write_line(terminal["out"], encode_json(document))
        elif page["jobs"]:
            now = terminal["clock"].now()
            table.write([_row(job, now) for job in page["jobs"]])
    if count == 0:
        _say_none(api, terminal, parsed, filtered=bool(filters))
    if more:
        tell(terminal["err"], f"There are more than these {count:,}: --limit NUMBER or --all shows them.")
    return EXIT_OK


def _filters(parsed: Arguments, now: datetime) -> dict[str, str]:
    values = {
        "domain": parsed.domain,
        "status": parsed.status,
        "job_type": parsed.type,
        "user_id": None if parsed.user is None else str(parsed.user),
        "created_from": _time(parsed.since, now),
        "created_before": _time(parsed.until, now),
    }
    return {name: value for name, value in values.items() if value is not None}


def _time(moment: Moment | None, now: datetime) -> str | None:
    if moment is None:
        return None
    return to_iso(moment if isinstance(moment, datetime) else now - moment)


def _row(job: Job, now: datetime) -> list[Text]:
    return [
        Text(name_of(job)),
        Text(visible(job.get("job_type", ""))),
        status_text(job["status"]),
        Text(age_words(job["created_at"], now)),
        Text(str(job.get("user_id", ""))),
        Text(_what(job)),
    ]


def _what(job: Job) -> str:
    if job["error"]:
        return visible(job["error"])
    message = visible(job["message"] or "")
    return f"{job['progress']} % {message}".rstrip() if job["status"] == "processing" else message


def _say_none(api: JobsApi, terminal: Terminal, parsed: Arguments, *, filtered: bool) -> None:
    say(terminal["err"], "No job is like that." if filtered else "There are no jobs yet.")
    if parsed.type is not None:
        hint = did_you_mean(api, parsed.type)
        if hint:
            tell(terminal["err"], hint)


COMMAND: Final = Command(
    "list",
    "list jobs, newest first",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
