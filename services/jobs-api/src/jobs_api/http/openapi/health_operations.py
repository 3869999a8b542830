"""For whoever watches the process."""

from collections.abc import Sequence
from typing import Final

from jobs_api.http.openapi.operations import (
    JSON,
    Operation,
    ref,
)

HEALTHZ: Final[Operation] = {
    "path": "/healthz",
    "method": "get",
    "name": "isAlive",
    "tag": "health",
    "summary": "Is the process alive?",
    "about": "Answers, without asking anybody else.",
    "parameters": [],
    "answers": [
        {
            "status": 200,
            "about": "It is.",
            "content": {JSON: ref("Liveness")},
            "example": {"status": "ok"},
        }
    ],
    "refusals": [],
}

READYZ: Final[Operation] = {
    "path": "/readyz",
    "method": "get",
    "name": "isReady",
    "tag": "health",
    "summary": "Would a job be worked on now?",
    "about": "Asks Redis, and whether a worker listens on the queue of the jobs that are taken here.",
    "parameters": [],
    "answers": [
        {
            "status": 200,
            "about": "It would.",
            "content": {JSON: ref("Readiness")},
            "example": {"status": "ready", "reason": ""},
        },
        {
            "status": 503,
            "about": "It would not; the reason is told.",
            "content": {JSON: ref("Readiness")},
            "example": {"status": "degraded", "reason": "no worker is running"},
        },
    ],
    "refusals": [],
}

OPERATIONS: Final[Sequence[Operation]] = (
    HEALTHZ,
    READYZ,
)
