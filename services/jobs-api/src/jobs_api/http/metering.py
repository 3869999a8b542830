"""Measures every answer: notes when a request comes to its route, and looks at the head of what is sent.

How long an answer takes to its end depends on whoever reads it, and a stream of events has none; so the time
is taken until it begins.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from jobs_api.http.access import Asked
from jobs_api.http.gate import Passage, Send
from jobs_api.metrics import Metrics

_BEGAN: Final = "jobs_began"


def note_arrivals(app: Passage) -> Passage:
    """Return the application with a note of when each request came to its route."""

    async def call(asked: Asked, receive: object, send: Send) -> None:
        asked["state"][_BEGAN] = perf_counter()
        await app(asked, receive, send)

    return call


def measure_answers(metrics: Metrics) -> Callable[[object, object], Awaitable[None]]:
    """Return what the framework calls with everything that is sent, and with the request it answers."""

    async def measure(message: object, asked: object) -> None:
        head, about = _fields(message), _fields(asked)
        if head["type"] != "http.response.start":
            return
        route, began = about.get("path_template"), _fields(about["state"]).get(_BEGAN)
        metrics.request_answered(
            route if isinstance(route, str) else None,
            str(about["method"]),
            int(str(head["status"])),
            perf_counter() - began if isinstance(began, float) else None,
        )

    return measure


def _fields(value: object) -> dict[object, object]:
    fields: dict[object, object] = value if isinstance(value, dict) else {}
    return fields
