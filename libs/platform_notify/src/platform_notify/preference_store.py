"""A user's preferences in Redis: read, replaced as a whole, or changed by one click in a mail.

They lie under `user:<user_id>:notification_preferences` as JSON. The user's id is that of
the job's `context`; a job that names none there counts as its event's `user_id`, as text.
"""

import hashlib
from collections.abc import Container
from typing import Final, TypedDict

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonObject, JsonValue, decode_json, encode_json, to_json_value
from platform_core.notifications import NotificationPreferences, decode_preferences, preferences_key
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from platform_notify.circuit import SCRIPTS
from platform_notify.intent import load_preferences, read_preferences

_SWAP = load_script(SCRIPTS, "preferences_swap")

# What cannot be read may have held an opt-out from all mail, so nothing less may follow it.
_ALL_MAIL_OFF: Final = '{"opt_out":true}'


class VersionedPreferences(TypedDict):
    """A user's preferences, and a text that is another one after every change of them."""

    preferences: NotificationPreferences
    version: str


class PreferenceStore:
    """The preferences of all users. Its methods raise `RedisUnavailableError` if Redis does not answer."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def load(self, user_id: str) -> NotificationPreferences:
        """Return what a user has stored; empty if nothing.

        Raises:
            IntentError: what is stored is malformed.
        """
        return load_preferences(self._redis, user_id)

    def load_version(self, user_id: str) -> VersionedPreferences:
        """Return what a user has stored and its version, for `save_over`.

        Raises:
            IntentError: what is stored is malformed.
        """
        stored = read_preferences(self._redis, user_id)
        return {"preferences": stored["preferences"], "version": _version(stored["text"])}

    def save(self, user_id: str, preferences: NotificationPreferences) -> str:
        """Replace all that a user has stored; return its version.

        Args:
            user_id: a valid one; see `validate_user_id`.
            preferences: checked ones; see `check_preferences`.
        """
        text = encode_json(to_json_value(preferences))
        self._redis.set(preferences_key(user_id), text)
        return _version(text)

    def save_over(
        self, user_id: str, preferences: NotificationPreferences, versions: Container[str]
    ) -> str | None:
        """Replace all that a user has stored, if it is still of one of these versions.

        So whoever read, changed and writes does not undo what came between, such as an opt-out.

        Returns:
            The new version; None if something else is stored, and nothing was written.

        Raises:
            IntentError: what is stored is malformed.
        """
        stored = read_preferences(self._redis, user_id)["text"]
        if _version(stored) not in versions:
            return None
        text = encode_json(to_json_value(preferences))
        reply = self._redis.run_script(
            {"script": _SWAP, "keys": [preferences_key(user_id)], "args": [stored, text]}
        )
        return _version(text) if reply == ["swapped"] else None

    def opt_out(self, user_id: str, domain: JobDomain | None) -> None:
        """Turn mails off; what else is stored stays. Doing it again changes nothing.

        Args:
            user_id: a valid one.
            domain: only mails about jobs of this domain; None for all mail.
        """
        key = preferences_key(user_id)
        reply: list[str] = []
        # Whoever changed them in between is done; so this ends.
        while reply != ["swapped"]:
            stored = self._redis.get(key) or ""
            reply = self._redis.run_script(
                {"script": _SWAP, "keys": [key], "args": [stored, _without_mail(stored, domain)]}
            )


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _without_mail(stored: str, domain: JobDomain | None) -> str:
    """Return preferences as they are stored, with the opt-out in them."""
    try:
        decode_preferences(stored or "{}")
    except DecodeError:
        return _ALL_MAIL_OFF
    document = _object(decode_json(stored or "{}"))
    if domain is None:
        document["opt_out"] = True
    else:
        domains = _object(document.get("domains"))
        domains[domain] = {**_object(domains.get(domain)), "opt_out": True}
        document["domains"] = domains
    return encode_json(document)


def _object(value: JsonValue) -> JsonObject:
    """Return an object to change; an empty one for nothing, for it was checked that there is no other."""
    return {**value} if isinstance(value, dict) else {}
