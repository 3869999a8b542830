"""What Mailtrap makes of a request: its rules for one mail and for a batch, as its API describes them.

Source: the OpenAPI description of the sending API (github.com/mailtrap/mailtrap-openapi) and the limits in
DESIGN section 9.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, convert_as, encode_json

MAX_BATCH = 500
MAX_RECIPIENTS = 1000
MAX_CATEGORY = 255
MAX_VARIABLES_BYTES = 1000

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
    """

    inbox: str | None
    mail: WireMail
    message_ids: list[str]


class Verdict(TypedDict):
    """What Mailtrap answers, and the mails it took."""

    status: int
    body: JsonValue
    mails: list[ReceivedMail]


def judge(path: str, body: JsonValue, failing: Sequence[int], count: int) -> Verdict:
    """Answer a request as Mailtrap would.

    Args:
        path: the request's path.
        body: its JSON body.
        failing: positions in a batch to refuse though nothing is wrong with them.
        count: how many mails were taken so far; message ids go on from there.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return _refused(404, "Not Found")
    if not isinstance(body, dict):
        return _refused(400, "the body must be an object")
    inbox: str | None = match["inbox"]
    kind: str = match["kind"]
    if kind == "batch":
        return _judge_batch(body, inbox, failing, count)
    try:
        mail = _read_mail(body)
    except DecodeError as error:
        return _refused(400, str(error))
    taken = _take(mail, inbox, count)
    return {"status": 200, "body": _taken(taken), "mails": [taken]}


def _judge_batch(body: JsonObject, inbox: str | None, failing: Sequence[int], count: int) -> Verdict:
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
            taken = _take(mail, inbox, count + len(mails))
            responses.append(_taken(taken))
            mails.append(taken)
    return {"status": 200, "body": {"success": True, "responses": responses}, "mails": mails}


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


def _take(mail: WireMail, inbox: str | None, count: int) -> ReceivedMail:
    # The sandbox answers with one id in all, production with one for each recipient.
    ids = len(mail["to"]) if inbox is None else 1
    return {"inbox": inbox, "mail": mail, "message_ids": [f"message-{count}-{part}" for part in range(ids)]}


def _taken(taken: ReceivedMail) -> JsonObject:
    ids: list[JsonValue] = [*taken["message_ids"]]
    return {"success": True, "message_ids": ids}


def _refused(status: int, reason: str) -> Verdict:
    return {"status": status, "body": {"success": False, "errors": [reason]}, "mails": []}
