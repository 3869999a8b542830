"""What jobs this service takes: `GET /v1/job-types`. Job types are a public contract."""

from litestar import Request, Response, Router, route
from litestar.datastructures import State
from platform_core.json_values import JsonObject, JsonValue
from platform_workers.handlers import Handler

from jobs_api.http.access import READS, allowed_domains
from jobs_api.http.answers import READ, json_response
from jobs_api.http.services import Services


def job_type_routes(services: Services) -> Router:
    """Return the route of the job types."""
    # They are fixed while the service runs.
    documents = [
        (domain, job_type_document(domain, submitter.registry.get(job_type)))
        for domain, submitter in sorted(services["submitters"].items())
        for job_type in submitter.registry.job_types
    ]

    @route("/", http_method=READ, opt=READS, summary="List the job types")
    async def job_types(request: Request[object, object, State]) -> Response[bytes]:
        """Give every job type with its payload's JSON Schema, how often it is tried, and its time limit."""
        allowed = allowed_domains(request)
        shown: JsonValue = [
            document for domain, document in documents if allowed is None or domain in allowed
        ]
        return json_response({"job_types": shown})

    return Router("/v1/job-types", route_handlers=[job_types], tags=["job types"])


def job_type_document(domain: str, handler: Handler) -> JsonObject:
    """Return a job type as JSON."""
    limits = handler["limits"]
    return {
        "job_type": handler["job_type"],
        "domain": domain,
        "description": handler["description"],
        # Fields that the type does not know are refused at submission.
        "payload_schema": {**handler["payload_schema"], "additionalProperties": False},
        "max_attempts": limits["max_attempts"],
        "timeout_seconds": limits["timeout_seconds"],
        "backoff_seconds": limits["backoff_seconds"],
    }
