"""Whether the process lives and whether jobs would be worked on: `/healthz`, `/readyz`."""

from litestar import Response, Router, route
from platform_core.queues import FILES_QUEUE
from platform_workers.readiness import check_readiness

from jobs_api.http.access import PROBES
from jobs_api.http.answers import READ, json_response
from jobs_api.http.services import Services


def health_routes(services: Services) -> Router:
    """Return the two routes."""
    redis = services["redis"]

    @route("/healthz", http_method=READ, opt=PROBES, summary="Is the process alive?")
    async def healthz() -> Response[bytes]:
        """Answer, without asking anybody else."""
        return json_response({"status": "ok"})

    @route(
        "/readyz",
        http_method=READ,
        opt=PROBES,
        sync_to_thread=True,
        summary="Would a job be worked on now?",
    )
    def readyz() -> Response[bytes]:
        """Ask Redis, and whether a worker listens on the queue of the jobs taken here; 503 if not."""
        found = check_readiness(redis, queue_name=FILES_QUEUE)
        return json_response(
            {"status": found["status"], "reason": found["reason"]},
            status=200 if found["status"] == "ready" else 503,
        )

    return Router("/", route_handlers=[healthz, readyz], tags=["health"])
