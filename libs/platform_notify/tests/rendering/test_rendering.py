"""The mail answers: what job, what happened, why, how long, where to look; and nothing in it can do harm."""

import json
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Literal

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy, characters, none, one_of, text
from jinja2.exceptions import UndefinedError
from platform_core.notifications import EventWord
from typing_extensions import override

from platform_notify.messages import MAX_SUBJECT
from platform_notify.rendering import (
    MAX_MESSAGE,
    MAX_MESSAGE_LINES,
    TEMPLATES,
    MailFacts,
    render_mail,
)

CREATED = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
ANY_TEXT: SearchStrategy[str] = text(characters(), max_size=80)
ANY_LINK: SearchStrategy[str | None] = one_of(none(), ANY_TEXT)


def facts() -> MailFacts:
    return {
        "domain": "files",
        "job_id": "job-1",
        "job_type": "csv.column_stats",
        "event": "FAILURE",
        "error_kind": "system",
        "message": "disk full",
        "attempts": 1,
        "created_at": CREATED,
        "started_at": CREATED + timedelta(seconds=1),
        "finished_at": CREATED + timedelta(seconds=43),
        "result_id": None,
        "result_bytes": None,
        "link": "https://jobs.example.com/jobs/files/job-1",
    }


class Tags(HTMLParser):
    """Notes every tag and every link of a page, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    @override
    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize(
    ("event", "error_kind", "result_id", "subject"),
    [
        ("SUCCESS", None, "r-1", "Your result is ready: csv.column_stats"),
        ("SUCCESS", None, None, "Your job is done: csv.column_stats"),
        ("FAILURE", "user", None, "Job failed, please check your input: csv.column_stats"),
        ("FAILURE", "system", None, "Job failed, not your fault: csv.column_stats"),
        ("FAILURE", None, None, "Job failed: csv.column_stats"),
    ],
)
def test_the_subject_says_what_happened(
    event: EventWord, error_kind: Literal["user", "system"] | None, result_id: str | None, subject: str
) -> None:
    mail = render_mail({**facts(), "event": event, "error_kind": error_kind, "result_id": result_id})
    assert mail["subject"] == subject


def test_both_parts_say_what_why_how_long_and_where() -> None:
    mail = render_mail(facts())
    for part in (mail["text"], " ".join(Tags(mail["html"]).words)):
        for words in (
            "csv.column_stats",
            "not your fault",
            "disk full",
            "42 s",
            "job-1",
            "9 Mar 2026, 08:00 UTC",
        ):
            assert words in part
    assert "https://jobs.example.com/jobs/files/job-1" in mail["text"]
    assert Tags(mail["html"]).links == ["https://jobs.example.com/jobs/files/job-1"]


def test_a_user_fault_says_what_to_change() -> None:
    text_part = render_mail({**facts(), "error_kind": "user", "message": "Row 3 has 4 fields"})["text"]
    assert "Row 3 has 4 fields" in text_part
    assert "Correct this and send the job again" in text_part
    assert "our side" not in text_part


def test_a_failure_without_a_reason_says_so() -> None:
    for silent in (None, "", " \x00\n"):
        assert "It gave no reason." in render_mail({**facts(), "message": silent})["text"]
    assert "It gave no reason." not in render_mail(facts())["text"]


def test_several_tries_are_mentioned() -> None:
    assert "We tried 3 times." in render_mail({**facts(), "attempts": 3})["text"]
    for attempts in (None, 1):
        assert "We tried" not in render_mail({**facts(), "attempts": attempts})["text"]


def test_without_a_start_the_time_since_the_submission_counts() -> None:
    assert "Took, with waiting: 43 s" in render_mail({**facts(), "started_at": None})["text"]


def test_without_any_times_none_is_made_up() -> None:
    text_part = render_mail({**facts(), "created_at": None, "started_at": None, "finished_at": None})["text"]
    assert "Took" not in text_part
    assert "Finished" not in text_part


def test_a_start_without_an_end_has_no_duration() -> None:
    assert "Took" not in render_mail({**facts(), "finished_at": None})["text"]


def test_only_a_long_wait_is_worth_a_line() -> None:
    assert "Waited before" not in render_mail(facts())["text"]
    late: MailFacts = {**facts(), "started_at": CREATED + timedelta(minutes=1)}
    assert "Waited before: 1 min" in render_mail(late)["text"]


def test_without_a_link_the_mail_says_whom_to_ask() -> None:
    mail = render_mail({**facts(), "event": "SUCCESS", "link": None})
    assert "give the job id below to the team that runs files" in mail["text"]
    assert Tags(mail["html"]).links == []


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,hello",
        "//example.com/x",
        "https://",
        "https://[broken",
        "https://example.com/a b",
        "https://example.com/\r\nBcc: x@example.com",
        "https://example.com/" + "a" * 3000,
        "",
    ],
)
def test_only_a_web_address_becomes_a_link(link: str) -> None:
    mail = render_mail({**facts(), "link": link})
    assert Tags(mail["html"]).links == []
    assert "See the job" not in mail["text"]


def test_a_long_message_is_cut() -> None:
    text_part = render_mail({**facts(), "message": "x" * 5000})["text"]
    assert "x" * (MAX_MESSAGE - 1) + "…" in text_part
    assert "x" * MAX_MESSAGE not in text_part


def test_a_message_of_many_lines_is_cut() -> None:
    lines = [f"line {number}" for number in range(50)]
    text_part = render_mail({**facts(), "message": "\n".join(lines)})["text"]
    assert f"line {MAX_MESSAGE_LINES - 1}\n    …\n" in text_part
    assert f"line {MAX_MESSAGE_LINES}" not in text_part


def test_an_event_nobody_knows_is_a_fault_of_ours() -> None:
    event: EventWord = json.loads('"MAYBE"')
    with pytest.raises(AssertionError):
        render_mail({**facts(), "event": event})
    kind: Literal["user", "system"] = json.loads('"nobody"')
    with pytest.raises(AssertionError):
        render_mail({**facts(), "error_kind": kind})


def test_a_template_that_asks_for_what_it_does_not_get_fails() -> None:
    with pytest.raises(UndefinedError):
        TEMPLATES.from_string("{{ mail.nothing }}").render(mail={})


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_LINK)
def test_nothing_a_job_says_becomes_markup_or_a_header(
    job_type: str, message: str, job_id: str, link: str | None
) -> None:
    usual = Tags(render_mail({**facts(), "message": "a", "link": None})["html"]).tags
    hostile: MailFacts = {
        **facts(),
        "job_type": f"<b>{job_type}",
        "message": f"<script>{message}",
        "job_id": f"</td>{job_id}",
        "link": link,
    }
    mail = render_mail(hostile)
    found = Tags(mail["html"])
    assert [tag for tag in found.tags if tag not in {"br", "a"}] == usual
    assert all(link_found is None or link_found.startswith("http") for link_found in found.links)
    assert len(mail["subject"]) <= MAX_SUBJECT
    # What the standard library itself takes as a header without complaint.
    SMTP.header_factory("Subject", mail["subject"])
    assert not set("\r\n\x00") & set(mail["subject"])
