"""Runs the application in uvicorn, and stops it without cutting anybody off."""

import signal
import socket
import sys
from types import FrameType
from typing import Final

import uvicorn
from litestar import Litestar
from typing_extensions import override

from jobs_api.event_hub import EventHub

GRACE_SECONDS: Final = 8
"""How long requests under way may take after SIGTERM."""

MAX_SOCKET_MESSAGE_BYTES: Final = 1024
"""The longest message a WebSocket client may send; there is no use for any."""

LOOP: Final = "asyncio" if sys.platform == "win32" else "uvloop"


class ApiServer(uvicorn.Server):
    """Uvicorn's server, which ends open event streams first: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, hub: EventHub) -> None:
        super().__init__(config)
        self._hub = hub

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, finish the other requests, then stop."""
        self._hub.close_listeners()
        await super().shutdown(sockets)


def make_server(app: Litestar, hub: EventHub, *, host: str, port: int) -> ApiServer:
    """Return a server for the application, not started yet."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # Named, so that a missing one is told at once and not replaced by a slower one in silence.
        loop=LOOP,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        # Events are small and go to many: compressing each for each client costs more than it saves.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return ApiServer(config, hub)


def serve(app: Litestar, hub: EventHub, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SystemExit: with code 3, by uvicorn, when it can't listen there; it has logged why.
    """
    server = make_server(app, hub, host=host, port=port)

    def leave(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # Uvicorn raises the signal once more after it has stopped well; by default that would kill the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    server.run()
