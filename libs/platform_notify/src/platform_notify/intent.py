"""What a job's record says about notifications, read leniently.

Not every domain's jobs are stored by this platform. A foreign record may hold as little as a status and the
two fields `context` and `notifications`, so nothing else is required, and nothing else can be at fault.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.errors import DecodeError, PlatformError
from platform_core.job_events import JobDomain
from platform_core.job_types import job_key
from platform_core.json_values import JsonValue, decode_json
from platform_core.notifications import (
    JobContextInfo,
    NotificationIntent,
    NotificationPreferences,
    decode_context,
    decode_notifications,
    decode_preferences,
    preferences_key,
    validate_user_id,
)
from platform_workers.errors import RedisCommandError
from platform_workers.redis import RedisClient

RECORD_FIELDS: Final = (
    "status",
    "run",
    "transition_id",
    "user_id",
    "context",
    "notifications",
    "job_type",
    "message",
    "created_at",
    "started_at",
    "finished_at",
    "attempt_count",
)

KNOWN_CHANNELS: Final = tuple(NotificationIntent.__annotations__)
"""What a job's `notifications` may name to any effect; anything else there is left out."""

_RUN = re.compile(r"[1-9][0-9]{0,8}")


IntentFault: TypeAlias = Literal["invalid_context", "invalid_notifications", "invalid_preferences"]


class JobSnapshot(TypedDict):
    """The fields of a job's hash that a notification needs, as they stand there.

    Attributes:
        ours: whether the platform's own scripts keep the record, so that record and durable log agree.
        run: the run the record is in; 1 for a foreign record.
        status: the stored status; empty if there is none.
        fields: those of `RECORD_FIELDS` that are there.
    """

    ours: bool
    run: int
    status: str
    fields: Mapping[str, str]


class JobIntent(TypedDict):
    """What the job wants.

    Attributes:
        status: the stored status; empty if there is none.
        context: whose job it is and where to reach them.
        notifications: what the job declared; absent if it declared nothing.
    """

    status: str
    context: JobContextInfo
    notifications: NotRequired[NotificationIntent]


class IntentError(PlatformError):
    """The intent cannot be read. The mail is skipped and the reason recorded.

    Attributes:
        reason: which part is malformed.
        detail: where in it, never its value.
    """

    def __init__(self, reason: IntentFault, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: IntentFault = reason
        self.detail = detail


def load_snapshot(redis: RedisClient, domain: JobDomain, job_id: str) -> JobSnapshot | None:
    """Read a job's hash; None if there is none, or if its key holds something that is no hash.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    try:
        fields = redis.hmget(job_key(domain, job_id), RECORD_FIELDS)
    except RedisCommandError as error:
        if _is_wrong_type(error):
            return None
        raise
    if not fields:
        return None
    run = fields.get("run", "")
    return {
        # A foreign record may have a field `run` of its own; only the platform's script leaves the other one.
        "ours": "transition_id" in fields and _RUN.fullmatch(run) is not None,
        "run": int(run) if _RUN.fullmatch(run) else 1,
        "status": fields.get("status", ""),
        "fields": fields,
    }


def read_intent(snapshot: JobSnapshot) -> JobIntent:
    """Check `context` and `notifications` of a record.

    Raises:
        IntentError: one of them is malformed.
    """
    fields = snapshot["fields"]
    intent: JobIntent = {"status": snapshot["status"], "context": {}}
    try:
        context = _json(fields, "context")
        if context is not None:
            intent["context"] = decode_context(context)
    except DecodeError as error:
        raise IntentError("invalid_context", str(error)) from None
    try:
        notifications = _json(fields, "notifications")
        if notifications is not None:
            intent["notifications"] = decode_notifications(notifications)
    except DecodeError as error:
        raise IntentError("invalid_notifications", str(error)) from None
    return intent


def only_unknown_channels(snapshot: JobSnapshot) -> list[str]:
    """Return what a job's `notifications` name if none of it is known here, such as a misspelt channel.

    Returns:
        The names as they stand there; none if one is known, if nothing is named, or if it cannot be read.
    """
    try:
        declared = _json(snapshot["fields"], "notifications")
    except DecodeError:
        return []
    names = [*declared] if isinstance(declared, dict) else []
    return [] if any(name in KNOWN_CHANNELS for name in names) else names


def subscriber_of(intent: JobIntent, event_user_id: int) -> str:
    """Return the user whose preferences count for a job, as they are stored under.

    That is `context.user_id`. Only a job that names none there has the `user_id` of its event, as text: so
    preferences stored under the number do not count for a job whose context says otherwise.
    """
    return intent["context"].get("user_id", str(event_user_id))


def is_user_id(text: str) -> bool:
    """Tell whether a user of this name can store preferences, and so can unsubscribe; see `validate_user_id`.

    A context may name anything. One that names no such user gets its mails, for nothing else is asked of it,
    but the name is not kept with them: it may be a megabyte long, and its link to unsubscribe would not work.
    """
    try:
        validate_user_id(text, "user_id")
    except DecodeError:
        return False
    return True


class StoredPreferences(TypedDict):
    """What a user has stored.

    Attributes:
        preferences: empty if nothing.
        text: as it lies in Redis; empty if nothing.
    """

    preferences: NotificationPreferences
    text: str


def load_preferences(redis: RedisClient, user_id: str) -> NotificationPreferences:
    """Read what a user has stored about notifications; empty if nothing.

    Args:
        redis: the connection.
        user_id: the `user_id` of the job's context, or of the event as text.

    Raises:
        IntentError: what is stored is malformed.
        RedisUnavailableError: Redis does not answer.
    """
    return read_preferences(redis, user_id)["preferences"]


def read_preferences(redis: RedisClient, user_id: str) -> StoredPreferences:
    """Read the same as `load_preferences`, and how it is stored; it takes and raises the same."""
    try:
        text = redis.get(preferences_key(user_id))
        return {"preferences": {} if text is None else decode_preferences(text), "text": text or ""}
    except DecodeError as error:
        raise IntentError("invalid_preferences", str(error)) from None
    except RedisCommandError as error:
        if not _is_wrong_type(error):
            raise
        raise IntentError("invalid_preferences", "the key holds no text") from None


def _json(fields: Mapping[str, str], name: str) -> JsonValue:
    """Decode one JSON field; an absent one and `null` are the same."""
    text = fields.get(name)
    if text is None:
        return None
    try:
        return decode_json(text)
    except DecodeError as error:
        raise DecodeError(f"$.{name}", error.expected, error.found) from None


def _is_wrong_type(error: RedisCommandError) -> bool:
    return "WRONGTYPE" in str(error)
