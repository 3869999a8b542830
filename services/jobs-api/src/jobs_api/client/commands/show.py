"""`jobs show`: prints what is known of a job."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Final

from platform_notify.plain_words import human_size
from rich.text import Text

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.documents import Job
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.queues import ABANDONED_WORDS, is_abandoned, queue_of, queue_words
from jobs_api.client.references import Reference, add_job, looking_for, name_of
from jobs_api.client.session import Session
from jobs_api.client.statuses import status_text
from jobs_api.client.tables import print_facts
from jobs_api.client.terminal import Terminal, write_line
from jobs_api.client.words import visible


class Arguments:
    """What may be written after `jobs show`."""

    job: Reference
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser, "the whole record as JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print the job's record."""
    with looking_for(parsed.job):
        _show(session.connect(), session.terminal, parsed)
    return EXIT_OK


def _show(api: JobsApi, terminal: Terminal, parsed: Arguments) -> None:
    domain, job_id, _ = parsed.job
    if parsed.json:
        write_line(terminal["out"], api.job_text(domain, job_id))
    else:
        job = api.job(domain, job_id)
        queue = queue_of(api, job, terminal["clock"])
        waiting = [ABANDONED_WORDS] if is_abandoned(job, terminal["clock"]) else []
        if queue is not None and queue["workers"] == 0:
            waiting.append(queue_words(queue))
        print_facts(terminal["out"], _facts(job, "; ".join(waiting), api.page_url(domain, job_id)))


def _facts(job: Job, waiting: str, page: str) -> Mapping[str, Text | str]:
    return {
        "job": name_of(job),
        "type": visible(job.get("job_type", "")),
        "status": status_text(job["status"]),
        "queue": visible(job.get("queue", "")),
        "waiting": waiting,
        "progress": f"{job['progress']} %",
        "message": "" if job["error"] else visible(job["message"] or ""),
        "error": visible(job["error"] or ""),
        "run": str(job["run"]) if job.get("run", 1) > 1 else "",
        "attempts": _attempts(job),
        "priority": job["priority"] if job.get("priority", "normal") != "normal" else "",
        "user": str(job.get("user_id", "")),
        "created": job["created_at"],
        "not before": job.get("run_after", ""),
        "started": job.get("started_at", ""),
        "worker": visible(job.get("locked_by", "")),
        "finished": job.get("finished_at", ""),
        "result": human_size(job["result_bytes"]) if "result_bytes" in job else "",
        "page": page,
    }


def _attempts(job: Job) -> str:
    if "attempt_count" not in job or "max_attempts" not in job:
        return ""
    return f"{job['attempt_count']} of at most {job['max_attempts']}"


COMMAND: Final = Command(
    "show", "print what is known of a job", arguments=Arguments, add_arguments=add_arguments, run=run
)
