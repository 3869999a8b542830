"""`jobs submit`: uploads a file and submits a job for it."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, encode_json
from platform_core.notifications import EVENT_WORDS, EventWord, validate_email
from platform_notify.plain_words import human_size
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import parse_option, parse_outcomes
from jobs_api.client.command import Command
from jobs_api.client.documents import Job, Uploaded
from jobs_api.client.errors import UsageError
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.session import Session
from jobs_api.client.terminal import Terminal, say, write_line
from jobs_api.client.watching import following, watch_job
from jobs_api.client.words import visible

DEFAULT_USER_ID: Final = 1


class Arguments:
    """What may be written after `jobs submit`."""

    job_type: str
    file: Path
    email: str | None
    on: list[EventWord] | None
    user_id: int
    option: Sequence[tuple[str, JsonValue]]
    watch: bool
    output: Path | None
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("job_type", metavar="JOB_TYPE", help="such as csv.column_stats")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to work on")
    parser.add_argument("--email", metavar="ADDRESS", help="send a mail to this address")
    parser.add_argument(
        "--on",
        metavar="OUTCOMES",
        type=parse_outcomes,
        help="success, failure or success,failure (default): when to mail",
    )
    parser.add_argument(
        "--user-id", metavar="NUMBER", type=int, default=DEFAULT_USER_ID, help="whose job it is (default 1)"
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
    parser.add_argument("--watch", action="store_true", help="follow the job and print its result")
    parser.add_argument("--output", metavar="PATH", type=Path, help="save the result here (with --watch)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Upload the file, submit the job, and follow it if that was asked for."""
    _check(parsed)
    how = following(parsed.output, json=parsed.json)
    api, terminal = session.connect(), session.terminal
    job = _submit(api, terminal["err"], parsed)
    if parsed.watch:
        return watch_job(api, terminal, job["domain"], job["job_id"], how)
    _print_submitted(terminal, job, json=parsed.json)
    return EXIT_OK


def job_body(parsed: Arguments, file_id: str) -> JsonObject:
    """Return the body of `POST /v1/jobs`."""
    # The last of a name counts.
    payload: JsonObject = {**dict(parsed.option), "file_id": file_id}
    body: JsonObject = {
        "job_type": parsed.job_type,
        "user_id": parsed.user_id,
        "payload": payload,
    }
    if parsed.email is not None:
        body["context"] = {"user_id": str(parsed.user_id), "email": parsed.email}
        outcomes = EVENT_WORDS if parsed.on is None else parsed.on
        body["notifications"] = {"email": {"enabled": True, "on": [*outcomes]}}
    return body


def _check(parsed: Arguments) -> None:
    if parsed.on is not None and parsed.email is None:
        raise UsageError("--on needs --email: who should get the mail?")
    if parsed.email is not None:
        try:
            validate_email(parsed.email, "--email")
        except DecodeError:
            raise UsageError(f"--email: {parsed.email} is not an email address") from None
    if parsed.output is not None and not parsed.watch:
        raise UsageError("--output needs --watch: there is no result before the job is done")


def _submit(api: JobsApi, err: Console, parsed: Arguments) -> Job:
    uploaded = _upload(api, err, parsed.file)
    job = api.submit(job_body(parsed, uploaded["file_id"]))
    say(err, f"uploaded   {visible(uploaded['name'])}, {human_size(uploaded['bytes'])}")
    say(err, f"submitted  {parsed.job_type} as job {job['job_id']}")
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


COMMAND: Final = Command(
    "submit",
    "upload a file and submit a job for it",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
