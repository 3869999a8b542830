"""The mail that stands for many: how many jobs ended, in what time, and a list of them.

It looks like the mail about one job (`rendering`): the same frame, the same cleaning of what jobs say.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypedDict, assert_never

from platform_core.notifications import EventWord

from platform_notify.messages import MAX_SUBJECT, clean_line
from platform_notify.plain_words import human_span, human_time
from platform_notify.rendering import (
    MAX_ID,
    MAX_NAME,
    MAX_PREVIEW,
    TEMPLATES,
    HeadWords,
    MailFacts,
    RenderedMail,
    safe_link,
)

_MAX_REASON: Final = 160


class DigestFacts(TypedDict):
    """What is known about many jobs' ends.

    Attributes:
        domain: that of all the jobs.
        event: how all of them ended.
        total: how many there are, at least as many as `items`.
        span: the time in which they ended.
        items: what is known about each of the first ones, oldest first.
    """

    domain: str
    event: EventWord
    total: int
    span: timedelta
    items: Sequence[MailFacts]


class _Item(TypedDict):
    job: str
    reason: str
    time: str
    job_id: str
    link: str | None


class _DigestView(TypedDict):
    """What the templates see."""

    words: HeadWords
    preview: str
    explanation: str
    items: list[_Item]
    more: str


def render_digest(facts: DigestFacts, unsubscribe: str | None = None) -> RenderedMail:
    """Write the mail about many jobs' ends.

    Args:
        facts: what is known; control characters and overlong texts in it are taken care of.
        unsubscribe: where to stop such mails; None for nowhere.
    """
    domain = clean_line(facts["domain"], MAX_NAME)
    words = _words(facts, domain)
    items = [_item(one, domain) for one in facts["items"]]
    left = facts["total"] - len(items)
    view: _DigestView = {
        "words": words,
        "preview": clean_line(", ".join(item["job"] for item in items) or words["lead"], MAX_PREVIEW),
        "explanation": "So that they do not fill your mailbox, they come in one mail.",
        "items": items,
        "more": f"… and {left} more." if left > 0 else "",
    }
    return {
        "subject": clean_line(f"{words['subject']}: {domain}", MAX_SUBJECT),
        "text": TEMPLATES.get_template("digest.txt").render(mail=view, unsubscribe=unsubscribe),
        "html": TEMPLATES.get_template("digest.html").render(mail=view, unsubscribe=unsubscribe),
    }


def _words(facts: DigestFacts, domain: str) -> HeadWords:
    jobs = "1 more job" if facts["total"] == 1 else f"{facts['total']} more jobs"
    span = human_span(facts["span"])
    match facts["event"]:
        case "FAILURE":
            return {
                "tone": "bad",
                "badge": "Failed",
                "subject": f"{jobs} failed in the last {span}",
                "headline": f"{jobs} failed in the last {span}",
                "lead": f"They are jobs of {domain}, after one that you had a mail about.",
            }
        case "SUCCESS":
            return {
                "tone": "good",
                "badge": "Done",
                "subject": f"{jobs} finished in the last {span}",
                "headline": f"{jobs} finished in the last {span}",
                "lead": f"They are jobs of {domain}, after one that you had a mail about.",
            }
        case _ as never:
            assert_never(never)


def _item(facts: MailFacts, domain: str) -> _Item:
    reason = clean_line(facts["message"] or "", _MAX_REASON)
    if facts["event"] == "FAILURE" and not reason:
        reason = "It gave no reason."
    return {
        "job": clean_line(facts["job_type"] or "", MAX_NAME) or f"A job of {domain}",
        "reason": reason,
        "time": "" if facts["finished_at"] is None else human_time(facts["finished_at"]),
        "job_id": clean_line(facts["job_id"], MAX_ID),
        "link": safe_link(facts["link"]),
    }
