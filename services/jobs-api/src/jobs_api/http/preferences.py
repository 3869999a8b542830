"""What a user has chosen about mails: `GET` and `PUT /v1/users/{user_id}/notification-preferences`.

The notifier reads the same at each outcome. The user's id is text, that of the job's `context.user_id`; for a
job whose context names none it is the job's `user_id`, written as text.
"""

from typing import Final

from litestar import Response, Router, put, route
from litestar.params import FromPath, RawBody
from platform_core.json_values import to_json_value
from platform_core.notifications import NotificationPreferences, check_preferences, validate_user_id
from platform_notify.intent import IntentError

from jobs_api.http.access import MANAGES_ALL, READS_ALL
from jobs_api.http.answers import READ, json_response
from jobs_api.http.job_body import decode_object
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
        try:
            found = store.load(validate_user_id(user_id, "user_id"))
        except IntentError as error:
            raise DamagedRecordError(f"the preferences of user {user_id} are damaged: {error}") from error
        return _answer(found)

    @put(
        "/{user_id:str}/notification-preferences",
        opt=MANAGES_ALL,
        sync_to_thread=True,
        request_max_body_size=MAX_BODY_BYTES,
        summary="Replace a user's preferences about mails",
    )
    def replace(user_id: FromPath[str], body: RawBody) -> Response[bytes]:
        """Store the whole document in place of what was there; an opt-out that is not in it is undone."""
        user = validate_user_id(user_id, "user_id")
        preferences = check_preferences(decode_object(body))
        store.save(user, preferences)
        return _answer(preferences)

    return Router("/v1/users", route_handlers=[show, replace], tags=["users"])


def _answer(preferences: NotificationPreferences) -> Response[bytes]:
    return json_response(to_json_value(preferences))
