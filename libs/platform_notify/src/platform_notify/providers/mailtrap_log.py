"""How a question to Mailtrap's email log is put, and how its answer is read. Pure.

Source: the OpenAPI description of `GET .../email_logs` (github.com/mailtrap/mailtrap-openapi, "Email Logs")
and the official SDK's `EmailLogsApi`. The log cannot be searched by custom variables, so it is asked for the
mails to the recipients since then, and what it lists is matched by the delivery id. Filters that Mailtrap
does not know are ignored there; then there are more pages to read and the result is the same.

The SDK's own model of an entry is not used: it insists on a field (`sending_domain_id`) that the newest
description calls by another name. Only what is needed is read here.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, timedelta
from typing import Final, NotRequired, TypedDict

from platform_core.json_values import decode_as

from platform_notify.providers.base import wire_address
from platform_notify.providers.sent_log import LoggedSent, LogQuestion

MAX_PAGES: Final = 10
"""How many pages of the log are read for one question to it."""

# So that the address of the request stays below the 8 kB that servers commonly take.
_MAX_ASKED_CHARACTERS = 3_000
_CHARACTERS_OF_A_FILTER = 40
# Our clock and Mailtrap's may differ.
_SKEW = timedelta(minutes=5)


class LogEntry(TypedDict):
    """One mail that Mailtrap took, as far as it matters here."""

    message_id: str
    status: NotRequired[str]
    custom_variables: NotRequired[dict[str, object] | None]


class LogPage(TypedDict):
    """One page of the log, newest first; `next_page_cursor` is None on the last one."""

    messages: list[LogEntry]
    next_page_cursor: NotRequired[str | None]


def log_path(account_id: str) -> str:
    """Return where the log of an account is, as the official SDK asks for it."""
    return f"/api/accounts/{account_id}/email_logs"


def in_parts(questions: Sequence[LogQuestion]) -> Iterator[list[LogQuestion]]:
    """Split questions so that each part fits into one request."""
    part: list[LogQuestion] = []
    size = 0
    for question in questions:
        length = len(question["recipient"]) + _CHARACTERS_OF_A_FILTER
        if part and size + length > _MAX_ASKED_CHARACTERS:
            yield part
            part, size = [], 0
        part.append(question)
        size += length
    if part:
        yield part


def log_parameters(questions: Sequence[LogQuestion], cursor: str | None) -> dict[str, object]:
    """Return the query of a request for the mails that are asked about, at least one."""
    since = min(question["since"] for question in questions) - _SKEW
    recipients = sorted({wire_address(question["recipient"]) for question in questions})
    parameters: dict[str, object] = {
        "filters[sent_after]": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "filters[to][operator]": "ci_equal",
        "filters[to][value][]": recipients,
    }
    if cursor is not None:
        parameters["search_after"] = cursor
    return parameters


def read_page(body: bytes) -> LogPage:
    """Read one page.

    Raises:
        DecodeError: it is not what the description says.
    """
    return decode_as(body, LogPage)


def taken(entries: Iterable[LogEntry]) -> dict[str, LoggedSent]:
    """Return the mails of ours among the entries, by delivery id."""
    found: dict[str, LoggedSent] = {}
    for entry in entries:
        delivery_id = (entry.get("custom_variables") or {}).get("delivery_id")
        if isinstance(delivery_id, str):
            status = entry.get("status", "no status")
            mail = found.setdefault(delivery_id, {"found": "sent", "message_ids": [], "answer": ""})
            mail["message_ids"].append(entry["message_id"])
            mail["answer"] = f"found in Mailtrap's log: {status}"
    return found
