"""What happens, as it happens."""

from collections.abc import Sequence
from typing import Final

from jobs_api.http.openapi.operations import (
    INT64,
    JOB_ID_PATTERN,
    OF_DOMAIN,
    Operation,
    Parameter,
    query,
    wrong_query,
)

_LAST_EVENT_ID: Final[Parameter] = {
    "name": "Last-Event-ID",
    "place": "header",
    "about": "The `id` of the last event that was heard: goes on after it. A browser sends it by itself.",
    "schema": {"type": "string"},
    "example": "",
}

EVENTS: Final[Operation] = {
    "path": "/v1/events",
    "method": "get",
    "name": "followEvents",
    "tag": "events",
    "summary": "Follow events",
    "about": "Sends what happens from now on, or after `Last-Event-ID`, as Server-Sent Events: each with "
    "the event "
    "as it is on the wire. The same comes over a WebSocket at `/v1/events/ws`, which is refused as this is "
    "and closed with 4401 once its key is no longer good. The events themselves are "
    "in the "
    "AsyncAPI document.",
    "parameters": [
        OF_DOMAIN,
        query(
            "job_id", "Of this job alone.", {"type": "string", "pattern": JOB_ID_PATTERN}, "5c1bf1c79a0c4e5f"
        ),
        query("user_id", "Of this user's jobs alone.", INT64, 7),
        query(
            "last_event_id",
            "As the header `Last-Event-ID`, for clients that can't send one.",
            {"type": "string"},
            "",
        ),
        _LAST_EVENT_ID,
    ],
    "answers": [
        {"status": 200, "about": "The events.", "content": {"text/event-stream": {"type": "string"}}},
    ],
    "refusals": [wrong_query("last_event_id", "expected the id of an event, found another text")],
}

OPERATIONS: Final[Sequence[Operation]] = (EVENTS,)
