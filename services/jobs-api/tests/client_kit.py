"""The API as the HTTP contract has it, played by canned answers; and the command `jobs` run against it."""

from collections.abc import Callable, Mapping

import httpx
from platform_core.json_values import JsonObject, JsonValue, encode_json

from jobs_api.client.cli import run
from jobs_api.client.connection import open_http
from jobs_api.client.terminal import Terminal, this_terminal
from jobs_api.settings import ClientSettings

URL = "http://jobs.test"
Route = Callable[[httpx.Request], httpx.Response]


class FakeApi:
    """Answers by method and path, and keeps every request.

    Attributes:
        requests: what was asked for, in order.
        waited: how long the command would have waited, each time.
        routes: the answers by `GET /v1/...`; a list is given one by one, its last for ever.
    """

    def __init__(self, routes: Mapping[str, JsonValue | httpx.Response | Route] | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self.waited: list[float] = []
        self.routes = dict(routes or {})

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        request.read()
        self.requests.append(request)
        route = self.routes.get(f"{request.method} {request.url.path}")
        match route:
            case None:
                return problem(404, "request", "There is nothing at this address.")
            case httpx.Response():
                return route
            case str() | int() | float() | bool() | list() | dict():
                return json_answer(route)
            case _:
                return route(request)

    def run(self, *words: str, **environ: str) -> int:
        """Run `jobs` against it; return the exit code."""

        def open_connection(settings: ClientSettings) -> httpx.Client:
            return open_http(settings, httpx.MockTransport(self.answer))

        def open_terminal() -> Terminal:
            return {**this_terminal(), "wait": self.waited.append}

        return run(
            words,
            {"JOBS_API_URL": URL, **environ},
            open_connection=open_connection,
            open_terminal=open_terminal,
        )

    def queries(self) -> list[dict[str, str]]:
        """Return the query of each request."""
        return [dict(request.url.params) for request in self.requests]


def json_answer(value: JsonValue, status: int = 200) -> httpx.Response:
    """Return a JSON answer."""
    return httpx.Response(status, content=encode_json(value), headers={"Content-Type": "application/json"})


def problem(status: int, word: str, detail: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return a problem document."""
    document: JsonObject = {"type": f"urn:jobs-api:{word}", "status": status, "detail": detail}
    return httpx.Response(status, content=encode_json(document), headers=dict(headers or {}))


def job_document(number: int = 1, **fields: JsonValue) -> JsonObject:
    """Return a job as the API gives it in a list."""
    return {
        "domain": "files",
        "job_id": f"{number:032x}",
        "job_type": "csv.row_count",
        "status": "completed",
        "progress": 100,
        "message": None,
        "error": None,
        "user_id": 7,
        "priority": "normal",
        "queue": "files",
        "run": 1,
        "attempt_count": 1,
        "max_attempts": 3,
        "created_at": "2026-01-02T12:00:00+00:00",
        "updated_at": "2026-01-02T12:00:01+00:00",
        **fields,
    }
