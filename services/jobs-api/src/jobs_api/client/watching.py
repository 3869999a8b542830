"""Follows a job to its outcome and gives its result: for `watch`, `submit --watch` and `retry --watch`."""

from pathlib import Path
from typing import Final, NotRequired, TypedDict

from platform_notify.plain_words import human_size
from rich.console import Console

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import Download
from jobs_api.client.display import BarDisplay, Display, JsonDisplay, LineDisplay
from jobs_api.client.documents import Job
from jobs_api.client.errors import RefusedError, StoppedError
from jobs_api.client.exit_codes import EXIT_FAILED, EXIT_OK
from jobs_api.client.following import follow
from jobs_api.client.references import NOT_FOUND
from jobs_api.client.results import check_target, is_small, print_exact, print_result, save
from jobs_api.client.terminal import Terminal, say, tell, write
from jobs_api.client.words import visible

CANONICAL_TYPE: Final = "json.canonicalize"


class Following(TypedDict):
    """How a job is followed.

    Attributes:
        json: print events as JSON lines and the result as it is.
        output: where the result is saved; printed when left out.
    """

    json: bool
    output: NotRequired[Path]


def following(output: Path | None, *, json: bool) -> Following:
    """Return how to follow a job.

    Raises:
        OSError: a result can't be saved at `output`; found before anything is done.
    """
    if output is None:
        return {"json": json}
    check_target(output)
    return {"json": json, "output": output}


def watch_job(api: JobsApi, terminal: Terminal, domain: str, job_id: str, how: Following) -> int:
    """Follow a job to its outcome, then give its result or say why it has none; return the exit code.

    Raises:
        StoppedError: whoever watched stopped it.
    """
    try:
        job = _last_state(api, terminal, domain, job_id, how)
    except KeyboardInterrupt:
        raise StoppedError("stopped watching; the job itself goes on") from None
    if job is None or job["status"] != "completed":
        _explain(terminal["err"], job)
        return EXIT_FAILED
    _give_result(api, terminal, job, how)
    return EXIT_OK


def _last_state(api: JobsApi, terminal: Terminal, domain: str, job_id: str, how: Following) -> Job | None:
    job: Job | None = None
    with _display(terminal, json=how["json"]) as display:
        for update in follow(api, domain, job_id, wait=terminal["wait"], clock=terminal["clock"]):
            display.show(update)
            if update["kind"] == "state":
                job = update["job"]
    # The last update is always the state with the outcome.
    return job


def _display(terminal: Terminal, *, json: bool) -> Display:
    if json:
        return JsonDisplay(lambda line: write(terminal["out"], line))
    if terminal["err"].is_terminal:
        return BarDisplay(terminal["err"])
    return LineDisplay(terminal["err"], terminal["clock"])


def _give_result(api: JobsApi, terminal: Terminal, job: Job, how: Following) -> None:
    if how["json"] and "output" not in how:
        # The stream of events is the output; the record in its last line has the result's id.
        return
    if "result_id" not in job:
        say(terminal["err"], "The job has no result.")
        return
    try:
        with api.result(job["domain"], job["job_id"]) as download:
            _give_file(terminal, job, how, download)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        # Another team's result may lie anywhere; its id is all that is known here.
        say(terminal["err"], "The result is not a file of this service. It is known as:")
        say(terminal["err"] if how["json"] else terminal["out"], visible(job["result_id"]))


def _give_file(terminal: Terminal, job: Job, how: Following, download: Download) -> None:
    if "output" in how:
        size = save(download, how["output"])
        say(terminal["err"], f"saved      {how['output']}, {human_size(size)}")
    elif is_small(download):
        # The form of a canonical text is all there is to it.
        show_result = print_exact if job.get("job_type") == CANONICAL_TYPE else print_result
        show_result(terminal["out"], b"".join(download.chunks()))
    else:
        size_text = human_size(job.get("result_bytes", 0))
        say(terminal["err"], f"The result has {size_text}. To save it:")
        say(terminal["err"], f"  jobs watch {job['domain']}/{job['job_id']} --output FILE")


def _explain(err: Console, job: Job | None) -> None:
    if job is None or job["status"] == "cancelled":
        tell(err, "The job was cancelled.")
        return
    tell(err, f"The job failed: {visible(job['error'] or 'no reason was given')}")
    if job.get("error_kind") == "user":
        tell(err, "The file or the options are at fault. Mend them and submit again.")
    else:
        tell(err, "This is a fault on our side, not of your file. Try again later.")
