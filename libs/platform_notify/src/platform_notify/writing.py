"""From a delivery to the mail that goes out: one about a job, or a digest of many."""

from collections.abc import Sequence
from typing import Protocol

from platform_core.clock import Clock
from platform_core.job_events import JobDomain

from platform_notify.deliveries import Delivery
from platform_notify.digest_rendering import render_digest
from platform_notify.messages import MailMessage
from platform_notify.rendering import RenderedMail, render_mail


class UnsubscribeLinkMaker(Protocol):
    """Who makes links to stop mails; see `unsubscribe.UnsubscribeLinks`."""

    def link(self, domain: JobDomain, users: Sequence[str]) -> str | None:
        """Return the link for these users, or None."""


class MailWriter:
    """Writes mails.

    Args:
        clock: the present time; a digest says how long ago its jobs ended.
        links: makes the links to stop mails; None if there are none.
    """

    def __init__(self, clock: Clock, links: UnsubscribeLinkMaker | None = None) -> None:
        self._clock = clock
        self._links = links

    def write(self, delivery: Delivery) -> MailMessage:
        """Write the mail of a delivery that was claimed."""
        link = self._link(delivery)
        outcome = delivery["event"].lower()
        is_digest = "gathered" in delivery
        mail = self._digest(delivery, link) if is_digest else render_mail(delivery["facts"], link)
        message: MailMessage = {
            "delivery_id": delivery["delivery_id"],
            "to": delivery["recipient"],
            "subject": mail["subject"],
            "text": mail["text"],
            "html": mail["html"],
            "category": f"job_{outcome}_digest" if is_digest else f"job_{outcome}",
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
        }
        if link is not None:
            message["unsubscribe_url"] = link
        return message

    def _digest(self, delivery: Delivery, link: str | None) -> RenderedMail:
        return render_digest(
            {
                "domain": delivery["domain"],
                "event": delivery["event"],
                "total": delivery.get("gathered", 0),
                "span": self._clock.now() - delivery["created_at"],
                "items": [item["facts"] for item in delivery.get("items", [])],
            },
            link,
        )

    def _link(self, delivery: Delivery) -> str | None:
        if self._links is None:
            return None
        users = [item["subscriber"] for item in delivery.get("items", []) if "subscriber" in item]
        if "subscriber" in delivery:
            users.append(delivery["subscriber"])
        return self._links.link(delivery["domain"], users)
