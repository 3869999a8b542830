"""What the page says of a job: from its record to plain words. Pure; the template escapes."""

from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias, TypedDict

from platform_core.clock import to_iso
from platform_core.job_types import JobRecord, JobStatusLiteral, is_outcome
from platform_notify.plain_words import human_duration, human_size, human_time

Tone: TypeAlias = Literal["calm", "good", "bad"]

USER_ADVICE: Final = "The file or the options are at fault. Mend them and submit the job again."
SYSTEM_ADVICE: Final = "This is a fault on our side, not of your file. You can submit the job again later."
CANCELLED_ADVICE: Final = "It was stopped on request, before it was done. It can be started again."
RETRY_ADVICE: Final = "It will be tried again by itself."
LATER_ADVICE: Final = "It begins at the time below, or as soon as a worker is free after it."
UNSERVED_ADVICE: Final = "No worker serves the queue {}. It begins when whoever runs this service starts one."
ABANDONED_ADVICE: Final = (
    "Its worker has stopped answering. The job is tried again when a worker takes over, "
    "if it has an attempt left."
)
QUEUED_ADVICE: Final = "It begins as soon as a worker is free. You can close this page; the job goes on."

_BADGES: Final[dict[JobStatusLiteral, tuple[str, Tone]]] = {
    "queued": ("Waiting for a worker", "calm"),
    "processing": ("Running", "calm"),
    "completed": ("Done", "good"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Cancelled", "bad"),
}


class Fact(NamedTuple):
    """One line of the list: its name, its value, and the moment it stands for (ISO 8601) or an empty text."""

    name: str
    value: str
    moment: str = ""


class LogLine(TypedDict):
    """One line of the job's log."""

    time: str
    clock: str
    level: str
    message: str


class PageWords(TypedDict):
    """Everything the template shows of a job.

    Attributes:
        badge: the status in words.
        tone: its colour.
        heading: what kind of job it is.
        percent: how far it is, 0 to 100.
        running: whether a worker is at it now, so that a bar makes sense.
        waits: whether it may come to wait for a worker, or for another one, without an event.
        step: what it is doing.
        outcome: what came out, in a few words; empty until it is done.
        error: why it failed, or why the last attempt did; empty for none.
        advice: what the reader can do; empty for nothing.
        size: of the result; empty for none.
        facts: the rest.
    """

    badge: str
    tone: Tone
    heading: str
    percent: int
    running: bool
    waits: bool
    step: str
    outcome: str
    error: str
    advice: str
    size: str
    facts: list[Fact]


def page_words(record: JobRecord, unserved: str | None, *, abandoned: bool) -> PageWords:
    """Return what the page says of a job.

    Args:
        record: the job.
        unserved: the queue in which it waits, if no worker serves it.
        abandoned: whether its worker is silent.
    """
    status = record["status"]
    badge, tone = _BADGES["queued" if abandoned else status]
    advice = ABANDONED_ADVICE if abandoned else _advice(record)
    if unserved is not None:
        nobody = UNSERVED_ADVICE.format(unserved)
        advice = f"{advice} {nobody}" if abandoned else nobody
    return {
        "badge": badge,
        "tone": tone,
        "heading": record["job_type"] or "Job",
        "percent": record["progress"],
        "running": status == "processing",
        "waits": not is_outcome(status),
        "step": record["message"] or "",
        "outcome": (record["message"] or "") if status == "completed" else "",
        "error": "" if status in {"completed", "cancelled"} else record["error"] or "",
        "advice": advice,
        "size": human_size(record["result_bytes"]) if "result_bytes" in record else "",
        "facts": _facts(record),
    }


def _advice(record: JobRecord) -> str:
    match record["status"]:
        case "failed":
            return USER_ADVICE if record.get("error_kind") == "user" else SYSTEM_ADVICE
        case "cancelled":
            return CANCELLED_ADVICE
        case "queued" | "processing" if record["error"]:
            return RETRY_ADVICE
        case "queued":
            return LATER_ADVICE if "run_after" in record else QUEUED_ADVICE
        case _:
            return ""


def _facts(record: JobRecord) -> list[Fact]:
    facts = [Fact("Job", record["job_id"]), _moment("Submitted", record["created_at"])]
    if "run_after" in record:
        facts.append(_moment("Not before", record["run_after"]))
    if "started_at" in record:
        facts.append(_moment("Started", record["started_at"]))
    if "finished_at" in record:
        facts.append(_moment("Finished", record["finished_at"]))
        if "started_at" in record:
            facts.append(Fact("Took", human_duration(record["finished_at"] - record["started_at"])))
    if record["attempt_count"] > 1:
        facts.append(Fact("Attempts", f"{record['attempt_count']} of at most {record['max_attempts']}"))
    return facts


def _moment(name: str, moment: datetime) -> Fact:
    return Fact(name, human_time(moment), to_iso(moment))
