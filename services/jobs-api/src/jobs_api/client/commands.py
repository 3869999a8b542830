"""What each command of `jobs` does; returns the exit code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from platform_core.clock import Clock
from platform_core.json_values import JsonObject, JsonValue, encode_json
from platform_core.notifications import EventWord
from platform_notify.plain_words import human_size
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from jobs_api.client.api import Download, Job, JobsApi, RefusedError, Uploaded
from jobs_api.client.display import BarDisplay, Display, JsonDisplay, LineDisplay
from jobs_api.client.following import follow
from jobs_api.client.results import is_small, print_exact, print_result, save
from jobs_api.client.words import visible

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1

NOT_FOUND: Final = 404
CANONICAL_TYPE: Final = "json.canonicalize"


class Terminal(TypedDict):
    """Where a command writes, and what it waits with.

    Attributes:
        out: results: what another program may read.
        err: everything about the way there.
        clock: tells the time.
        wait: waits so many seconds.
    """

    out: Console
    err: Console
    clock: Clock
    wait: Callable[[float], object]


class Submission(TypedDict):
    """What `jobs submit` was asked for.

    Attributes:
        job_type: such as `csv.column_stats`.
        path: the file to work on.
        options: further fields of the payload.
        user_id: whose job it is.
        email: who gets a mail.
        on: on which outcomes.
    """

    job_type: str
    path: Path
    options: Mapping[str, JsonValue]
    user_id: int
    email: NotRequired[str]
    on: Sequence[EventWord]


class Following(TypedDict):
    """How a job is followed.

    Attributes:
        json: print events as JSON lines and the result as it is.
        output: where the result is saved; printed when left out.
    """

    json: bool
    output: NotRequired[Path]


def submit(api: JobsApi, terminal: Terminal, submission: Submission) -> Job:
    """Upload the file and submit the job."""
    err = terminal["err"]
    uploaded = _upload(api, err, submission["path"])
    job = api.submit(job_body(submission, uploaded["file_id"]))
    _say(err, f"uploaded   {visible(uploaded['name'])}, {human_size(uploaded['bytes'])}")
    _say(err, f"submitted  {submission['job_type']} as job {job['job_id']}")
    _say(err, f"page       {api.page_url(job['domain'], job['job_id'])}")
    return job


def print_submitted(terminal: Terminal, job: Job, *, json: bool) -> int:
    """Print the id of a job that nobody watches, for the next command."""
    reference = f"{job['domain']}/{job['job_id']}"
    if json:
        _write_line(terminal["out"], encode_json({"domain": job["domain"], "job_id": job["job_id"]}))
    else:
        _write_line(terminal["out"], reference)
        _say(terminal["err"], f"follow it  jobs watch {reference}")
    return EXIT_OK


def job_body(submission: Submission, file_id: str) -> JsonObject:
    """Return the body of `POST /v1/jobs`."""
    payload: JsonObject = {**submission["options"], "file_id": file_id}
    body: JsonObject = {
        "job_type": submission["job_type"],
        "user_id": submission["user_id"],
        "payload": payload,
    }
    if "email" in submission:
        body["context"] = {"user_id": str(submission["user_id"]), "email": submission["email"]}
        body["notifications"] = {"email": {"enabled": True, "on": [*submission["on"]]}}
    return body


def watch(api: JobsApi, terminal: Terminal, domain: str, job_id: str, following: Following) -> int:
    """Follow a job to its outcome, then give its result or say why it has none."""
    job: Job | None = None
    with _display(terminal, json=following["json"]) as display:
        for update in follow(api, domain, job_id, wait=terminal["wait"]):
            display.show(update)
            if update["kind"] == "state":
                job = update["job"]
    # The last update is always the state with the outcome.
    if job is None or job["status"] != "completed":
        _explain(terminal["err"], job)
        return EXIT_FAILED
    _give_result(api, terminal, job, following)
    return EXIT_OK


def show(api: JobsApi, terminal: Terminal, domain: str, job_id: str, *, json: bool) -> int:
    """Print a job's record."""
    if json:
        _write_line(terminal["out"], api.job_text(domain, job_id))
        return EXIT_OK
    job = api.job(domain, job_id)
    terminal["out"].print(_record_table(job, api.page_url(domain, job_id)))
    return EXIT_OK


def _upload(api: JobsApi, err: Console, path: Path) -> Uploaded:
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=path.stat().st_size)
        return api.upload(path, lambda count: progress.advance(task, count))


def _display(terminal: Terminal, *, json: bool) -> Display:
    if json:
        return JsonDisplay(lambda line: _write(terminal["out"], line))
    if terminal["err"].is_terminal:
        return BarDisplay(terminal["err"])
    return LineDisplay(terminal["err"], terminal["clock"])


def _give_result(api: JobsApi, terminal: Terminal, job: Job, following: Following) -> None:
    if following["json"] and "output" not in following:
        # The stream of events is the output; the record in its last line has the result's id.
        return
    if "result_id" not in job:
        _say(terminal["err"], "The job has no result.")
        return
    try:
        with api.result(job["domain"], job["job_id"]) as download:
            _give_file(terminal, job, following, download)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        # Another team's result may lie anywhere; its id is all that is known here.
        _say(terminal["err"], "The result is not a file of this service. It is known as:")
        _say(terminal["err"] if following["json"] else terminal["out"], visible(job["result_id"]))


def _give_file(terminal: Terminal, job: Job, following: Following, download: Download) -> None:
    if "output" in following:
        size = save(download, following["output"])
        _say(terminal["err"], f"saved      {following['output']}, {human_size(size)}")
    elif is_small(download):
        # The form of a canonical text is all there is to it.
        show_result = print_exact if job.get("job_type") == CANONICAL_TYPE else print_result
        show_result(terminal["out"], b"".join(download.chunks()))
    else:
        size_text = human_size(job.get("result_bytes", 0))
        _say(terminal["err"], f"The result has {size_text}. To save it:")
        _say(terminal["err"], f"  jobs watch {job['domain']}/{job['job_id']} --output FILE")


def _explain(err: Console, job: Job | None) -> None:
    if job is None or job["status"] == "cancelled":
        _say(err, "The job was cancelled.")
        return
    _say(err, f"The job failed: {visible(job['error'] or 'no reason was given')}")
    if job.get("error_kind") == "user":
        _say(err, "The file or the options are at fault. Mend them and submit again.")
    else:
        _say(err, "This is a fault on our side, not of your file. Try again later.")


def _record_table(job: Job, page: str) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "job": f"{job['domain']}/{job['job_id']}",
        "type": job.get("job_type", ""),
        "status": job["status"],
        "progress": f"{job['progress']} %",
        "message": "" if job["error"] else visible(job["message"] or ""),
        "error": visible(job["error"] or ""),
        "attempts": _attempts(job),
        "created": job["created_at"],
        "not before": job.get("run_after", ""),
        "started": job.get("started_at", ""),
        "finished": job.get("finished_at", ""),
        "result": human_size(job["result_bytes"]) if "result_bytes" in job else "",
        "page": page,
    }
    for name, value in rows.items():
        if value:
            table.add_row(Text(name), Text(value, overflow="fold"))
    return table


def _attempts(job: Job) -> str:
    if "attempt_count" not in job or "max_attempts" not in job:
        return ""
    return f"{job['attempt_count']} of at most {job['max_attempts']}"


def _say(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


def _write(console: Console, text: str) -> None:
    console.file.write(text)
    console.file.flush()


def _write_line(console: Console, text: str) -> None:
    _write(console, text + "\n")
