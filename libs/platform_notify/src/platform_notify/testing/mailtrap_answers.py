"""What the local Mailtrap can be told to answer."""

from typing import Literal, TypedDict

from platform_core.json_values import JsonValue, encode_json

_REASONS = {
    400: "'subject' is required",
    401: "Unauthorized",
    403: "Forbidden",
    413: "Payload too large",
    422: "Unprocessable",
    429: "Too many requests",
    500: "Internal server error",
}
_BAD_GATEWAY = 502
_TAKEN = "taken-"
_TOO_MANY_REQUESTS = 429


class Answer(TypedDict):
    """One answer.

    Attributes:
        kind: `judge` reads the mails and answers as Mailtrap would; `reply` says the rest of this record;
            `hang` never answers; `reset` cuts the connection.
        status: the HTTP status of a `reply`.
        headers: further headers of a `reply`.
        body: the body of a `reply`, as it stands.
        failing: the positions in a batch that `judge` refuses though nothing is wrong with them.
        taking: the mails are taken all the same, whatever is answered.
    """

    kind: Literal["judge", "reply", "hang", "reset"]
    status: int
    headers: dict[str, str]
    body: str
    failing: list[int]
    taking: bool


def ok() -> Answer:
    """Take every mail that is complete, as Mailtrap does."""
    return _answer("judge")


def items_failing(*positions: int) -> Answer:
    """Answer a batch with 200, but refuse the mails at these positions (from 0)."""
    return {**_answer("judge"), "failing": list(positions)}


def error(status: int, *reasons: str) -> Answer:
    """Answer with a status and Mailtrap's error body."""
    words = list(reasons) or [_REASONS.get(status, f"status {status}")]
    errors: list[JsonValue] = [*words]
    return reply(status, encode_json({"success": False, "errors": errors}))


def rate_limited(retry_after: str) -> Answer:
    """Answer 429 with a Retry-After header (seconds, or an HTTP date)."""
    return {**error(_TOO_MANY_REQUESTS), "headers": {"Retry-After": retry_after}}


def bad_gateway() -> Answer:
    """Answer as a proxy whose backend is gone: 502 and a page of HTML."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    return {**reply(_BAD_GATEWAY, page), "headers": {"Content-Type": "text/html"}}


def success_false(*reasons: str) -> Answer:
    """Answer 200, yet say that the request failed."""
    errors: list[JsonValue] = [*(reasons or ("not today",))]
    return reply(200, encode_json({"success": False, "errors": errors}))


def empty() -> Answer:
    """Answer 200 with nothing in it."""
    return reply(200, "")


def reply(status: int, body: str) -> Answer:
    """Answer with this status and this body, whatever was asked."""
    return {**_answer("reply"), "status": status, "body": body}


def hang() -> Answer:
    """Read the request and never answer, until the server is closed."""
    return _answer("hang")


def reset() -> Answer:
    """Read the request and cut the connection."""
    return _answer("reset")


def taken_but(answer: Answer) -> Answer:
    """Take the mails, then give this answer all the same: who sent them cannot know."""
    return {**answer, "taking": True}


def parse_answer(text: str) -> Answer:
    """Read an answer from the command line.

    Args:
        text: `ok`, a status, `429:SECONDS`, `502` (with a page of HTML), `success-false`, `empty`, `hang`,
            `reset`, or `items:0,3` (the positions to refuse); with `taken-` before it the mails are taken
            all the same, as in `taken-500`.

    Raises:
        ValueError: no such answer.
    """
    if text.startswith(_TAKEN):
        return taken_but(parse_answer(text.removeprefix(_TAKEN)))
    word, _, detail = text.partition(":")
    plain = {"ok": ok, "502": bad_gateway, "success-false": success_false, "empty": empty, "hang": hang}
    if not detail and word in plain:
        return plain[word]()
    match word:
        case "reset" if not detail:
            return reset()
        case "items" if detail:
            return items_failing(*(int(position) for position in detail.split(",")))
        case "429" if detail:
            return rate_limited(detail)
        case _ if not detail and word.isdigit():
            return error(int(word))
        case _:
            raise ValueError(f"no such answer: {text}")


def _answer(kind: Literal["judge", "reply", "hang", "reset"]) -> Answer:
    return {"kind": kind, "status": 200, "headers": {}, "body": "", "failing": [], "taking": False}
