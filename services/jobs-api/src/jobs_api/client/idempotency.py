"""Submits a job under an idempotency key, also one whose file was uploaded anew.

A file gets another id with each upload, so the API takes a repeat for another request. The same content under
another id is the same request all the same: it is asked for again with the file of the first time.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.client.api import JobsApi, Submitted
from jobs_api.client.documents import Uploaded
from jobs_api.client.errors import RefusedError

CONFLICT: Final = "idempotency-conflict"


def submit_once(
    api: JobsApi,
    body_with: Callable[[str | None], JsonObject],
    uploaded: Uploaded | None,
    idempotency_key: str | None,
) -> Submitted:
    """Submit a job, or find the one that was submitted under this key.

    Args:
        api: the API.
        body_with: returns the request for a file id; None for no file.
        uploaded: the file that was uploaded for it; None for none.
        idempotency_key: None for none.

    Raises:
        RefusedError: among others: under this key something else was submitted.
    """
    try:
        return api.submit(body_with(None if uploaded is None else uploaded["file_id"]), idempotency_key)
    except RefusedError as error:
        first = _same_file(api, error, uploaded)
        if not first:
            raise
    return api.submit(body_with(first), idempotency_key)


def _same_file(api: JobsApi, conflict: RefusedError, uploaded: Uploaded | None) -> str:
    """Return the id of the file of the first time; empty if that is another one, or can't be told."""
    if conflict.word != CONFLICT or not conflict.location.startswith("/v1/jobs/") or uploaded is None:
        return ""
    # What can't be read (the file is gone, the key may only submit) can't be compared.
    with suppress(RefusedError):
        first = api.file_of_job(conflict.location)
        if first and api.file_digest(first) == uploaded.get("sha256"):
            return first
    return ""
