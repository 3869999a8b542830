"""What a person does to a job."""

from collections.abc import Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.job_operations import QUEUED, record
from jobs_api.http.openapi.operations import (
    DOMAIN,
    JOB_ID,
    NO_JOB,
    Operation,
    Refusal,
)


def _change(
    word: str, name: str, summary: str, about: str, answer: str, example: JsonObject, refusal: Refusal
) -> Operation:
    return {
        "path": f"/v1/jobs/{{domain}}/{{job_id}}/{word}",
        "method": "post",
        "name": name,
        "tag": "jobs",
        "summary": summary,
        "about": about,
        "parameters": [DOMAIN, JOB_ID],
        "answers": [record(200, answer, example)],
        "refusals": [NO_JOB, refusal],
    }


CANCEL: Final = _change(
    "cancel",
    "cancelJob",
    "Cancel a job",
    "Cancels a job that waits or runs; a running one stops within a few seconds. One that is cancelled "
    "already "
    "stays so.",
    "It is cancelled. The record is read just afterwards: if somebody else asked for another run in the same "
    "moment, it is queued again, and `run` has counted on.",
    {**QUEUED, "status": "cancelled", "finished_at": "2026-11-25T12:00:02.500000+00:00"},
    {
        "status": 409,
        "word": "job-finished",
        "detail": "The job has completed already.",
        "about": "The job has completed or failed.",
    },
)
RETRY: Final = _change(
    "retry",
    "retryJob",
    "Run a job again",
    "Puts a failed or cancelled job back into its queue, as its next run; its outcome is told anew.",
    "The next run is queued. The record is read just afterwards: a worker may have begun it already.",
    {**QUEUED, "run": 2},
    {
        "status": 409,
        "word": "not-retryable",
        "detail": "Only a failed or cancelled job can be retried; this one is completed.",
        "about": "The job has completed, or waits or runs.",
    },
)

OPERATIONS: Final[Sequence[Operation]] = (
    CANCEL,
    RETRY,
)
