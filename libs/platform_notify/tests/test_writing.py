"""The mail of a delivery: one about a job, or a digest, with the link for those whose mails it stops."""

from collections.abc import Sequence
from datetime import timedelta

from pipeline_kit import NOON, facts, new_delivery
from platform_core.job_events import JobDomain
from platform_workers.testing import FakeClock

from platform_notify.deliveries import Delivery, DigestItem, decode_delivery, encode_delivery
from platform_notify.writing import MailWriter


class Links:
    """Makes links, and remembers for whom."""

    def __init__(self, link: str | None = "https://jobs.example.com/unsubscribe?token=t") -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self._link = link

    def link(self, domain: JobDomain, users: Sequence[str]) -> str | None:
        self.asked.append((domain, list(users)))
        return self._link


def delivery() -> Delivery:
    return {**decode_delivery(encode_delivery(new_delivery("j1"))), "subscriber": "u-1"}


def digest() -> Delivery:
    items: list[DigestItem] = [
        {"facts": facts("j1", "FAILURE"), "subscriber": "u-1"},
        {"facts": facts("j2", "FAILURE")},
        {"facts": facts("j3", "FAILURE"), "subscriber": "u-3"},
    ]
    found = decode_delivery({**encode_delivery(new_delivery("j1")), "gathered": "3"})
    return {**found, "event": "FAILURE", "items": items}


def test_a_mail_about_one_job() -> None:
    links = Links()
    mail = MailWriter(FakeClock(), links).write(delivery())
    assert (mail["delivery_id"], mail["to"], mail["job_id"]) == (
        delivery()["delivery_id"], "anna@example.com", "j1",
    )  # fmt: skip
    assert (mail["category"], mail["subject"]) == ("job_success", "Your result is ready: train")
    assert mail.get("unsubscribe_url") == "https://jobs.example.com/unsubscribe?token=t"
    assert "unsubscribe?token=t" in mail["text"]
    assert links.asked == [("turkic", ["u-1"])]


def test_a_digest_says_how_long_ago_and_can_be_stopped_by_all_it_is_for() -> None:
    links, clock = Links(), FakeClock(NOON + timedelta(minutes=10))
    mail = MailWriter(clock, links).write(digest())
    assert mail["subject"] == "3 more jobs failed in the last 10 minutes: turkic"
    assert mail["category"] == "job_failure_digest"
    assert "unsubscribe?token=t" in mail["html"]
    assert links.asked == [("turkic", ["u-1", "u-3"])]


def test_a_digest_that_was_not_claimed_still_says_how_many() -> None:
    found = digest()
    del found["items"]
    assert MailWriter(FakeClock()).write(found)["subject"].startswith("3 more jobs failed")


def test_without_links_or_a_user_there_is_none() -> None:
    assert "unsubscribe_url" not in MailWriter(FakeClock()).write(delivery())
    assert "unsubscribe_url" not in MailWriter(FakeClock(), Links(None)).write(digest())
    links = Links()
    nobody = delivery()
    del nobody["subscriber"]
    MailWriter(FakeClock(), links).write(nobody)
    assert links.asked == [("turkic", [])]
