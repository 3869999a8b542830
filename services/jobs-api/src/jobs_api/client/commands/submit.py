"""`jobs submit`: uploads a file and submits a job for it."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from re import fullmatch
from typing import Final

from platform_core.clock import to_iso
from platform_core.errors import DecodeError
from platform_core.job_types import JOB_PRIORITIES, JobPriority
from platform_core.json_values import JsonObject, JsonValue, encode_json
from platform_core.notifications import EVENT_WORDS, EventWord, validate_email
from platform_notify.plain_words import human_size
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import (
    Moment,
    add_json,
    parse_count,
    parse_moment,
    parse_option,
    parse_outcomes,
    parse_payload,
)
from jobs_api.client.command import Command
from jobs_api.client.documents import Job, Uploaded
from jobs_api.client.errors import UsageError
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.idempotency import submit_once
from jobs_api.client.job_type_names import type_to_submit
from jobs_api.client.queues import queue_of, queue_words
from jobs_api.client.session import Session
from jobs_api.client.shell_completion import names_a_file
from jobs_api.client.terminal import Terminal, say, write_line
from jobs_api.client.watching import following, watch_job
from jobs_api.client.words import visible

DEFAULT_USER_ID: Final = 1


class Arguments:
    """What may be written after `jobs submit`."""

    job_type: str
    file: Path | None
    payload: JsonObject | None
    option: Sequence[tuple[str, JsonValue]]
    email: str | None
    on: Sequence[EventWord] | None
    user_id: int
    priority: JobPriority | None
    run_after: Moment | None
    max_attempts: int | None
    idempotency_key: str | None
    watch: bool
    output: Path | None
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("job_type", metavar="JOB_TYPE", help="such as csv.column_stats; see jobs types")
    names_a_file(
        parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="the file to work on")
    )
    parser.add_argument(
        "--payload",
        metavar="JSON|@FILE",
        type=parse_payload,
        help="the payload, for a type that takes no file or a file that was uploaded before",
    )
    no_options: list[tuple[str, JsonValue]] = []
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        type=parse_option,
        action="append",
        default=no_options,
        help="delimiter=';', encoding=cp1252, has_header=no (every csv type), null_words=-,none "
        "(csv.column_stats), columns=a,b (csv.deduplicate); json.canonicalize takes none; NAME:=JSON for any "
        "other value; may be repeated",
    )
    parser.add_argument("--email", metavar="ADDRESS", help="send a mail to this address")
    parser.add_argument(
        "--on",
        metavar="OUTCOMES",
        type=parse_outcomes,
        help="success, failure or success,failure (default): when to mail",
    )
    _add_job_options(parser)
    parser.add_argument("--watch", action="store_true", help="follow the job and print its result")
    names_a_file(
        parser.add_argument("--output", metavar="PATH", type=Path, help="save the result here (with --watch)")
    )
    add_json(parser, "the job's domain and id as JSON; with --watch each event as a line of JSON")


def _add_job_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--user-id", metavar="NUMBER", type=int, default=DEFAULT_USER_ID, help="whose job it is (default 1)"
    )
    parser.add_argument("--priority", choices=JOB_PRIORITIES, help="default normal")
    parser.add_argument(
        "--run-after",
        metavar="TIME",
        type=parse_moment,
        help="not before this time, such as 2026-01-31T12:00, or 10m, 2h from now",
    )
    parser.add_argument(
        "--max-attempts",
        metavar="NUMBER",
        type=parse_count,
        help="how often it is tried at most (default: as often as the type says)",
    )
    parser.add_argument(
        "--idempotency-key",
        metavar="KEY",
        type=_idempotency_key,
        help="submit it once, however often this is called with the same key",
    )


def run(parsed: Arguments, session: Session) -> int:
    """Upload the file, submit the job, and follow it if that was asked for."""
    _check(parsed)
    how = following(parsed.output, json=parsed.json)
    api, terminal = session.connect(), session.terminal
    job = _submit(api, terminal, parsed)
    if parsed.watch:
        return watch_job(api, terminal, job["domain"], job["job_id"], how)
    _print_submitted(terminal, job, json=parsed.json)
    queue = queue_of(api, job, terminal["clock"])
    if queue is not None and queue["workers"] == 0:
        say(terminal["err"], f"waiting    {queue_words(queue)}")
    return EXIT_OK


def job_body(parsed: Arguments, domain: str | None, file_id: str | None, now: datetime) -> JsonObject:
    """Return the body of `POST /v1/jobs`.

    Args:
        parsed: the command line.
        domain: the job type's; None lets the API choose.
        file_id: the uploaded file; None for none.
        now: the time.
    """
    # The last of a name counts.
    payload: JsonObject = {**(parsed.payload or {}), **dict(parsed.option)}
    if file_id is not None:
        payload["file_id"] = file_id
    fields: dict[str, JsonValue] = {
        "job_type": parsed.job_type,
        "domain": domain,
        "user_id": parsed.user_id,
        "payload": payload,
        "priority": parsed.priority,
        "run_after": None if parsed.run_after is None else to_iso(_later(parsed.run_after, now)),
        "max_attempts": parsed.max_attempts,
    }
    body: JsonObject = {name: value for name, value in fields.items() if value is not None}
    if parsed.email is not None:
        body["context"] = {"user_id": str(parsed.user_id), "email": parsed.email}
        outcomes = EVENT_WORDS if parsed.on is None else parsed.on
        body["notifications"] = {"email": {"enabled": True, "on": [*outcomes]}}
    return body


def _later(moment: Moment, now: datetime) -> datetime:
    return moment if isinstance(moment, datetime) else now + moment


def _check(parsed: Arguments) -> None:
    if parsed.file is None and parsed.payload is None:
        raise UsageError("FILE is missing (or --payload, for a job type that takes no file)")
    if parsed.on is not None and parsed.email is None:
        raise UsageError("--on needs --email: who should get the mail?")
    if parsed.email is not None:
        try:
            validate_email(parsed.email, "--email")
        except DecodeError:
            raise UsageError(f"--email: {parsed.email} is not an email address") from None
    if parsed.output is not None and not parsed.watch:
        raise UsageError("--output needs --watch: there is no result before the job is done")


def _submit(api: JobsApi, terminal: Terminal, parsed: Arguments) -> Job:
    err = terminal["err"]
    known = type_to_submit(api, parsed.job_type)
    uploaded = None if parsed.file is None else _upload(api, err, parsed.file)
    domain, now = None if known is None else known["about"]["domain"], terminal["clock"].now()
    submitted = submit_once(
        api, lambda file_id: job_body(parsed, domain, file_id, now), uploaded, parsed.idempotency_key
    )
    job = submitted["job"]
    if uploaded is not None:
        say(err, f"uploaded   {visible(uploaded['name'])}, {human_size(uploaded['bytes'])}")
    before = ", before" if submitted["repeated"] else ""
    say(err, f"submitted  {parsed.job_type} as job {job['job_id']}{before}")
    say(err, f"page       {api.page_url(job['domain'], job['job_id'])}")
    return job


def _upload(api: JobsApi, err: Console, path: Path) -> Uploaded:
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=path.stat().st_size)
        return api.upload(path, lambda count: progress.advance(task, count))


def _print_submitted(terminal: Terminal, job: Job, *, json: bool) -> None:
    """Print the id of a job that nobody watches, for the next command."""
    reference = f"{job['domain']}/{job['job_id']}"
    if json:
        write_line(terminal["out"], encode_json({"domain": job["domain"], "job_id": job["job_id"]}))
    else:
        write_line(terminal["out"], reference)
        say(terminal["err"], f"follow it  jobs watch {reference}")


def _idempotency_key(text: str) -> str:
    if not fullmatch(r"[!-~]{1,255}", text):
        raise ArgumentTypeError("KEY is 1 to 255 visible ASCII characters without a space")
    return text


COMMAND: Final = Command(
    "submit",
    "upload a file and submit a job for it",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
