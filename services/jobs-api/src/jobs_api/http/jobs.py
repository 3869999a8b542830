"""Submitting and reading jobs: `POST /v1/jobs`, `GET /v1/jobs/{domain}/{job_id}`, its log and its result."""

import asyncio

from litestar import Response, Router, get, post
from litestar.params import FromPath, RawBody
from litestar.response import Stream
from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject

from jobs_api.http.answers import file_response, json_response
from jobs_api.http.job_body import MAX_BODY_BYTES, decode_job_body
from jobs_api.http.problems import ProblemError
from jobs_api.http.services import Services
from jobs_api.job_records import FoundJob, job_document
from jobs_api.registry import FILES


def job_routes(services: Services) -> Router:
    """Return the routes under `/v1/jobs`, but for the events."""
    records, files, submitters = services["records"], services["files"], services["submitters"]

    @post("/", sync_to_thread=True, request_max_body_size=MAX_BODY_BYTES, summary="Submit a job")
    def submit(body: RawBody) -> Response[bytes]:
        """Check a job, store it and queue it; `context` and `notifications` are kept as given."""
        domain, request = decode_job_body(body, FILES)
        submitter = submitters.get(domain)
        if submitter is None:
            raise DecodeError("$.domain", f"one of {', '.join(sorted(submitters))}", "str")
        record = submitter.submit(request)
        location = f"/v1/jobs/{domain}/{record['job_id']}"
        return json_response(job_document(domain, record), status=201, headers={"Location": location})

    @get("/{domain:str}/{job_id:str}", sync_to_thread=True, summary="Read a job")
    def show(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Give a job's record as it is now."""
        return json_response(records.load(domain, job_id)["document"])

    @get("/{domain:str}/{job_id:str}/log", sync_to_thread=True, summary="Read a job's log")
    def log(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Give the job's log, oldest line first."""
        lines = records.log_lines(domain, job_id)
        document: JsonObject = {"domain": domain, "job_id": job_id, "lines": [*lines]}
        return json_response(document)

    @get("/{domain:str}/{job_id:str}/result", summary="Download a job's result")
    async def result(domain: FromPath[str], job_id: FromPath[str]) -> Stream:
        """Send the file that the job made; 409 while there is none."""
        found = await asyncio.to_thread(records.load, domain, job_id)
        result_id = _result_id(found)
        about = await asyncio.to_thread(files.describe, result_id)
        return file_response(about, await files.open_stream(result_id))

    return Router("/v1/jobs", route_handlers=[submit, show, log, result], tags=["jobs"])


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
