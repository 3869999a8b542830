"""The route of the page: `GET /jobs/{domain}/{job_id}`."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from litestar import Request, Response, Router, route
from litestar.datastructures import State
from litestar.params import FromPath
from platform_core.job_types import JobRecord, is_outcome
from platform_core.json_values import JsonObject

from jobs_api.http.answers import READ
from jobs_api.http.page.rendering import PAGE_POLICY, JobLinks, render_job_page, render_problem_page
from jobs_api.http.page.words import LogLine, page_words
from jobs_api.http.problems import problem_of
from jobs_api.http.services import Services
from jobs_api.object_store import FileMissingError, FileStore, ObjectStoreError

_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HEADINGS: Final = {404: "There is no such job", 503: "The jobs can't be read just now"}
_ADVICE: Final = {
    404: "Check the address. A finished job is kept for 30 days.",
    503: "Nothing is lost, and jobs go on. Reload this page in a moment.",
}


def page_routes(services: Services) -> Router:
    """Return the route of the page."""
    records, files, logger = services["records"], services["files"], services["logger"]

    @route("/{domain:str}/{job_id:str}", http_method=READ, sync_to_thread=True, include_in_schema=False)
    def page(domain: FromPath[str], job_id: FromPath[str]) -> Response[str]:
        """Show a job to a person."""
        found = records.load(domain, job_id)
        record = found["record"]
        log = [_log_line(line) for line in records.log_lines(domain, job_id)]
        links = _links(files, found["domain"], record)
        text = render_job_page(page_words(record), links, _file_name(files, record), log)
        return _html(text, 200)

    def explain(_request: Request[object, object, State], error: Exception) -> Response[str]:
        problem = problem_of(error, logger)
        status = problem["status"]
        heading = _HEADINGS.get(status, "Something went wrong here")
        return _html(render_problem_page(heading, _ADVICE.get(status, problem["detail"])), status)

    handlers: dict[
        int | type[Exception], Callable[[Request[object, object, State], Exception], Response[str]]
    ] = {Exception: explain}
    return Router("/jobs", route_handlers=[page], exception_handlers=handlers)


def _html(text: str, status: int) -> Response[str]:
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)


def _links(files: FileStore, domain: str, record: JobRecord) -> JobLinks:
    # Relative, so that the page also works below a path of somebody's proxy.
    job = f"../../v1/jobs/{domain}/{quote(record['job_id'], safe='')}"
    if not is_outcome(record["status"]):
        return {"follow": f"{job}/events"}
    if record["status"] != "completed" or "result_id" not in record:
        return {}
    try:
        files.describe(record["result_id"])
    except FileMissingError:
        # Another team's result may lie anywhere; its id is all that can be shown.
        return {"elsewhere": record["result_id"]}
    except ObjectStoreError:
        # The store may be back when the link is followed.
        pass
    return {"result": f"{job}/result"}


def _file_name(files: FileStore, record: JobRecord) -> str:
    match record["payload"]:
        case {"file_id": str(file_id)}:
            try:
                return files.describe(file_id)["name"]
            except (FileMissingError, ObjectStoreError):
                # The name is an extra; the page must not fail for it.
                return ""
        case _:
            return ""


def _log_line(line: JsonObject) -> LogLine:
    time = str(line["time"])
    clock = datetime.fromisoformat(time).strftime("%H:%M:%S")
    return {"time": time, "clock": clock, "level": str(line["level"]), "message": str(line["message"])}
