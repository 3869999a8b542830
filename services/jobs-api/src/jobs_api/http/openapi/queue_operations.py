"""How queues stand, and the metrics."""

from collections.abc import Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.operations import DOMAIN, JOB_ID, JSON, NO_JOB, Operation, Refusal, ref

_SERVED: Final[JsonObject] = {
    "queue": "files",
    "waiting": 3,
    "delayed": 1,
    "oldest_wait_seconds": 4.2,
    "workers": 2,
    "worker_states": {"busy": 2},
}
_UNSERVED: Final[JsonObject] = {
    "queue": "files:low",
    "waiting": 1,
    "delayed": 0,
    "oldest_wait_seconds": 310.5,
    "workers": 0,
    "worker_states": {},
}

_EVERY_DOMAIN: Final[Refusal] = {
    "status": 403,
    "word": "domain-missing",
    "detail": "This needs a key for every domain, and this one is for some alone.",
    "about": "The key lacks the scope, or is for some domains alone.",
}

QUEUES: Final[Operation] = {
    "path": "/v1/queues",
    "method": "get",
    "name": "listQueues",
    "tag": "lists and statistics",
    "summary": "See how queues stand",
    "about": "Tells of every queue how many jobs wait in it and could start, for how long the oldest of them "
    "could have, and how many workers serve it. Jobs of priority `low` wait in a queue of their own. A "
    "worker counts until 80 seconds after its last sign of life. Needs a key for every domain.",
    "parameters": [],
    "answers": [
        {
            "status": 200,
            "about": "The queues, by name.",
            "content": {JSON: ref("Queues")},
            "example": {"queues": [_SERVED, _UNSERVED]},
        }
    ],
    "refusals": [_EVERY_DOMAIN],
}

JOB_QUEUE: Final[Operation] = {
    "path": "/v1/jobs/{domain}/{job_id}/queue",
    "method": "get",
    "name": "readJobQueue",
    "tag": "jobs",
    "summary": "See how a job's queue stands",
    "about": "Tells how the queue stands that the job was put into. A job that is `queued` there, and whose "
    "`run_after` is over, does not begin while `workers` is 0.",
    "parameters": [DOMAIN, JOB_ID],
    "answers": [
        {
            "status": 200,
            "about": "The queue.",
            "content": {JSON: ref("Queue")},
            "example": _UNSERVED,
        }
    ],
    "refusals": [
        NO_JOB,
        {
            "status": 404,
            "word": "queue-unknown",
            "detail": "The record of this job does not name its queue.",
            "about": "There is no such job, or its record does not name its queue.",
        },
    ],
}

METRICS: Final[Operation] = {
    "path": "/metrics",
    "method": "get",
    "name": "readMetrics",
    "tag": "metrics",
    "summary": "Read the metrics",
    "about": "Gives what is counted here, and how queues, workers and jobs stand, in the text format of "
    "Prometheus. Needs a key for every domain. While Redis does not answer it is not known who asks: anybody "
    "hears `jobs_api_redis_up 0` then, and nothing else.",
    "parameters": [],
    "answers": [
        {
            "status": 200,
            "about": "The metrics.",
            "content": {"text/plain": {"type": "string"}},
        }
    ],
    "refusals": [_EVERY_DOMAIN],
}

OPERATIONS: Final[Sequence[Operation]] = (
    QUEUES,
    JOB_QUEUE,
    METRICS,
)
