"""Who wants to hear about a job, and when (DESIGN section 4).

A submission may carry `context` and `notifications`. This module checks their shape: the types, the allowed
words, the form of an address. Whether the address belongs to the user is not the platform's business.
"""

from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

import email_validator

from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue, convert_as, decode_as

EventWord: TypeAlias = Literal["SUCCESS", "FAILURE"]
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


def preferences_key(user_id: str) -> str:
    """Return the Redis key of a user's stored preferences; `user_id` is that of the job's `context`."""
    return f"user:{user_id}:notification_preferences"


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
