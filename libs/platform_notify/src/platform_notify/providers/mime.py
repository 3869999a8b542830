"""A mail as RFC 5322 text, for the providers that hand over a whole message (Maildir and SMTP)."""

import hashlib
import re
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime

from platform_notify.messages import MAX_SENDER_NAME, MailMessage, clean_line
from platform_notify.providers.base import SenderAddress, extra_headers, safe_body, safe_subject, wire_address

# RFC 5322 section 3.2.3: what the left side of a Message-ID may hold without quotes.
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def compose(message: MailMessage, sender: SenderAddress, date: datetime, line_end: str) -> bytes:
    """Write one mail with a text and an HTML part, 7 bits wide unless an address needs more.

    Args:
        message: the mail; its recipient is a valid address (see `refusal`).
        sender: who it comes from.
        date: the Date header, aware.
        line_end: CR LF on the wire, LF in a file.
    """
    international = is_international(message, sender)
    rules: EmailPolicy[EmailMessage[str, str | Address]] = EmailPolicy(
        cte_type="7bit", utf8=international, linesep=line_end, refold_source="none"
    )
    mail: EmailMessage[str, str | Address] = EmailMessage(policy=rules)
    mail["Message-ID"] = message_id(message, sender)
    mail["Date"] = format_datetime(date)
    mail["From"] = _address(sender["email"], clean_line(sender["name"], MAX_SENDER_NAME))
    mail["To"] = _address(message["to"], "")
    mail.set_raw("Subject", _encoded(safe_subject(message), line_end))
    for name, value in extra_headers(message).items():
        # As it is: a long address would be taken for text and become encoded words, which are no address.
        mail.set_raw(name, value)
    mail.set_content(safe_body(message["text"]))
    mail.add_alternative(safe_body(message["html"]), subtype="html")
    return mail.as_bytes()


def message_id(message: MailMessage, sender: SenderAddress) -> str:
    """Derive the Message-ID from the delivery id, so that a repeated mail carries the same one."""
    left = message["delivery_id"]
    if _DOT_ATOM.fullmatch(left) is None:
        left = hashlib.sha256(left.encode()).hexdigest()
    return f"<{left}@{wire_address(sender['email']).rpartition('@')[2]}>"


def is_international(message: MailMessage, sender: SenderAddress) -> bool:
    """Tell whether an address holds more than ASCII, so that the mail needs SMTPUTF8 (RFC 6531)."""
    return not (wire_address(message["to"]) + wire_address(sender["email"])).isascii()


def _encoded(subject: str, line_end: str) -> str:
    """Fold and encode a subject; the message's own way now and then drops a space between encoded words."""
    charset = "us-ascii" if subject.isascii() and "=?" not in subject else "utf-8"
    return Header(subject, charset, header_name="Subject").encode(linesep=line_end)


def _address(email: str, name: str) -> Address:
    local, _, domain = wire_address(email).rpartition("@")
    return Address(display_name=name, username=local, domain=domain)
