"""What every mail provider promises, and the words in which it answers.

The error classes are the only thing the retry decision looks at, so a provider's whole
knowledge of its own failures ends in one of them.
"""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias, TypedDict
from urllib.parse import quote

from platform_core.clock import Clock
from platform_core.errors import DecodeError, PlatformError
from platform_core.notifications import validate_email

from platform_notify.messages import (
    MAX_CATEGORY,
    MAX_SUBJECT,
    MailMessage,
    clean_line,
)
from platform_notify.providers.secret import Secret

ErrorClass = Literal[
    "connect", "timeout", "rate_limited", "server", "refused", "auth", "unexpected", "no_time"
]
"""Why a mail was not sent.

- `connect`: no connection could be made.
- `timeout`: no answer in time.
- `rate_limited`: too much at once; wait `retry_after`.
- `server`: the provider is broken (5xx, a reset, an answer nobody can read).
- `refused`: this mail will never be taken (400, 413, 422, a permanent SMTP 5xx).
- `auth`: the account or the set-up is refused; no mail at all will pass until a person looks.
- `unexpected`: anything else.
- `no_time`: it was not tried; what was sent before it took all the time there was.
"""

SENDING_SECONDS: Final = 25.0
"""For how long one call of a provider begins with further mails.

Well below what a whole call may take: what was begun last is to come back in time too, or nobody would know
what became of the mails before it.
"""

MAX_DETAIL = 500

# Short enough for a header line and for Mailtrap's 1,000 bytes of custom variables.
_URL_CHARACTERS = ":/?#[]@!$&'()*+,;=%-._~"
_DELIVERY_ID = re.compile(r"[!-~]{1,200}")


class Sent(TypedDict):
    """The provider took the mail.

    Attributes:
        message_ids: the provider's names for it; may be empty.
        answer: what the provider said, one line.
    """

    outcome: Literal["sent"]
    message_ids: list[str]
    answer: str


class Failed(TypedDict):
    """The provider did not take the mail, or nobody knows whether it did.

    Attributes:
        error_class: what to do about it.
        detail: why, one line of at most 500 characters, without secrets: fit for a log.
        retry_after: seconds the provider asked to wait, None if it did not.
        ambiguous: True if the mail may have been delivered all the same.
    """

    outcome: Literal["failed"]
    error_class: ErrorClass
    detail: str
    retry_after: float | None
    ambiguous: bool


SendResult: TypeAlias = Sent | Failed


class SenderAddress(TypedDict):
    """Who the mail comes from.

    Attributes:
        email: a valid address.
        name: the name shown beside it; empty for none.
    """

    email: str
    name: str


class ProviderCheckError(PlatformError):
    """The provider cannot be used as it is set up; the message says why, for the operator."""


class MailProvider(Protocol):
    """Takes mails and says of each what became of it. One object serves several threads."""

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        """Send the mails; never raises for a fault of the provider or the network.

        Args:
            messages: the mails.
            seconds: for how long to begin with further ones; what was not begun by then is `no_time`. The
                fate of at least one is found out in any case, or with a slow server no mail would ever leave.

        Returns:
            One result for each message, in the same order.
        """

    def check(self) -> str:
        """Try the set-up without sending a mail.

        Returns:
            One sentence for the operator.

        Raises:
            ProviderCheckError: the provider cannot be used; the message says why.
        """

    def close(self) -> None:
        """Let go of connections. May be called more than once."""


def sent(message_ids: Sequence[str], answer: str) -> Sent:
    """Make the result of a mail that was taken."""
    return {"outcome": "sent", "message_ids": list(message_ids), "answer": clean_line(answer, MAX_DETAIL)}


def failed(
    error_class: ErrorClass,
    detail: str,
    *,
    secrets: Sequence[Secret] = (),
    retry_after: float | None = None,
    ambiguous: bool = False,
) -> Failed:
    """Make the result of a mail that was not taken.

    Args:
        error_class: what to do about it.
        detail: why; made one line, cut to 500 characters and cleared of `secrets`.
        secrets: what must not be seen in the detail.
        retry_after: seconds the provider asked to wait.
        ambiguous: True if the mail may have been delivered all the same.
    """
    return {
        "outcome": "failed",
        "error_class": error_class,
        "detail": clean_line(without_secrets(detail, secrets), MAX_DETAIL),
        "retry_after": retry_after,
        "ambiguous": ambiguous,
    }


def not_tried() -> Failed:
    """Make the result of a mail for which no time was left."""
    return failed("no_time", "not tried: no time was left for it; it goes with the next ones")


def one_by_one(
    messages: Sequence[MailMessage], send: Callable[[MailMessage], SendResult], clock: Clock, seconds: float
) -> list[SendResult]:
    """Send each mail by itself, beginning with none but the first once so many seconds are over."""
    until = clock.monotonic() + seconds
    results: list[SendResult] = []
    for message in messages:
        is_late = results and clock.monotonic() >= until
        results.append(not_tried() if is_late else send(message))
    return results


def without_secrets(text: str, secrets: Sequence[Secret]) -> str:
    """Replace every secret in a text, as it is and in base64 (as SMTP carries it), by `***`."""
    for secret in secrets:
        plain = secret.reveal()
        encoded = base64.b64encode(plain.encode()).decode()
        # An empty secret stands between any two characters.
        if plain:
            text = text.replace(plain, "***").replace(encoded, "***")
    return text


def refusal(message: MailMessage) -> Failed | None:
    """Say why a mail cannot be given to any provider, or None if it can.

    The recipient is checked again here, right before it goes out: an address with a comma or a line break in
    it would be several recipients, or another header.
    """
    try:
        validate_email(message["to"], "to")
    except DecodeError as error:
        return failed("refused", f"the recipient is no valid address: {error}")
    if _DELIVERY_ID.fullmatch(message["delivery_id"]) is None:
        return failed("refused", "the delivery id is not 1 to 200 visible ASCII characters")
    return None


def wire_address(email: str) -> str:
    """Give an address with its domain in ASCII, as every mail server understands it, where that is safe.

    The standard library knows the older rules for such domains (IDNA 2003), which turn a few letters into
    others (`ß` into `ss`, another domain); an address with one of these stays as it is.
    """
    local, _, domain = email.rpartition("@")
    try:
        ascii_domain = domain.encode("idna")
        if ascii_domain.decode("idna") != domain.lower():
            return email
    except UnicodeError:
        return email
    return f"{local}@{ascii_domain.decode('ascii')}"


def safe_subject(message: MailMessage) -> str:
    """Give the subject as one line of at most 150 characters, whatever the message holds."""
    return clean_line(message["subject"], MAX_SUBJECT) or "(no subject)"


def safe_category(message: MailMessage) -> str:
    """Give the category as one line of at most 255 characters (Mailtrap's limit)."""
    return clean_line(message["category"], MAX_CATEGORY)


def safe_body(text: str) -> str:
    """Give a text or HTML part without what UTF-8 cannot carry (lone surrogates) and mail must not (NUL)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def extra_headers(message: MailMessage) -> dict[str, str]:
    """Give the headers every provider adds, each in ASCII and on one line.

    `X-Delivery-Id` lets a person see that two mails are one delivery sent twice. `Auto-Submitted` keeps
    holiday replies and other robots from answering (RFC 3834 section 5). The `List-Unsubscribe` pair makes
    mail programs offer to stop such mails with one click (RFC 2369, RFC 8058).
    """
    headers = {"X-Delivery-Id": message["delivery_id"], "Auto-Submitted": "auto-generated"}
    # A character that ends the address, or that no header holds, would make it another one.
    url = quote(message.get("unsubscribe_url", ""), safe=_URL_CHARACTERS)
    if url:
        headers["List-Unsubscribe"] = f"<{url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers
