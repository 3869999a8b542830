"""Many jobs at once, how they have fared, and the log of one."""

from collections.abc import Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.job_operations import COMPLETED, QUEUED
from jobs_api.http.openapi.operations import (
    DOMAIN,
    INT64,
    JOB_ID,
    JOB_ID_PATTERN,
    JSON,
    NO_JOB,
    OF_DOMAIN,
    Operation,
    query,
    ref,
    wrong_query,
)

_LIMIT: Final = query(
    "limit", "At most how many.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, 20
)
_CURSOR: Final = query(
    "cursor",
    "Where the page begins: the `next_cursor` of the page before.",
    {"type": "string", "format": "cursor"},
    "",
)

_PAGE_EXAMPLE: Final[JsonObject] = {
    "jobs": [{name: COMPLETED[name] for name in COMPLETED if name != "payload"}],
    "next_cursor": "MTc2NDA3MjAwMDAwMA",
}

LIST: Final[Operation] = {
    "path": "/v1/jobs",
    "method": "get",
    "name": "listJobs",
    "tag": "lists and statistics",
    "summary": "List jobs",
    "about": "Gives a page of the jobs that match, newest first. `next_cursor` leads to the next page; it "
    "neither "
    "skips nor repeats a job while jobs move. Without `payload`, `context` and `notifications`.",
    "parameters": [
        OF_DOMAIN,
        query(
            "status",
            "In this status alone.",
            {"enum": ["queued", "processing", "completed", "failed", "cancelled"]},
            "failed",
        ),
        query(
            "job_type", "Of this type alone.", {"type": "string", "pattern": JOB_ID_PATTERN}, "csv.row_count"
        ),
        query("user_id", "Of this user alone.", INT64, 7),
        query(
            "created_from",
            "Submitted at this time or later; ISO 8601 with an offset.",
            {"type": "string", "format": "date-time"},
            "2026-11-25T00:00:00+00:00",
        ),
        query(
            "created_before",
            "Submitted before this time.",
            {"type": "string", "format": "date-time"},
            "2026-11-26T00:00:00+00:00",
        ),
        _LIMIT,
        _CURSOR,
    ],
    "answers": [
        {"status": 200, "about": "A page.", "content": {JSON: ref("JobPage")}, "example": _PAGE_EXAMPLE}
    ],
    "refusals": [wrong_query("limit", "expected int from 1 to 200, found int")],
}

ACTIVE: Final[Operation] = {
    "path": "/v1/jobs/active",
    "method": "get",
    "name": "listActiveJobs",
    "tag": "lists and statistics",
    "summary": "List the jobs that run now",
    "about": "Gives a page of the jobs that a worker has in its hands; `locked_by` says which.",
    "parameters": [OF_DOMAIN, _LIMIT, _CURSOR],
    "answers": [
        {
            "status": 200,
            "about": "A page.",
            "content": {JSON: ref("JobPage")},
            "example": {
                "jobs": [
                    {
                        **{name: QUEUED[name] for name in QUEUED if name != "payload"},
                        "status": "processing",
                        "progress": 45,
                        "message": "counting rows",
                        "locked_by": "worker-1",
                        "locked_until": "2026-11-25T12:01:00.000000+00:00",
                    }
                ]
            },
        }
    ],
    "refusals": [wrong_query("limit", "expected int from 1 to 200, found int")],
}

STATS: Final[Operation] = {
    "path": "/v1/stats",
    "method": "get",
    "name": "readStatistics",
    "tag": "lists and statistics",
    "summary": "How jobs have fared",
    "about": "Counts the jobs there are, by status and by type, and what became of those of the last hour, "
    "day or "
    "week: throughput, failure rate, and how long they waited and ran.",
    "parameters": [
        OF_DOMAIN,
        query("window", "How far to look back.", {"enum": ["1h", "24h", "7d"], "default": "24h"}, "1h"),
    ],
    "answers": [
        {
            "status": 200,
            "about": "The statistics.",
            "content": {JSON: ref("Statistics")},
            "example": {
                "window": "1h",
                "from": "2026-11-25T11:00:00.000000+00:00",
                "to": "2026-11-25T12:00:00.000000+00:00",
                "counts": {"queued": 2, "processing": 1, "completed": 40, "failed": 3, "cancelled": 1},
                "by_type": {
                    "csv.row_count": {
                        "queued": 2,
                        "processing": 1,
                        "completed": 40,
                        "failed": 3,
                        "cancelled": 1,
                    }
                },
                "submitted": 12,
                "finished": {"completed": 9, "failed": 1, "cancelled": 0},
                "failure_rate": 0.1,
                "throughput_per_hour": 10.0,
                "run_seconds": {"p50": 1.2, "p95": 8.0, "p99": 20.5},
                "queue_seconds": {"p50": 0.01, "p95": 0.2, "p99": 1.0},
                "series": [
                    {
                        "at": "2026-11-25T11:55:00.000000+00:00",
                        "submitted": 3,
                        "completed": 2,
                        "failed": 0,
                        "cancelled": 0,
                    }
                ],
            },
        }
    ],
    "refusals": [wrong_query("window", "expected 1h or 24h or 7d, found str")],
}

LOG: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}/log",
    "method": "get",
    "name": "readJobLog",
    "tag": "jobs",
    "summary": "Read a job's log",
    "about": "Gives the job's log, oldest line first. To follow it, ask again with `after` the last line's "
    "`id`.",
    "parameters": [
        DOMAIN,
        JOB_ID,
        query(
            "after",
            "The id of the last line that is known already; empty for none.",
            {"type": "string", "pattern": "^([0-9]{1,16}-[0-9]{1,16})?$"},
            "1764072001000-0",
        ),
        query("limit", "At most how many lines.", {"type": "integer", "minimum": 1, "maximum": 200}, 100),
    ],
    "answers": [
        {
            "status": 200,
            "about": "The lines.",
            "content": {JSON: ref("JobLog")},
            "example": {
                "domain": "files",
                "job_id": "5c1bf1c79a0c4e5f8f5c0a4b6d0f3f52",
                "lines": [
                    {
                        "id": "1764072001000-0",
                        "time": "2026-11-25T12:00:01.000000+00:00",
                        "level": "info",
                        "message": "started, attempt 1 of 3",
                    }
                ],
            },
        }
    ],
    "refusals": [NO_JOB, wrong_query("limit", "expected int from 1 to 200, found int")],
}

OPERATIONS: Final[Sequence[Operation]] = (
    LIST,
    ACTIVE,
    STATS,
    LOG,
)
