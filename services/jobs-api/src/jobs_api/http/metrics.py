"""`GET /metrics`, for Prometheus: what the API counts, and how queues, workers and jobs stand.

It answers also while Redis does not, and soon. Then it may not be known who asks: anybody hears that much, as
from `/readyz`, and nothing else.
"""

from litestar import Request, Response, Router, route
from litestar.datastructures import State

from jobs_api.http.access import METERS, is_unknown
from jobs_api.http.answers import READ
from jobs_api.http.services import Services
from jobs_api.metrics import METRICS_CONTENT_TYPE, outage_page


def metrics_routes(services: Services) -> Router:
    """Return the route."""
    metrics, figures = services["metrics"], services["figures"]

    @route("/metrics", http_method=READ, opt=METERS, summary="Read the metrics")
    async def exposition(request: Request[object, object, State]) -> Response[bytes]:
        """Give the metrics in Prometheus' text format."""
        page = outage_page() if is_unknown(request) else metrics.exposition(await figures.read())
        return Response(page, headers={"Content-Type": METRICS_CONTENT_TYPE, "Cache-Control": "no-store"})

    return Router("/", route_handlers=[exposition], tags=["health"])
