"""Answers who may not open a WebSocket as any request is answered: with a status and a problem document.

Left alone, the framework would close what was never opened, and the server makes a bare 403 of that, whatever
the reason, and without a word on when to come back.
"""

from collections.abc import Callable

from platform_core.logging import Logger
from platform_workers.errors import RedisUnavailableError

from jobs_api.http.access import WEBSOCKET, Asked, method_of
from jobs_api.http.gate import Arrival, Passage, Send
from jobs_api.http.problems import PROBLEM_TYPE, ProblemError, problem_of, problem_text


def answer_handshakes(logger: Logger) -> Callable[[Passage], Passage]:
    """Return what puts this around the guard.

    It needs of the server ASGI's extension `websocket.http.response`, which ours has.
    """

    def around(app: Passage) -> Passage:
        async def call(asked: Asked, receive: object, send: Send) -> None:
            try:
                await app(asked, receive, send)
            except (ProblemError, RedisUnavailableError) as error:
                if method_of(Arrival(asked)) != WEBSOCKET:
                    raise
                # Only the guard's: what a route raises after it has opened the socket does not come here.
                problem = problem_of(error, logger)
                headers = {"Content-Type": PROBLEM_TYPE, **problem.get("headers", {})}
                await send(
                    {
                        "type": "websocket.http.response.start",
                        "status": problem["status"],
                        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
                    }
                )
                await send(
                    {
                        "type": "websocket.http.response.body",
                        "body": problem_text(problem),
                        "more_body": False,
                    }
                )

        return call

    return around
