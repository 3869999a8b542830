"""Submitting jobs, reading one, changing one."""

from collections.abc import Mapping, Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.operations import (
    DOMAIN,
    JOB_ID,
    JSON,
    NO_JOB,
    STORE_AWAY,
    Answer,
    Operation,
    Parameter,
    Refusal,
    ref,
)

TAG: Final = "jobs"

_FILE: Final = "0f8fad5bd9cb469fa165708867280a6c"

EXAMPLES: Final[Mapping[str, JsonObject]] = {
    "statistics of a CSV file, with a mail when it fails": {
        "job_type": "csv.column_stats",
        "user_id": 7,
        "payload": {"file_id": _FILE, "delimiter": ",", "null_words": ["-", "none"]},
        "context": {"user_id": "user-7", "email": "ada@example.com"},
        "notifications": {"email": {"enabled": True, "on": ["FAILURE"]}},
    },
    "count rows, urgently": {
        "job_type": "csv.row_count",
        "user_id": 7,
        "priority": "high",
        "payload": {"file_id": _FILE, "encoding": "cp1252", "has_header": False},
    },
    "take repeated rows out, not before a time": {
        "job_type": "csv.deduplicate",
        "user_id": 7,
        "run_after": "2026-12-01T06:00:00+01:00",
        "max_attempts": 5,
        "payload": {"file_id": _FILE, "columns": ["order", "customer"]},
    },
    "a JSON file in canonical form": {
        "domain": "files",
        "job_type": "json.canonicalize",
        "user_id": 7,
        "payload": {"file_id": _FILE},
    },
}
"""Each is submitted by a test, as it stands here."""

QUEUED: Final[JsonObject] = {
    "domain": "files",
    "job_id": "5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52",
    "job_type": "csv.row_count",
    "status": "queued",
    "progress": 0,
    "message": None,
    "error": None,
    "user_id": 7,
    "priority": "normal",
    "queue": "files",
    "run": 1,
    "attempt_count": 0,
    "max_attempts": 3,
    "created_at": "2026-11-25T12:00:00.000000+00:00",
    "updated_at": "2026-11-25T12:00:00.000000+00:00",
    "payload": {"file_id": _FILE},
}
COMPLETED: Final[JsonObject] = {
    **QUEUED,
    "status": "completed",
    "progress": 100,
    "message": "344 rows, 8 columns",
    "attempt_count": 1,
    "updated_at": "2026-11-25T12:00:02.500000+00:00",
    "started_at": "2026-11-25T12:00:01.000000+00:00",
    "finished_at": "2026-11-25T12:00:02.500000+00:00",
    "result_id": "9b2c7d1e4f5a46b8a1c3d5e7f9012345",
    "result_bytes": 655,
}

IDEMPOTENCY_KEY: Final[Parameter] = {
    "name": "Idempotency-Key",
    "place": "header",
    "about": "Any text of the caller's, anew for each job: a repeat with it is answered with the same job.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "order-4711",
}

_NO_RESULT: Final[Refusal] = {
    "status": 409,
    "word": "no-result",
    "detail": "The job has no result: its status is processing.",
    "about": "The job has no result: it has not completed.",
}


def record(status: int, about: str, example: JsonObject) -> Answer:
    """Return an answer that is a job's record."""
    return {"status": status, "about": about, "content": {JSON: ref("Job")}, "example": example}


SUBMIT: Final[Operation] = {
    "path": "/v1/jobs",
    "method": "post",
    "name": "submitJob",
    "tag": TAG,
    "summary": "Submit a job",
    "about": "Checks a job, stores it and puts it into its queue. The payload's shape is the type's own "
    "(`GET /v1/job-types`). `context` and `notifications` say who wants to hear about it; they are kept as "
    "given. With an `Idempotency-Key` the request can be repeated safely, also many times at once.",
    "parameters": [IDEMPOTENCY_KEY],
    "body": {
        "content": {
            JSON: {
                "oneOf": [
                    ref("RowCountJob"),
                    ref("ColumnStatsJob"),
                    ref("DeduplicateJob"),
                    ref("CanonicalizeJob"),
                ],
            }
        },
        "about": "The job. Unknown fields are refused, in the payload too.",
        "examples": EXAMPLES,
    },
    "answers": [
        {
            **record(201, "The job was taken.", QUEUED),
            "headers": [{"name": "Location", "about": "Where the job is.", "schema": {"type": "string"}}],
        },
        {
            **record(200, "A repeat: the job of the first request, as it is now.", COMPLETED),
            "headers": [
                {"name": "Location", "about": "Where the job is.", "schema": {"type": "string"}},
                {"name": "Idempotency-Replayed", "about": "A repeat.", "schema": {"enum": ["true"]}},
            ],
        },
    ],
    "refusals": [
        {
            "status": 400,
            "word": "no-json",
            "detail": "The body must be a JSON object, and is of type array.",
            "about": "The body is no JSON object.",
        },
        {
            "status": 409,
            "word": "idempotency-conflict",
            "detail": "Idempotency-Key: it was used for another job",
            "about": "The Idempotency-Key was used with another body.",
        },
        {
            "status": 413,
            "word": "request",
            "detail": "The body is too large.",
            "about": "The body is larger than 1 MB.",
        },
        {
            "status": 422,
            "word": "invalid-fields",
            "detail": "context.email: expected email address, found str",
            "about": "A field is wrong or unknown; `errors` names it.",
            "errors": {"context.email": "expected email address, found str"},
        },
        {
            "status": 503,
            "word": "submission-unknown",
            "detail": "Redis does not answer. It is not known whether the job was taken. Look at "
            "/v1/jobs/files/5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52 before you submit it again: it is there if it "
            "was "
            "taken.",
            "about": "Redis does not answer. The job may have been taken; `detail` says where to look.",
        },
    ],
}

READ: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}",
    "method": "get",
    "name": "readJob",
    "tag": TAG,
    "summary": "Read a job",
    "about": "Gives the job's record as it is now.",
    "parameters": [DOMAIN, JOB_ID],
    "answers": [record(200, "The record.", COMPLETED)],
    "refusals": [NO_JOB],
}

DELIVERIES: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}/deliveries",
    "method": "get",
    "name": "readJobDeliveries",
    "tag": TAG,
    "summary": "Read what became of a job's mails",
    "about": "Gives every delivery of the job, oldest first, each with the reason why it was sent or not; "
    "none for "
    "a job that has not ended.",
    "parameters": [DOMAIN, JOB_ID],
    "answers": [
        {
            "status": 200,
            "about": "The deliveries.",
            "content": {JSON: {"type": "array", "items": ref("Delivery")}},
            "example": [
                {
                    "delivery_id": "6f1ed002ab5595859014ebf0951522d9",
                    "domain": "files",
                    "job_id": "5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52",
                    "run": 1,
                    "event": "FAILURE",
                    "channel": "email",
                    "recipient": "ada@example.com",
                    "state": "sent",
                    "decided_by": "job",
                    "detail": "",
                    "created_at": "2026-11-25T12:00:02.500000+00:00",
                    "attempts": [
                        {
                            "at": "2026-11-25T12:00:02.600000+00:00",
                            "provider": "mailtrap",
                            "result": "sent",
                            "answer": "",
                            "may_have_been_delivered": True,
                            "duration_ms": 120,
                        }
                    ],
                    "message_ids": ["0c7fd939-02cf-11ed-88c2-0a58a9feac02"],
                    "interrupted": 0,
                    "replays": [],
                    "being_sent": False,
                    "may_have_been_delivered": False,
                    "provider": "mailtrap",
                    "settled_at": "2026-11-25T12:00:02.720000+00:00",
                    "duration_ms": 220,
                }
            ],
        }
    ],
    "refusals": [NO_JOB],
}

RESULT: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}/result",
    "method": "get",
    "name": "readJobResult",
    "tag": TAG,
    "summary": "Download a job's result",
    "about": "Sends the file that the job made.",
    "parameters": [DOMAIN, JOB_ID],
    "answers": [
        {"status": 200, "about": "The file.", "content": {"*/*": {"type": "string", "format": "binary"}}}
    ],
    "refusals": [
        NO_JOB,
        _NO_RESULT,
        STORE_AWAY,
    ],
}

EVENTS: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}/events",
    "method": "get",
    "name": "followJob",
    "tag": TAG,
    "summary": "Follow a job",
    "about": "Sends Server-Sent Events: `state` (the record), then `started`, `progress`, `completed` and "
    "`failed` "
    "as they are published, then a last `state` after the outcome, and ends.",
    "parameters": [DOMAIN, JOB_ID],
    "answers": [
        {"status": 200, "about": "The events.", "content": {"text/event-stream": {"type": "string"}}},
    ],
    "refusals": [NO_JOB],
}


TYPES: Final[Operation] = {
    "path": "/v1/job-types",
    "method": "get",
    "name": "listJobTypes",
    "tag": TAG,
    "summary": "List the job types",
    "about": "Gives every job type with its payload's JSON Schema, how often it is tried, and its time "
    "limit.",
    "parameters": [],
    "answers": [
        {
            "status": 200,
            "about": "The job types.",
            "content": {JSON: ref("JobTypes")},
            "example": {
                "job_types": [
                    {
                        "job_type": "json.canonicalize",
                        "domain": "files",
                        "description": "Write a JSON file in canonical form (RFC 8785).",
                        "payload_schema": {
                            "type": "object",
                            "properties": {"file_id": {"type": "string"}},
                            "required": ["file_id"],
                            "additionalProperties": False,
                        },
                        "max_attempts": 3,
                        "timeout_seconds": 3600,
                        "backoff_seconds": 5.0,
                    }
                ]
            },
        }
    ],
    "refusals": [],
}

OPERATIONS: Final[Sequence[Operation]] = (
    SUBMIT,
    TYPES,
    READ,
    RESULT,
    DELIVERIES,
    EVENTS,
)
