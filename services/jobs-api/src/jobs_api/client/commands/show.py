"""`jobs show`: prints what is known of a job."""

from argparse import ArgumentParser
from typing import Final

from platform_notify.plain_words import human_size
from rich.table import Table
from rich.text import Text

from jobs_api.client.api import JobsApi
from jobs_api.client.command import Command
from jobs_api.client.documents import Job
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.references import Reference, add_job, looking_for
from jobs_api.client.session import Session
from jobs_api.client.terminal import Terminal, write_line
from jobs_api.client.words import visible


class Arguments:
    """What may be written after `jobs show`."""

    job: Reference
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    parser.add_argument("--json", action="store_true", help="print the whole record as JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print the job's record."""
    with looking_for(parsed.job):
        _show(session.connect(), session.terminal, parsed)
    return EXIT_OK


def _show(api: JobsApi, terminal: Terminal, parsed: Arguments) -> None:
    domain, job_id, _ = parsed.job
    if parsed.json:
        write_line(terminal["out"], api.job_text(domain, job_id))
        return
    terminal["out"].print(_record_table(api.job(domain, job_id), api.page_url(domain, job_id)))


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


COMMAND: Final = Command(
    "show", "print what is known of a job", arguments=Arguments, add_arguments=add_arguments, run=run
)
