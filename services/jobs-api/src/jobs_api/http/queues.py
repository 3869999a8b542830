"""How queues stand: `GET /v1/queues`, and that of one job, `GET /v1/jobs/{domain}/{job_id}/queue`.

Queues belong to no domain, so all of them are for keys of every domain. A key for some domains sees the
queues in which their jobs are.
"""

from litestar import Response, Router, route
from litestar.params import FromPath
from platform_core.clock import SystemClock
from platform_workers.queue_states import read_queue_states

from jobs_api.http.access import READS, READS_ALL
from jobs_api.http.answers import READ, json_response
from jobs_api.http.problems import ProblemError
from jobs_api.http.services import Services
from jobs_api.waiting import queue_document, queue_of


def queue_routes(services: Services) -> Router:
    """Return the two routes."""
    redis, records, clock = services["redis"], services["records"], SystemClock()

    @route(
        "/queues", http_method=READ, opt=READS_ALL, sync_to_thread=True, summary="See how the queues stand"
    )
    def queues() -> Response[bytes]:
        """Tell of every queue what waits in it, for how long, and how many workers serve it."""
        states = read_queue_states(redis, now=clock.now(), queues=services["queues"])
        return json_response({"queues": [queue_document(state) for state in states]})

    @route(
        "/jobs/{domain:str}/{job_id:str}/queue",
        http_method=READ,
        opt=READS,
        sync_to_thread=True,
        summary="See how a job's queue stands",
    )
    def of_job(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Tell the same of the queue that a job was put into."""
        state = queue_of(redis, records.load(domain, job_id)["record"], clock.now())
        if state is None:
            detail = "The record of this job does not name its queue."
            raise ProblemError({"status": 404, "word": "queue-unknown", "detail": detail})
        return json_response(queue_document(state))

    return Router("/v1", route_handlers=[queues, of_job], tags=["jobs"])
