"""What a user has chosen about mails: `GET` and `PUT /v1/users/{user_id}/notification-preferences`.

The notifier reads the same at each outcome. The user's id is text, that of the job's `context.user_id`; for a
job whose context names none it is the job's `user_id`, written as text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final
from urllib.parse import quote

from litestar import Response, Router, put, route
from litestar.params import FromPath, HeaderParameter, RawBody
from platform_core.json_values import to_json_value
from platform_core.notifications import NotificationPreferences, check_preferences, validate_user_id
from platform_notify.intent import IntentError
from platform_workers.errors import RedisUnavailableError

from jobs_api.http.access import MANAGES_ALL, READS_ALL
from jobs_api.http.answers import READ, json_response
from jobs_api.http.job_body import decode_object
from jobs_api.http.problems import ProblemError, change_unknown
from jobs_api.http.services import Services
from jobs_api.job_records import DamagedRecordError

MAX_BODY_BYTES: Final = 64 * 1024


def preference_routes(services: Services) -> Router:
    """Return the routes of a user's preferences."""
    store = services["preferences"]

    @route(
        "/{user_id:str}/notification-preferences",
        http_method=READ,
        opt=READS_ALL,
        sync_to_thread=True,
        summary="Read a user's preferences about mails",
    )
    def show(user_id: FromPath[str]) -> Response[bytes]:
        """Give what the user has stored; an empty object if nothing."""
        user = validate_user_id(user_id, "user_id")
        with _damage_told(user):
            found = store.load_version(user)
        return _answer(found["preferences"], found["version"])

    @put(
        "/{user_id:str}/notification-preferences",
        opt=MANAGES_ALL,
        sync_to_thread=True,
        request_max_body_size=MAX_BODY_BYTES,
        summary="Replace a user's preferences about mails",
    )
    def replace(
        user_id: FromPath[str],
        body: RawBody,
        if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
    ) -> Response[bytes]:
        """Store the whole document in place of what was there; an opt-out that is not in it is undone.

        With `If-Match` only in place of what has this `ETag`; else 412, and nothing is changed.
        """
        user = validate_user_id(user_id, "user_id")
        preferences = check_preferences(decode_object(body))
        try:
            if if_match is None or if_match.strip() == "*":
                return _answer(preferences, store.save(user, preferences))
            with _damage_told(user):
                version = store.save_over(user, preferences, _versions(if_match))
        except RedisUnavailableError as error:
            raise change_unknown(f"/v1/users/{quote(user, safe='')}/notification-preferences") from error
        if version is None:
            detail = "If-Match: something else is stored by now. Read it, and change that."
            raise ProblemError({"status": 412, "word": "changed-meanwhile", "detail": detail})
        return _answer(preferences, version)

    return Router("/v1/users", route_handlers=[show, replace], tags=["users"])


@contextmanager
def _damage_told(user: str) -> Iterator[None]:
    try:
        yield
    except IntentError as error:
        raise DamagedRecordError(f"the preferences of user {user} are damaged: {error}") from error


def _versions(if_match: str) -> list[str]:
    """Return the versions that a header names; a weak one (`W/"..."`) never counts (RFC 9110, 13.1.1)."""
    tags = [tag.strip() for tag in if_match.split(",")]
    return [tag[1:-1] for tag in tags if tag.startswith('"')]


def _answer(preferences: NotificationPreferences, version: str) -> Response[bytes]:
    return json_response(to_json_value(preferences), headers={"ETag": f'"{version}"'})
