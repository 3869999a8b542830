"""The mail a person reads: what job, what happened, why if it failed, how long it took, where to look.

One set of words feeds the text and the HTML part, so they always say the same. Everything that comes from a
job is cleaned and bounded here and escaped by the template.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypedDict, assert_never
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, select_autoescape
from platform_core.notifications import EventWord

from platform_notify.messages import MAX_SUBJECT, clean_line, clean_text
from platform_notify.plain_words import human_duration, human_size, human_time
from platform_notify.strict_templates import StrictMissing

TEMPLATE_VERSION = "2"
"""Changes whenever the words or the looks do; kept in the record of each delivery."""

MAX_MESSAGE = 1000
MAX_MESSAGE_LINES = 20
MAX_NAME = 64
MAX_ID = 128
_MAX_LINK = 2000
MAX_PREVIEW = 120
# A shorter wait is not worth a line.
_LONG_WAIT = timedelta(minutes=1)


class MailFacts(TypedDict):
    """What is known about a job's end.

    Attributes:
        domain: the job's domain.
        job_id: the job's id.
        job_type: what kind of job it was; None if it was not started through the job store.
        event: how it ended.
        error_kind: whose fault a failure is; None if unknown or not a failure.
        message: why it failed, or the last thing it said.
        attempts: how many times it was tried.
        created_at: when it was submitted, aware.
        started_at: when it was started for the first time, aware.
        finished_at: when it ended, aware.
        result_id: the name of its result.
        result_bytes: the size of its result.
        link: where to look, an http or https URL.
    """

    domain: str
    job_id: str
    job_type: str | None
    event: EventWord
    error_kind: Literal["user", "system"] | None
    message: str | None
    attempts: int | None
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    result_id: str | None
    result_bytes: int | None
    link: str | None


class RenderedMail(TypedDict):
    """A mail without its addresses."""

    subject: str
    text: str
    html: str


class HeadWords(TypedDict):
    """What stands above everything else; `frame.html` shows it."""

    tone: Literal["good", "change", "bad"]
    badge: str
    subject: str
    headline: str
    lead: str


class _Words(HeadWords):
    """What the kind of end makes the mail say."""

    message_title: str
    advice: str | None


class _Row(TypedDict):
    label: str
    value: str
    code: bool


class _MailView(TypedDict):
    """What the templates see."""

    words: _Words
    preview: str
    message_lines: list[str]
    rows: list[_Row]
    link: str | None
    where: str | None


def render_mail(facts: MailFacts, unsubscribe: str | None = None) -> RenderedMail:
    """Write the mail about a job's end.

    Args:
        facts: what is known; control characters and overlong texts in it are taken care of.
        unsubscribe: where to stop such mails; None for nowhere.
    """
    domain = clean_line(facts["domain"], MAX_NAME)
    job_type = clean_line(facts["job_type"] or "", MAX_NAME)
    words = _words(facts, f"Your job {job_type}" if job_type else f"Your {domain} job")
    rows = _rows(facts, job_type, domain)
    message_lines = _message_lines(facts["message"])
    view: _MailView = {
        "words": words,
        # The grey line that a mailbox shows beside the subject.
        "preview": clean_line(" ".join(message_lines) or words["lead"], MAX_PREVIEW),
        "message_lines": message_lines,
        "rows": rows,
        "link": safe_link(facts["link"]),
        # A failure that is ours says the same as its advice.
        "where": None if words["tone"] == "bad" else f"To look it up, {_ask_the_team(facts)}",
    }
    return {
        "subject": clean_line(f"{words['subject']}: {job_type or domain}", MAX_SUBJECT),
        "text": TEMPLATES.get_template("mail.txt").render(mail=view, unsubscribe=unsubscribe),
        "html": TEMPLATES.get_template("mail.html").render(mail=view, unsubscribe=unsubscribe),
    }


def _words(facts: MailFacts, job: str) -> _Words:
    match facts["event"]:
        case "SUCCESS":
            ready = "Your job is done" if facts["result_id"] is None else "Your result is ready"
            return {
                "tone": "good",
                "badge": "Done",
                "subject": ready,
                "headline": ready,
                "lead": f"{job} finished.",
                "message_title": "The job says",
                "advice": None,
            }
        case "FAILURE":
            return _failure_words(facts, job)
        case _ as never:
            assert_never(never)


def _failure_words(facts: MailFacts, job: str) -> _Words:
    tried = f" We tried {facts['attempts']} times." if (facts["attempts"] or 0) > 1 else ""
    again = f"You can send the job again. If it fails again, {_ask_the_team(facts)}"
    reason = "" if _message_lines(facts["message"]) else " It gave no reason."
    match facts["error_kind"]:
        case "user":
            return {
                "tone": "change",
                "badge": "Needs a change",
                "subject": "Job failed, please check your input",
                "headline": "Please check your input",
                "lead": f"{job} stopped because something is wrong with what it was given.{reason}",
                "message_title": "What is wrong",
                "advice": "Correct this and send the job again. Unchanged, it will fail again.",
            }
        case "system":
            return {
                "tone": "bad",
                "badge": "Failed",
                "subject": "Job failed, not your fault",
                "headline": "Your job failed. It is not your fault.",
                "lead": f"{job} stopped because something went wrong on our side.{tried}{reason}",
                "message_title": "What happened",
                "advice": f"There is nothing you need to change. {again}",
            }
        case None:
            return {
                "tone": "bad",
                "badge": "Failed",
                "subject": "Job failed",
                "headline": "Your job failed",
                "lead": f"{job} did not finish.{tried}{reason}",
                "message_title": "What happened",
                "advice": again,
            }
        case _ as never:
            assert_never(never)


def _ask_the_team(facts: MailFacts) -> str:
    return f"give the job id below to the team that runs {clean_line(facts['domain'], MAX_NAME)}."


def _rows(facts: MailFacts, job_type: str, domain: str) -> list[_Row]:
    created, started, finished = facts["created_at"], facts["started_at"], facts["finished_at"]
    rows = [_row("Job", job_type)] if job_type else []
    rows.append(_row("Service", domain))
    if started is not None and finished is not None:
        rows.append(_row("Took", human_duration(finished - started)))
    elif created is not None and finished is not None:
        rows.append(_row("Took, with waiting", human_duration(finished - created)))
    if created is not None and started is not None and started - created >= _LONG_WAIT:
        rows.append(_row("Waited before", human_duration(started - created)))
    if finished is not None:
        rows.append(_row("Finished", human_time(finished)))
    if facts["result_bytes"] is not None:
        rows.append(_row("Result size", human_size(facts["result_bytes"])))
    if facts["result_id"] is not None:
        rows.append(_row("Result", clean_line(facts["result_id"], MAX_ID), code=True))
    rows.append(_row("Job id", clean_line(facts["job_id"], MAX_ID), code=True))
    return rows


def _row(label: str, value: str, *, code: bool = False) -> _Row:
    return {"label": label, "value": value, "code": code}


def _message_lines(message: str | None) -> list[str]:
    text = clean_text(message or "", MAX_MESSAGE)
    if not text:
        return []
    lines = text.split("\n")
    if len(lines) > MAX_MESSAGE_LINES:
        return [*lines[:MAX_MESSAGE_LINES], "…"]
    return lines


def safe_link(link: str | None) -> str | None:
    """Let through only what is a web address as it stands: a `javascript:` link would run."""
    if link is None or link != clean_line(link, _MAX_LINK) or " " in link:
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in {"http", "https"} and parts.netloc else None


# The templates write `mail["words"]`, not `mail.words`: a dotted name is looked for as an attribute first,
# and failing at that 75 times a mail took half the time of filling them in.
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictMissing,
    autoescape=select_autoescape(["html"], default=False),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    # Templates are part of the package: no looking whether the file has changed, twice for each mail.
    auto_reload=False,
)
