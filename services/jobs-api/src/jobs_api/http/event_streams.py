"""Events as they happen: `GET /v1/events` (Server-Sent Events) and `/v1/events/ws` (WebSocket).

Both take `domain`, `job_id` and `user_id` (any of them, or none for everything) and `last_event_id`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl

from litestar import Request, Router, WebSocket, route, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromQuery
from litestar.response import Stream
from platform_core.errors import DecodeError
from platform_core.event_codec import JobId
from platform_core.job_events import job_domain
from platform_core.json_values import convert_as
from platform_core.logging import Logger
from platform_workers.errors import RedisUnavailableError

from jobs_api.event_listener import Wanted
from jobs_api.event_positions import Positions, read_positions
from jobs_api.http.access import STREAMS, domain_to_follow
from jobs_api.http.answers import READ, is_head
from jobs_api.http.event_stream import EventStream
from jobs_api.http.event_texts import SERVER_SENT, SOCKET
from jobs_api.http.gate import Gate
from jobs_api.http.problems import ProblemError, field_fault
from jobs_api.http.query import user_id_of
from jobs_api.http.services import Services

FIELDS: Final = ("domain", "job_id", "user_id", "last_event_id")

CLOSE_GOING_AWAY: Final = 1001
"""The server stops; come back with the last id."""

CLOSE_TOO_MANY: Final = 1008
"""The client sends too many messages. Nobody reads them."""

CLOSE_UNEXPECTED: Final = 1011
"""Something went wrong here, and was logged."""

CLOSE_KEY_OVER: Final = 4401
"""Who opened the socket would no longer be let in: to come back with the same key is of no use."""

CLOSE_FORBIDDEN: Final = 4403
"""The key is not for what was asked; the reason says for what."""

CLOSE_INVALID: Final = 4422
"""A parameter is wrong; the reason names it. 4000 and the HTTP status, as the framework has it."""

MESSAGES_A_MINUTE: Final = 60
"""How many messages a client may send; there is no use for any, but some clients send signs of life."""

MAX_REASON: Final = 123
"""The most bytes of a close frame's reason (RFC 6455, 5.5)."""

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_DISCONNECTED: type[Exception] = WebSocketDisconnect
_GONE: Final = (_DISCONNECTED, OSError)


def event_stream_routes(services: Services) -> Router:
    """Return the routes under `/v1/events`."""
    hub, heartbeat_seconds, gate = services["hub"], services["heartbeat_seconds"], services["gate"]

    @route("/", http_method=READ, opt=STREAMS, summary="Follow events")
    async def events(
        request: Request[object, object, State],
        domain: FromQuery[str | None] = None,
        job_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
        last_event_id: FromQuery[str | None] = None,
    ) -> Stream:
        """Send what happens from now on, or from `Last-Event-ID` on, as Server-Sent Events."""
        wanted = wanted_of(domain_to_follow(request, domain), job_id, user_id)
        since = since_of(last_event_id, request.headers.get("last-event-id"))
        stream = EventStream(hub, wanted, since, SERVER_SENT, heartbeat_seconds)
        content = iter(()) if is_head(request) else joined(gate.while_admitted(request, stream.parts()))
        return Stream(content, media_type="text/event-stream", headers=HEADERS)

    @websocket("/ws", opt=STREAMS)
    async def events_by_socket(
        socket: WebSocket[object, object, State],
        domain: FromQuery[str | None] = None,
        job_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
        last_event_id: FromQuery[str | None] = None,
    ) -> None:
        """Send the same as messages of a WebSocket."""
        await socket.accept()
        try:
            check_query(socket.url.query)
            wanted = wanted_of(domain_to_follow(socket, domain), job_id, user_id)
            since = since_of(last_event_id, None)
        except DecodeError as error:
            await socket.close(CLOSE_INVALID, reason_of(error))
            return
        except ProblemError as error:
            await socket.close(CLOSE_FORBIDDEN, error.problem["detail"][:MAX_REASON])
            return
        stream = EventStream(hub, wanted, since, SOCKET, heartbeat_seconds)
        await talk(socket, gate.while_admitted(socket, stream.parts()), gate, services["logger"])

    return Router("/v1/events", route_handlers=[events, events_by_socket], tags=["events"])


async def joined(parts: AsyncIterator[list[str]]) -> AsyncIterator[bytes]:
    """Give the texts of each part as one piece: one write to the network, however many have come."""
    async for texts in parts:
        yield "".join(texts).encode()


async def talk(
    socket: WebSocket[object, object, State], parts: AsyncIterator[list[str]], gate: Gate, logger: Logger
) -> None:
    """Send until the client is gone, sends too much or may hear no more, or the server stops."""
    tasks = [asyncio.create_task(send_all(socket, parts, gate)), asyncio.create_task(hear_out(socket))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        code = code_of_end(task, logger)
        if code is not None:
            with suppress(*_GONE):
                await socket.close(code)


def code_of_end(task: asyncio.Task[int | None], logger: Logger) -> int | None:
    """Return the code by which the socket is closed after a task has ended; None when the client is gone."""
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, _GONE):
        return None
    logger.error("http.unexpected", error=repr(error))
    return CLOSE_UNEXPECTED


async def send_all(
    socket: WebSocket[object, object, State], parts: AsyncIterator[list[str]], gate: Gate
) -> int | None:
    """Send what the stream gives; return the code to close with when it ends."""
    async for texts in parts:
        for text in texts:
            await socket.send_text(text)
    with suppress(RedisUnavailableError):
        if not await gate.still_admitted(socket):
            return CLOSE_KEY_OVER
    return CLOSE_GOING_AWAY


async def hear_out(socket: WebSocket[object, object, State]) -> int | None:
    """Let the client's messages pass; return the code to close with when they are too many."""
    loop = asyncio.get_running_loop()
    count, since = 0, loop.time()
    while count < MESSAGES_A_MINUTE:
        await socket.receive_data("text")
        count = count + 1 if loop.time() < since + 60 else 0
        since = since if count else loop.time()
    return CLOSE_TOO_MANY


def check_query(query: str) -> None:
    """Check that every parameter is known and there once.

    Raises:
        DecodeError: one is not; it names it.
    """
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    for name in names:
        if name not in FIELDS:
            raise DecodeError(name, f"one of the parameters {', '.join(FIELDS)}", "another")
        if names.count(name) > 1:
            raise DecodeError(name, "one value", "several")


def wanted_of(domain: str | None, job_id: str | None, user_id: str | None) -> Wanted:
    """Return whose events are wanted; None for any.

    Raises:
        DecodeError: a parameter is no domain, no job id, no user id.
    """
    return (
        None if domain is None else job_domain(domain),
        None if job_id is None else convert_as(job_id, JobId, "job_id"),
        None if user_id is None else user_id_of(user_id),
    )


def since_of(parameter: str | None, header: str | None) -> Positions | None:
    """Return where a client goes on: after the id in the header, else in the parameter; None without one.

    The header wins: a browser that connects again sends it with the address it was given at first.

    Raises:
        DecodeError: it is no id of an event.
    """
    if header:
        return read_positions(header, "Last-Event-ID")
    return read_positions(parameter, "last_event_id") if parameter else None


def reason_of(error: DecodeError) -> str:
    """Return what a close frame says of a fault, cut to what fits in one."""
    fault = field_fault(error)
    return f"{fault['field']}: {fault['detail']}".encode()[:MAX_REASON].decode("utf-8", "ignore")
