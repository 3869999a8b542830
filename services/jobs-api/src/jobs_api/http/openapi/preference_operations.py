"""What a user wants to hear about."""

from collections.abc import Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.operations import (
    JSON,
    Header,
    Operation,
    Parameter,
    Refusal,
    ref,
)

_USER_ID: Final[Parameter] = {
    "name": "user_id",
    "place": "path",
    "about": "The user, as a job's `context.user_id` names them; visible characters without `:`.",
    "schema": {"type": "string", "format": "user-id", "minLength": 1, "maxLength": 128},
    "example": "user-7",
}
_ETAG: Final[Header] = {
    "name": "ETag",
    "about": "The version, for `If-Match`.",
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
}
_IF_MATCH: Final[Parameter] = {
    "name": "If-Match",
    "place": "header",
    "about": "The `ETag` of what is to be replaced: an opt-out that came meanwhile is not undone.",
    "schema": {"type": "string", "format": "entity-tag"},
    "example": "*",
}
_NO_USER: Final[Refusal] = {
    "status": 422,
    "word": "invalid-fields",
    "detail": "user_id: expected 1 to 128 visible characters, none of them ':', found str",
    "about": "This can't be a user.",
    "errors": {"user_id": "expected 1 to 128 visible characters, none of them ':', found str"},
}
_NO_ADDRESS: Final[Refusal] = {
    "status": 404,
    "word": "request",
    "detail": "There is nothing at this address.",
    "about": "A user whose id holds a `/` has no address.",
}
_WISHES: Final[JsonObject] = {
    "email": {"enabled": True, "on": ["FAILURE"]},
    "domains": {"turkic": {"opt_out": True}},
}

PREFERENCES: Final[Operation] = {
    "path": "/v1/users/{user_id}/notification-preferences",
    "method": "get",
    "name": "readPreferences",
    "tag": "preferences",
    "summary": "Read a user's notification preferences",
    "about": "Gives what the user wants to hear about, where a job says nothing itself; `{}` when nothing "
    "is set. "
    "Needs a key for every domain.",
    "parameters": [_USER_ID],
    "answers": [
        {
            "status": 200,
            "about": "The preferences.",
            "content": {JSON: ref("Preferences")},
            "headers": [_ETAG],
            "example": _WISHES,
        }
    ],
    "refusals": [_NO_USER, _NO_ADDRESS],
}

SET_PREFERENCES: Final[Operation] = {
    "path": "/v1/users/{user_id}/notification-preferences",
    "method": "put",
    "name": "setPreferences",
    "tag": "preferences",
    "summary": "Set a user's notification preferences",
    "about": "Stores the whole document in place of what was there; with `If-Match` only if that is what it "
    "names. Needs a key for every domain.",
    "parameters": [_USER_ID, _IF_MATCH],
    "body": {
        "content": {JSON: ref("Preferences")},
        "about": "The preferences.",
        "examples": {
            "failures alone, and nothing of one domain": _WISHES,
            "no mail at all": {"opt_out": True},
        },
    },
    "answers": [
        {
            "status": 200,
            "about": "The preferences as they are stored.",
            "content": {JSON: ref("Preferences")},
            "headers": [_ETAG],
            "example": _WISHES,
        }
    ],
    "refusals": [
        _NO_ADDRESS,
        {
            "status": 400,
            "word": "no-json",
            "detail": "The body must be a JSON object, and is of type array.",
            "about": "The body is no JSON object.",
        },
        {
            "status": 412,
            "word": "changed-meanwhile",
            "detail": "If-Match: something else is stored by now. Read it, and change that.",
            "about": "Something else is stored than what `If-Match` names.",
        },
        {
            "status": 413,
            "word": "request",
            "detail": "The body is too large.",
            "about": "The body is too large.",
        },
        {
            "status": 422,
            "word": "invalid-fields",
            "detail": "email.on[0]: expected SUCCESS or FAILURE, found str",
            "about": "A field is wrong or unknown; `errors` names it.",
            "errors": {"email.on[0]": "expected SUCCESS or FAILURE, found str"},
        },
    ],
}

OPERATIONS: Final[Sequence[Operation]] = (
    PREFERENCES,
    SET_PREFERENCES,
)
