"""The mail that stands for many says how many, in what time, and which; and nothing in it can do harm."""

import json
from datetime import timedelta
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis.strategies import characters, integers, lists, text
from platform_core.notifications import EventWord

from platform_notify.digest_rendering import DigestFacts, render_digest
from platform_notify.messages import MAX_SUBJECT
from platform_notify.rendering import MailFacts
from platform_notify.sample_mails import DIGESTS, SAMPLES

LINK = "https://jobs.example.com/jobs/files/j1"


def item(job_id: str = "j1") -> MailFacts:
    return {**SAMPLES["user_fault"], "job_id": job_id, "link": LINK}


def facts(total: int = 2) -> DigestFacts:
    return {
        "domain": "files",
        "event": "FAILURE",
        "total": total,
        "span": timedelta(minutes=10),
        "items": [item("j1"), item("j2")],
    }


@pytest.mark.parametrize(
    ("event", "total", "span", "subject"),
    [
        ("FAILURE", 17, timedelta(minutes=10), "17 more jobs failed in the last 10 minutes: files"),
        ("FAILURE", 1, timedelta(seconds=5), "1 more job failed in the last minute: files"),
        ("SUCCESS", 3, timedelta(hours=3), "3 more jobs finished in the last 3 hours: files"),
    ],
)
def test_the_subject_says_how_many_and_when(
    event: EventWord, total: int, span: timedelta, subject: str
) -> None:
    mail = render_digest({**facts(total), "event": event, "span": span})
    assert mail["subject"] == subject
    assert mail["text"].startswith(subject.removesuffix(": files"))


def test_both_parts_say_of_each_what_why_when_and_where() -> None:
    mail = render_digest(facts())
    for part in (mail["text"], mail["html"]):
        for words in (
            "csv.column_stats",
            "Row 1,874 has 9 fields",
            "9 Mar 2026, 08:17 UTC",
            "j1",
            "j2",
            LINK,
        ):
            assert words in part
    assert "more." not in mail["text"]


def test_those_that_are_not_listed_are_counted() -> None:
    mail = render_digest(facts(total=60))
    assert "… and 58 more." in mail["text"]
    assert "… and 58 more." in mail["html"]


def test_of_none_that_can_be_read_there_is_still_the_number() -> None:
    mail = render_digest({**facts(total=4), "items": []})
    assert mail["subject"].startswith("4 more jobs failed")
    assert "… and 4 more." in mail["text"]


def test_what_is_not_known_is_not_made_up() -> None:
    bare: MailFacts = {**item(), "job_type": None, "message": None, "finished_at": None, "link": None}
    told = render_digest({**facts(), "items": [bare]})
    assert "A job of files\n    It gave no reason.\n    job id j1\n" in told["text"]
    assert "href" not in told["html"]
    assert "UTC" not in told["html"]
    good: MailFacts = {**bare, "event": "SUCCESS"}
    assert "A job of files\n    job id j1\n" in render_digest({**facts(), "items": [good]})["text"]


def test_an_event_nobody_knows_is_a_fault_of_ours() -> None:
    event: EventWord = json.loads('"MAYBE"')
    with pytest.raises(AssertionError):
        render_digest({**facts(), "event": event})


@given(lists(text(characters(), max_size=200), max_size=5), integers(0, 9000))
def test_nothing_a_job_says_becomes_markup_or_a_header(words: list[str], total: int) -> None:
    items: list[MailFacts] = [
        {
            **item(f"<i>{word}"),
            "domain": word,
            "job_type": f"<b>{word}",
            "message": f"<script>{word}",
            "link": f"javascript:{word}",
        }
        for word in words
    ]
    mail = render_digest({**DIGESTS["digest"], "domain": "<u>\r\nBcc: x", "total": total, "items": items})
    for tag in ("<script", "<i>", "<b>", "<u>", "javascript:"):
        assert tag not in mail["html"]
    assert len(mail["subject"]) <= MAX_SUBJECT
    SMTP.header_factory("Subject", mail["subject"])
    assert not set("\r\n\x00") & set(mail["subject"])
