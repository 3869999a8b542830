"""Puts the routes together into the web application."""

from collections.abc import Callable
from typing import Final

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from jobs_api.http.control import control_routes
from jobs_api.http.deliveries import delivery_routes
from jobs_api.http.event_streams import event_stream_routes
from jobs_api.http.events import event_routes
from jobs_api.http.files import file_routes
from jobs_api.http.health import health_routes
from jobs_api.http.job_types import job_type_routes
from jobs_api.http.jobs import job_routes
from jobs_api.http.page.routes import page_routes
from jobs_api.http.preferences import preference_routes
from jobs_api.http.problems import exception_handler
from jobs_api.http.services import Services
from jobs_api.http.tracking import tracking_routes
from jobs_api.http.unsubscribe import unsubscribe_routes

VERSION: Final = "1"


def make_app(services: Services) -> Litestar:
    """Return the application; it starts and stops the event hub with itself."""
    hub = services["hub"]

    async def start() -> None:
        hub.start()

    async def stop() -> None:
        await hub.stop()

    handlers: dict[
        int | type[Exception], Callable[[Request[object, object, State], Exception], Response[bytes]]
    ] = {Exception: exception_handler(services["logger"])}
    return Litestar(
        [
            file_routes(services),
            job_routes(services),
            control_routes(services),
            tracking_routes(services),
            event_routes(services),
            event_stream_routes(services),
            delivery_routes(services),
            job_type_routes(services),
            health_routes(services),
            page_routes(services),
            preference_routes(services),
            unsubscribe_routes(services),
        ],
        exception_handlers=handlers,
        on_startup=[start],
        on_shutdown=[stop],
        logging_config=None,
        # The document alone, at /schema/openapi.json: the pages that show it load scripts from elsewhere.
        openapi_config=OpenAPIConfig(title="Jobs", version=VERSION, render_plugins=[JsonRenderPlugin()]),
    )
