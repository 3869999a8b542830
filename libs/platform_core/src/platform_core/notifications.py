"""Who wants to hear about a job, and when.

A submission may carry `context` and `notifications`. This module checks their shape: the types, the allowed
words, the form of an address. Whether the address belongs to the user is not the platform's business.
"""

from collections.abc import Sequence
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

import email_validator

from platform_core.errors import DecodeError
from platform_core.job_events import job_domain
from platform_core.json_values import JsonValue, convert_as, decode_as

EventWord: TypeAlias = Literal["SUCCESS", "FAILURE"]
MAX_USER_ID: Final = 128
MAX_DOMAINS: Final = 100
EVENT_WORDS: Final[tuple[EventWord, ...]] = ("SUCCESS", "FAILURE")


class JobContextInfo(TypedDict):
    """The field `context` of a submission: whose job it is and where to reach them."""

    user_id: NotRequired[str]
    email: NotRequired[str]


class EmailIntent(TypedDict):
    """Whether to mail, and on which outcomes."""

    enabled: bool
    on: list[EventWord]


class NotificationIntent(TypedDict):
    """The field `notifications` of a submission, one entry for each way to tell somebody."""

    email: NotRequired[EmailIntent]


class DomainPreferences(TypedDict):
    """A user's preferences for the jobs of one domain; they go before the general ones."""

    opt_out: NotRequired[bool]
    email: NotRequired[EmailIntent]


class NotificationPreferences(TypedDict):
    """A user's stored preferences: for jobs that declare no `notifications`, and to opt out of all mail."""

    opt_out: NotRequired[bool]
    email: NotRequired[EmailIntent]
    domains: NotRequired[dict[str, DomainPreferences]]


def decode_context(value: JsonValue, root: str = "$.context") -> JobContextInfo:
    """Check the field `context`; extra keys are left out, the address comes back normalised.

    Args:
        value: the field as decoded JSON.
        root: its name in error paths.

    Raises:
        DecodeError: a wrong type, or an `email` that is no address.
    """
    context = convert_as(value, JobContextInfo, root)
    if "email" in context:
        context["email"] = validate_email(context["email"], f"{root}.email")
    return context


def decode_notifications(value: JsonValue, root: str = "$.notifications") -> NotificationIntent:
    """Check the field `notifications`; extra keys are left out.

    Args:
        value: the field as decoded JSON.
        root: its name in error paths.

    Raises:
        DecodeError: a wrong type, or a word that is neither SUCCESS nor FAILURE.
    """
    return convert_as(value, NotificationIntent, root)


def decode_preferences(text: str | bytes) -> NotificationPreferences:
    """Read a user's stored preferences.

    Raises:
        DecodeError: no JSON, or not the declared shape.
    """
    return decode_as(text, NotificationPreferences)


def check_preferences(value: JsonValue) -> NotificationPreferences:
    """Check preferences that somebody hands in; unlike what is stored they may hold nothing unknown.

    A misspelt field would be kept and change nothing, and its author would believe that it does.

    Args:
        value: decoded JSON.

    Raises:
        DecodeError: not the declared shape, a field that is not known, a domain that is none, more than
            `MAX_DOMAINS` domains, or a word twice.
    """
    preferences = convert_as(value, NotificationPreferences)
    _refuse_unknown(value, tuple(NotificationPreferences.__annotations__), "$")
    domains = preferences.get("domains", {})
    if len(domains) > MAX_DOMAINS:
        raise DecodeError("$.domains", f"at most {MAX_DOMAINS} domains", f"{len(domains)}")
    given = dict(_members(value)).get("domains")
    _check_email(dict(_members(value)).get("email"), "$.email")
    for name, of_domain in _members(given):
        # The name itself is the client's and may be anything; it is not quoted if it is no domain.
        try:
            job_domain(name)
        except DecodeError as error:
            raise DecodeError("$.domains", f"domains as names: {error.expected}", "another name") from None
        path = f"$.domains.{name}"
        _refuse_unknown(of_domain, tuple(DomainPreferences.__annotations__), path)
        _check_email(dict(_members(of_domain)).get("email"), f"{path}.email")
    return preferences


def preferences_key(user_id: str) -> str:
    """Return the Redis key of a user's stored preferences; `user_id` is that of the job's `context`."""
    return f"user:{user_id}:notification_preferences"


def validate_user_id(text: str, path: str) -> str:
    """Check the id of a user who can have preferences, and return it as it is.

    It is the `user_id` of a job's `context`, or where a job has none that of its event as text.

    Args:
        text: 1 to 128 visible characters, none of them `:`; it becomes part of a Redis key.
        path: its name in the error.

    Raises:
        DecodeError: the text is none.
    """
    if not 0 < len(text) <= MAX_USER_ID or ":" in text or " " in text or not text.isprintable():
        raise DecodeError(path, f"1 to {MAX_USER_ID} visible characters, none of them ':'", "str")
    return text


def validate_email(text: str, path: str) -> str:
    """Check the form of an address, without asking the network, and return it normalised.

    Args:
        text: the address.
        path: its name in the error.

    Raises:
        DecodeError: the text is no address that the public internet could deliver to.
    """
    try:
        address = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError:
        # The library's own message quotes parts of the address.
        raise DecodeError(path, "email address", "str") from None
    return address.normalized


def _check_email(value: JsonValue, path: str) -> None:
    _refuse_unknown(value, tuple(EmailIntent.__annotations__), path)
    match dict(_members(value)).get("on"):
        case list(words) if len(words) > len({*map(str, words)}):
            raise DecodeError(f"{path}.on", "each word once", "a word twice")
        case _:
            pass


def _refuse_unknown(value: JsonValue, known: Sequence[str], path: str) -> None:
    for name, _ in _members(value):
        if name not in known:
            raise DecodeError(f"{path}.{name[:64]}", f"only {', '.join(known)}", "an unknown field")


def _members(value: JsonValue) -> Sequence[tuple[str, JsonValue]]:
    """Return what an object holds; nothing for what is none."""
    return [*value.items()] if isinstance(value, dict) else []
