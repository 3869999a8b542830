"""Every kind of message that is no event of a domain, for tests and measurements of whoever hears events."""

from typing import Final, Literal, TypedDict

from platform_core.job_events import (
    DIGITS,
    TURKIC,
    JobDomain,
    encode_job_event,
    make_completed_event,
    make_event_type,
)

TEN_MEGABYTES: Final = 10_000_000


class InvalidMessage(TypedDict):
    """One message.

    Attributes:
        data: the message, as published.
        kind: what it comes out as: `unknown` is well-formed and no fault.
        reason: how the reason begins of one that cannot be decoded; the type of an unknown one.
    """

    data: bytes
    kind: Literal["undecodable", "unknown"]
    reason: str


def invalid_messages(domain: JobDomain, *, big: int = TEN_MEGABYTES) -> dict[str, InvalidMessage]:
    """Return one message of each kind, by the name of the kind.

    Args:
        domain: on whose channel or log they are published.
        big: how long the two long ones are, in bytes.
    """
    other = DIGITS if domain == TURKIC else TURKIC
    event = completed_event(domain)
    kind_type = f'"type":"{make_event_type(domain, "completed")}"'
    not_json = "$: expected JSON text"
    bad_id = "$.job_id: expected 1 to 128 characters"
    progress = (
        f'{{"type":"{make_event_type(domain, "progress")}","domain":"{domain}","job_id":"j","user_id":7'
    )
    return {
        "nothing": undecodable("", not_json),
        "white space": undecodable(" \n", not_json),
        "no JSON": undecodable("completed j1", not_json),
        "half an event": undecodable(event[: len(event) // 2], not_json),
        "two events": undecodable(event + event, not_json),
        "an array": undecodable(f"[{event}]", "$: expected object, found array"),
        "null": undecodable("null", "$: expected object, found null"),
        "no type": undecodable("{}", "$.type: expected str, found missing"),
        "a type that is no text": undecodable('{"type":7}', "$.type: expected str of 1 to 128"),
        "a type that is too long": undecodable(
            f'{{"type":"{"x" * 129}"}}', "$.type: expected str of 1 to 128"
        ),
        "a field is missing": undecodable(event.replace('"job_id":"j",', ""), "$.job_id: expected"),
        "text for a number": undecodable(event.replace(":7,", ':"7",'), "$.user_id: expected int, found str"),
        "a bool for a number": undecodable(
            event.replace(":7,", ":true,"), "$.user_id: expected int, found bool"
        ),
        "a number beyond 64 bits": undecodable(event.replace(":7,", f":{2**64},"), "$"),
        "not a number": undecodable(event.replace(":7,", ":NaN,"), not_json),
        "a size below zero": undecodable(event.replace(":5", ":-5"), "$.result_bytes: expected"),
        "a progress above 100": undecodable(f'{progress},"progress":101}}', "$.progress: expected"),
        "an id with a colon": undecodable(event.replace('"j"', '"a:b"'), bad_id),
        "an id with a newline": undecodable(event.replace('"j"', '"a\\nb"'), bad_id),
        "an id that ends with a newline": undecodable(event.replace('"j"', '"j\\n"'), bad_id),
        "an id that is too long": undecodable(event.replace('"j"', f'"{"j" * 129}"'), bad_id),
        "an empty id": undecodable(event.replace('"j"', '""'), bad_id),
        "a half character": undecodable(event.replace('"r"', '"\\ud800"'), not_json),
        "binary": {"data": bytes(range(256)), "kind": "undecodable", "reason": not_json},
        "binary in a field": {
            "data": event.encode().replace(b'"r"', b'"\xff\xfe"'),
            "kind": "undecodable",
            "reason": not_json,
        },
        "deep nesting": undecodable(
            '{"type":"x","a":' + "[" * 200 + "]" * 200 + "}", "$: expected at most 100"
        ),
        "very deep nesting": undecodable("[" * 100_000, "$: expected"),
        "ten megabytes of nothing": undecodable(" " * big, "longer than"),
        "ten megabytes of an event": undecodable(event[:-1] + " " * (big - len(event)) + "}", "longer than"),
        "another domain's event": undecodable(
            completed_event(other), "$.type: expected an event of the domain"
        ),
        "a type and a domain that differ": undecodable(
            event.replace(f'"domain":"{domain}"', f'"domain":"{other}"'),
            "$.domain: expected the domain that $.type names",
        ),
        "a later version": unknown(event.replace(".v1", ".v2"), f"{domain}.job.completed.v2"),
        "an event nobody knows": unknown(event.replace(".completed.", ".paused."), f"{domain}.job.paused.v1"),
        "another family": unknown('{"type":"weather.rain.v1","drops":3}', "weather.rain.v1"),
        "the type alone, of a later version": unknown(
            f'{{{kind_type[:-2]}9"}}', f"{domain}.job.completed.v9"
        ),
    }


def completed_event(domain: JobDomain) -> str:
    """Return the text of an event that is in order; the invalid ones are made of it."""
    return encode_job_event(
        make_completed_event(domain=domain, job_id="j", user_id=7, result_id="r", result_bytes=5)
    )


def undecodable(text: str, reason: str) -> InvalidMessage:
    """Return a message that cannot be decoded."""
    return {"data": text.encode(), "kind": "undecodable", "reason": reason}


def unknown(text: str, event_type: str) -> InvalidMessage:
    """Return a well-formed message that nobody here knows."""
    return {"data": text.encode(), "kind": "unknown", "reason": event_type}
