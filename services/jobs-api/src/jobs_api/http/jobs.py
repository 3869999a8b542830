"""Submitting and reading jobs: `POST /v1/jobs`, `GET /v1/jobs/{domain}/{job_id}` and its result."""

import asyncio
import re
from typing import Annotated, Final

from litestar import Request, Response, Router, post, route
from litestar.datastructures import State
from litestar.params import FromPath, HeaderParameter, RawBody
from litestar.response import Stream
from platform_core.errors import DecodeError
from platform_core.job_types import JobRecord
from platform_core.json_schemas import field_names
from platform_workers.errors import IdempotencyConflictError, RedisUnavailableError
from platform_workers.job_context import new_token
from platform_workers.submission import JobRequest, JobSubmitter, idempotent_job_id

from jobs_api.http.access import READS, SUBMITS, check_domain
from jobs_api.http.answers import READ, json_response, send_file
from jobs_api.http.job_body import MAX_BODY_BYTES, decode_job_body, refuse_unknown_options
from jobs_api.http.problems import ProblemError, submission_unknown
from jobs_api.http.services import Services
from jobs_api.http.tracking import list_route
from jobs_api.job_records import FoundJob, job_document
from jobs_api.registry import FILES

_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")


def job_routes(services: Services) -> Router:
    """Return the routes under `/v1/jobs`, but for the events."""
    logger = services["logger"]
    records, files, submitters = services["records"], services["files"], services["submitters"]

    @post(
        "/",
        opt=SUBMITS,
        sync_to_thread=True,
        request_max_body_size=MAX_BODY_BYTES,
        summary="Submit a job",
    )
    def submit(
        request: Request[object, object, State],
        body: RawBody,
        idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
    ) -> Response[bytes]:
        """Check a job, store it and queue it; `context` and `notifications` are kept as given.

        With an `Idempotency-Key` a repeat of the request is answered with the first one's job.
        """
        domain, job = decode_job_body(body, FILES)
        check_domain(request, domain)
        submitter = submitters.get(domain)
        if submitter is None:
            raise DecodeError(
                "$.domain",
                f"one of {', '.join(sorted(submitters))} "
                "(hand in jobs of other domains with their own service)",
                "str",
            )
        handler = submitter.registry.get(job["job_type"])
        refuse_unknown_options(job["payload"], field_names(handler["payload_schema"]))
        # Chosen here, so that it can be told also when the answer of Redis is lost.
        key = _checked_key(idempotency_key, request)
        job_id = new_token() if key is None else idempotent_job_id(domain, key)
        location = f"/v1/jobs/{domain}/{job_id}"
        try:
            record, is_new = _submit(submitter, job, job_id, key)
        except RedisUnavailableError as error:
            logger.warning("http.submission_unknown", location=location, error=str(error))
            raise submission_unknown(location) from error
        except IdempotencyConflictError as error:
            raise ProblemError(
                {
                    "status": 409,
                    "word": "idempotency-conflict",
                    "detail": f"Idempotency-Key: {error}",
                    # So that whoever asks can see what the key stands for.
                    "headers": {"Location": location},
                }
            ) from error
        headers = {"Location": location} | ({} if is_new else {"Idempotency-Replayed": "true"})
        return json_response(job_document(domain, record), status=201 if is_new else 200, headers=headers)

    @route(
        "/{domain:str}/{job_id:str}",
        http_method=READ,
        opt=READS,
        sync_to_thread=True,
        summary="Read a job",
    )
    def show(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Give a job's record as it is now."""
        return json_response(records.load(domain, job_id)["document"])

    @route(
        "/{domain:str}/{job_id:str}/result",
        http_method=READ,
        opt=READS,
        summary="Download a job's result",
    )
    async def result(
        request: Request[object, object, State], domain: FromPath[str], job_id: FromPath[str]
    ) -> Stream:
        """Send the file that the job made; 409 while there is none."""
        found = await asyncio.to_thread(records.load, domain, job_id)
        return await send_file(request, files, _result_id(found))

    return Router("/v1/jobs", route_handlers=[submit, list_route(services), show, result], tags=["jobs"])


def _checked_key(given: str | None, request: Request[object, object, State]) -> str | None:
    if len(request.headers.getall("Idempotency-Key", [])) > 1:
        # The client and something between may each have put one: nobody knows which was meant.
        raise DecodeError("$.Idempotency-Key", "one header", "several")
    if given is not None and _IDEMPOTENCY_KEY.fullmatch(given) is None:
        raise DecodeError("$.Idempotency-Key", "1 to 255 visible ASCII characters", "str")
    return given


def _submit(
    submitter: JobSubmitter, request: JobRequest, job_id: str, key: str | None
) -> tuple[JobRecord, bool]:
    """Return the job, and whether it is new."""
    if key is None:
        return submitter.submit(request, job_id=job_id), True
    submission = submitter.submit_once(request, key)
    return submission["record"], submission["is_new"]


def _result_id(found: FoundJob) -> str:
    record = found["record"]
    result_id = record.get("result_id")
    if record["status"] != "completed" or result_id is None:
        raise ProblemError(
            {
                "status": 409,
                "word": "no-result",
                "detail": f"The job has no result: its status is {record['status']}.",
            }
        )
    return result_id
