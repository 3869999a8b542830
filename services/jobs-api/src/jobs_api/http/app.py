"""Puts the routes together into the web application."""

from collections.abc import Awaitable, Callable, Sequence

from litestar import Litestar, Request, Response
from litestar.config.cors import CORSConfig
from litestar.datastructures import State

from jobs_api.http.access import WEBSOCKET, check_declarations, declarations
from jobs_api.http.control import control_routes
from jobs_api.http.deliveries import delivery_routes
from jobs_api.http.event_streams import event_stream_routes
from jobs_api.http.events import event_routes
from jobs_api.http.files import file_routes
from jobs_api.http.gate import Passage
from jobs_api.http.handshakes import answer_handshakes
from jobs_api.http.health import health_routes
from jobs_api.http.job_types import job_type_routes
from jobs_api.http.jobs import job_routes
from jobs_api.http.metering import measure_answers, note_arrivals
from jobs_api.http.metrics import metrics_routes
from jobs_api.http.page.routes import page_routes
from jobs_api.http.page.sign_in import sign_in_routes
from jobs_api.http.preferences import preference_routes
from jobs_api.http.problems import exception_handler
from jobs_api.http.queues import queue_routes
from jobs_api.http.schema import Description, schema_routes
from jobs_api.http.services import Services
from jobs_api.http.tracking import tracking_routes
from jobs_api.http.unsubscribe import unsubscribe_routes


def make_app(services: Services) -> Litestar:
    """Return the application; it starts and stops the event hub with itself."""
    hub, description = services["hub"], Description()

    async def start() -> None:
        hub.start()

    async def stop() -> None:
        await hub.stop()

    handlers: dict[
        int | type[Exception], Callable[[Request[object, object, State], Exception], Response[bytes]]
    ] = {Exception: exception_handler(services["logger"])}
    middleware: list[Callable[[Passage], Passage]] = [
        note_arrivals,
        answer_handshakes(services["logger"]),
        services["gate"].around,
    ]
    before_send: list[Callable[[object, object], Awaitable[None]]] = [measure_answers(services["metrics"])]
    answer_options: Callable[[Request[object, object, State]], Awaitable[Response[None] | None]] = (
        description.answer_options
    )
    app = Litestar(
        [
            file_routes(services),
            job_routes(services),
            tracking_routes(services),
            control_routes(services),
            event_routes(services),
            event_stream_routes(services),
            delivery_routes(services),
            job_type_routes(services),
            health_routes(services),
            metrics_routes(services),
            queue_routes(services),
            page_routes(services),
            sign_in_routes(services),
            schema_routes(services, description),
            preference_routes(services),
            unsubscribe_routes(services),
        ],
        middleware=middleware,
        cors_config=_cors(services["cors_origins"]),
        before_request=answer_options,
        before_send=before_send,
        exception_handlers=handlers,
        on_startup=[start],
        on_shutdown=[stop],
        logging_config=None,
        # The framework would serve HEAD of it to nobody, and show it by scripts from elsewhere.
        openapi_config=None,
    )
    description.describe(app)
    for path, method, _ in declarations(app):
        if method != WEBSOCKET:
            services["metrics"].expect(path, method)
    return check_declarations(app)


def _cors(origins: Sequence[str]) -> CORSConfig | None:
    """Let pages of other sites call this API, with a key: a session's cookie never comes along."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=[*origins],
        allow_methods=["GET", "HEAD", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Idempotency-Replayed", "Location", "Retry-After", "WWW-Authenticate"],
        allow_credentials=False,
    )
