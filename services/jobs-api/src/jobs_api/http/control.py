"""What a person does to a job: `POST /v1/jobs/{domain}/{job_id}/cancel` and `.../retry`.

Both go for jobs of every domain, also of those whose handlers this service does not know. The answer is the
record as it is read after the change: 200 says that the change was made, not that nothing came after it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar import Response, Router, post
from litestar.params import FromPath
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_workers.errors import RedisUnavailableError, TransitionRefusedError

from jobs_api.http.access import MANAGES
from jobs_api.http.answers import json_response
from jobs_api.http.problems import ProblemError, change_unknown
from jobs_api.http.services import Services


def control_routes(services: Services) -> Router:
    """Return the routes that cancel a job and run it again."""
    records, control = services["records"], services["control"]

    def changed(domain: str, job_id: str, change: Callable[[JobDomain, str], object]) -> Response[bytes]:
        found = records.load(domain, job_id)
        with _unknown_without_answer(f"/v1/jobs/{domain}/{job_id}"):
            change(found["domain"], job_id)
            return json_response(records.load(domain, job_id)["document"])

    @post(
        "/{domain:str}/{job_id:str}/cancel",
        opt=MANAGES,
        status_code=200,
        sync_to_thread=True,
        summary="Cancel a job",
    )
    def cancel(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Cancel a job that waits or runs; one that is cancelled already stays so.

        A running job stops within a few seconds. 409 for a job that has completed or failed.
        """
        try:
            return changed(domain, job_id, control.cancel)
        except TransitionRefusedError as error:
            raise _conflict("job-finished", f"The job has {error.status} already.") from None

    @post(
        "/{domain:str}/{job_id:str}/retry",
        opt=MANAGES,
        status_code=200,
        sync_to_thread=True,
        summary="Run a job again",
    )
    def retry(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Put a failed or cancelled job back into its queue, as its next run.

        409 for a job that has completed, and for one that waits or runs.
        """
        try:
            return changed(domain, job_id, control.rerun)
        except TransitionRefusedError as error:
            detail = f"Only a failed or cancelled job can be retried; this one is {error.status}."
            raise _conflict("not-retryable", detail) from None
        except DecodeError as error:
            # A team's own record, which may have the base fields alone.
            raise _conflict("not-retryable", f"The job's record does not allow it: {error}.") from None

    return Router("/v1/jobs", route_handlers=[cancel, retry], tags=["jobs"])


@contextmanager
def _unknown_without_answer(location: str) -> Iterator[None]:
    try:
        yield
    except RedisUnavailableError as error:
        raise change_unknown(location) from error


def _conflict(word: str, detail: str) -> ProblemError:
    return ProblemError({"status": 409, "word": word, "detail": detail})
