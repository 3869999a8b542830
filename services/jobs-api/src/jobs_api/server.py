"""Runs the application in uvicorn, and stops it without cutting anybody off."""

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final, Self

import uvicorn
from litestar import Litestar
from typing_extensions import override
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from jobs_api.event_hub import EventHub

GRACE_SECONDS: Final = 8
"""How long requests under way may take after SIGTERM."""

MAX_SOCKET_MESSAGE_BYTES: Final = 1024
"""The longest message a WebSocket client may send; there is no use for any."""

LOOP: Final = "asyncio" if sys.platform == "win32" else "uvloop"

MAX_HEAD_BYTES: Final = 64 * 1024
"""How much is kept of a request whose headers have not ended. Headers that end below this, and are too
large all the same, get a clear answer in `jobs_api.http.gate`."""

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take. Who never ends one holds a connection, and there are so many."""

_REFUSAL: Final = (
    b"HTTP/1.1 %s\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%s"
)
_TOO_LARGE: Final = (
    b'{"type":"urn:jobs-api:headers-too-large","title":"Request Header Fields Too Large","status":431,'
    b'"detail":"The headers are too large."}'
)
_TOO_SLOW: Final = (
    b'{"type":"urn:jobs-api:headers-too-slow","title":"Request Timeout","status":408,'
    b'"detail":"The headers did not end in time."}'
)


class HeadLimitedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP, which by itself would keep headers without end, and wait for that end for ever."""

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def __new__(cls, *_: object, **__: object) -> Self:
        """Begin to wait for the first request: one is made for each connection, as it comes in."""
        protocol = super().__new__(cls)
        protocol._time_head()
        return protocol

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_timing()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        """Take what the client sent; close the connection when the head of a request grows too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        # Looked at afterwards: a head that came as a whole, as most do, needs no timer.
        if self._in_head and self._head_bytes > 0 and self._head_timer is None:
            self._time_head()
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    @override
    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._in_head = False
        self._stop_timing()
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        """Note that another request may begin."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def _time_head(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._give_up)

    def _stop_timing(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self._head_bytes == 0:
            # A browser that has opened a connection ahead of its need has not asked for anything.
            self.transport.close()
        else:
            self._refuse(b"408 Request Timeout", _TOO_SLOW)

    def _refuse(self, status: bytes, problem: bytes) -> None:
        self.transport.write(_REFUSAL % (status, len(problem), problem))
        self.transport.close()


class RefusalAwareProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket, which takes a handshake refused with an answer for one left without any."""

    @override
    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            # Else it would be logged as a fault.
            self.handshake_complete = True


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


def make_server(
    app: Litestar, hub: EventHub, *, host: str, port: int, trusted_proxies: Sequence[str] = ()
) -> ApiServer:
    """Return a server for the application, not started yet.

    Args:
        app: the application.
        hub: the streams to close at the end.
        host: where to listen.
        port: where to listen; 0 takes a free one.
        trusted_proxies: addresses whose word on the client's address and on https is believed.
    """
    protocol: type[asyncio.Protocol] = HeadLimitedProtocol
    socket_protocol: type[asyncio.Protocol] = RefusalAwareProtocol
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # Named, so that a missing one is told at once and not replaced by a slower one in silence.
        loop=LOOP,
        http=protocol,
        ws=socket_protocol,
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        # Events are small and go to many: compressing each for each client costs more than it saves.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        # Anybody can send these headers, so nobody is believed by default; uvicorn would believe this
        # machine.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=[*trusted_proxies],
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return ApiServer(config, hub)


def serve(app: Litestar, hub: EventHub, *, host: str, port: int, trusted_proxies: Sequence[str] = ()) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SystemExit: with code 3, by uvicorn, when it can't listen there; it has logged why.
    """
    server = make_server(app, hub, host=host, port=port, trusted_proxies=trusted_proxies)

    def leave(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # Uvicorn raises the signal once more after it has stopped well; by default that would kill the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    server.run()
