"""A mail to try a provider with."""

from platform_notify.messages import MailMessage


def sample_message(number: int = 0) -> MailMessage:
    """Make a harmless mail; its delivery id, subject and recipient carry the number."""
    return {
        "delivery_id": f"delivery-{number}",
        "to": f"person{number}@example.com",
        "subject": f"Mail number {number}",
        "text": f"Text of mail {number}\n",
        "html": f"<p>HTML of mail {number}</p>\n",
        "category": "job-outcome",
        "domain": "files",
        "job_id": f"job-{number}",
    }
