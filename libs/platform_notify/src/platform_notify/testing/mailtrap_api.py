"""What Mailtrap makes of a request: its rules for a mail, a batch and its log, as its API describes them.

Source: the OpenAPI description of the sending API (github.com/mailtrap/mailtrap-openapi) and its limits
of `custom_variables` (1,000 bytes) and `category` (255 characters).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypedDict

from platform_core.clock import to_iso
from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, convert_as, encode_json

MAX_BATCH = 500
MAX_RECIPIENTS = 1000
MAX_CATEGORY = 255
MAX_VARIABLES_BYTES = 1000

LOG_PAGE = 100
"""How many entries are on a page of the log; the API does not say how many Mailtrap gives."""

_LOG_PATH = re.compile(r"/api/accounts/[0-9]+/email_logs")
_PATH = re.compile(r"/api/(?P<kind>send|batch)(/(?P<inbox>[0-9]+))?")


class WireAddress(TypedDict):
    """An address in a request."""

    email: str
    name: NotRequired[str]


# `from` is a word of the language, so this one is written as a call.
WireMail = TypedDict(
    "WireMail",
    {
        "from": WireAddress,
        "to": list[WireAddress],
        "subject": str,
        "text": NotRequired[str],
        "html": NotRequired[str],
        "category": NotRequired[str],
        "headers": NotRequired[dict[str, str]],
        "custom_variables": NotRequired[dict[str, str]],
    },
)


class ReceivedMail(TypedDict):
    """A mail that was taken.

    Attributes:
        inbox: the sandbox inbox that caught it; None if it was sent for real.
        mail: as it came, a batch's base filled in.
        message_ids: what was answered for it.
        taken_at: when.
    """

    inbox: str | None
    mail: WireMail
    message_ids: list[str]
    taken_at: datetime


class Verdict(TypedDict):
    """What Mailtrap answers, and the mails it took."""

    status: int
    body: JsonValue
    mails: list[ReceivedMail]


def judge(path: str, body: JsonValue, failing: Sequence[int], count: int, now: datetime) -> Verdict:
    """Answer a request as Mailtrap would.

    Args:
        path: the request's path.
        body: its JSON body.
        failing: positions in a batch to refuse though nothing is wrong with them.
        count: how many mails were taken so far; message ids go on from there.
        now: the present time.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return _refused(404, "Not Found")
    if not isinstance(body, dict):
        return _refused(400, "the body must be an object")
    inbox: str | None = match["inbox"]
    kind: str = match["kind"]
    if kind == "batch":
        return _judge_batch(body, inbox, failing, count, now)
    try:
        mail = _read_mail(body)
    except DecodeError as error:
        return _refused(400, str(error))
    taken = _take(mail, inbox, count, now)
    return {"status": 200, "body": _taken(taken), "mails": [taken]}


def _judge_batch(
    body: JsonObject, inbox: str | None, failing: Sequence[int], count: int, now: datetime
) -> Verdict:
    base, requests = body.get("base", {}), body.get("requests")
    if not isinstance(base, dict) or not isinstance(requests, list) or not 0 < len(requests) <= MAX_BATCH:
        return _refused(400, f"'requests' must be 1 to {MAX_BATCH} mails, 'base' an object")
    responses: list[JsonValue] = []
    mails: list[ReceivedMail] = []
    for position, request in enumerate(requests):
        try:
            if position in failing:
                raise DecodeError("$.to", "an address that is not suppressed", "str")
            mail = _read_mail({**base, **request} if isinstance(request, dict) else request)
        except DecodeError as error:
            responses.append({"success": False, "errors": [str(error)]})
        else:
            taken = _take(mail, inbox, count + len(mails), now)
            responses.append(_taken(taken))
            mails.append(taken)
    return {"status": 200, "body": {"success": True, "responses": responses}, "mails": mails}


def read_log(path: str, query: Mapping[str, list[str]], mails: Sequence[ReceivedMail]) -> Verdict:
    """Answer a question to the email log: mails that were sent for real, the newest first.

    Args:
        path: the request's path, without the query.
        query: its parameters; `filters[sent_after]`, `filters[to]` with `ci_equal` and `search_after` are
            kept to, others are ignored, as Mailtrap does with those it does not know.
        mails: what was taken, in order.
    """
    if _LOG_PATH.fullmatch(path) is None:
        return {"status": 404, "body": {"error": "Not Found"}, "mails": []}
    since = datetime.fromisoformat(query.get("filters[sent_after]", ["1970-01-01T00:00:00Z"])[0])
    names = query.get("filters[to][value][]", []) + query.get("filters[to][value]", [])
    wanted = {name.lower() for name in names}
    entries: list[JsonObject] = [
        {
            "message_id": message_id,
            "status": "delivered",
            "to": address["email"],
            "sent_at": to_iso(taken["taken_at"]),
            "custom_variables": {**taken["mail"].get("custom_variables", {})},
        }
        for taken in reversed(mails)
        if taken["inbox"] is None and taken["taken_at"] >= since
        for address, message_id in zip(taken["mail"]["to"], taken["message_ids"], strict=True)
        if not wanted or address["email"].lower() in wanted
    ]
    after = query.get("search_after", [""])[0]
    start = next((place + 1 for place, entry in enumerate(entries) if entry["message_id"] == after), 0)
    page: list[JsonValue] = [*entries[start : start + LOG_PAGE]]
    has_more = start + LOG_PAGE < len(entries)
    cursor = entries[start + LOG_PAGE - 1]["message_id"] if has_more else None
    return {
        "status": 200,
        "body": {"messages": page, "total_count": len(entries), "next_page_cursor": cursor},
        "mails": [],
    }


def _read_mail(body: JsonValue) -> WireMail:
    mail = convert_as(body, WireMail)
    for path, rule in _broken_rules(mail):
        raise DecodeError(path, rule, "something else")
    return mail


def _broken_rules(mail: WireMail) -> Iterator[tuple[str, str]]:
    if not mail["subject"]:
        yield "$.subject", "a subject"
    if not mail.get("text") and not mail.get("html"):
        yield "$.text", "a text or an HTML part"
    if not 0 < len(mail["to"]) <= MAX_RECIPIENTS:
        yield "$.to", f"1 to {MAX_RECIPIENTS} recipients"
    if any("@" not in address["email"] for address in [mail["from"], *mail["to"]]):
        yield "$.to", "an email address"
    if len(mail.get("category", "")) > MAX_CATEGORY:
        yield "$.category", f"at most {MAX_CATEGORY} characters"
    variables: JsonObject = {**mail.get("custom_variables", {})}
    if len(encode_json(variables).encode()) > MAX_VARIABLES_BYTES:
        yield "$.custom_variables", f"at most {MAX_VARIABLES_BYTES} bytes"


def _take(mail: WireMail, inbox: str | None, count: int, now: datetime) -> ReceivedMail:
    # The sandbox answers with one id in all, production with one for each recipient.
    ids = len(mail["to"]) if inbox is None else 1
    message_ids = [f"message-{count}-{part}" for part in range(ids)]
    return {"inbox": inbox, "mail": mail, "message_ids": message_ids, "taken_at": now}


def _taken(taken: ReceivedMail) -> JsonObject:
    ids: list[JsonValue] = [*taken["message_ids"]]
    return {"success": True, "message_ids": ids}


def _refused(status: int, reason: str) -> Verdict:
    return {"status": status, "body": {"success": False, "errors": [reason]}, "mails": []}
