"""The route of the page: `GET /jobs/{domain}/{job_id}`."""

from datetime import datetime
from urllib.parse import quote

from litestar import Request, Response, Router, route
from litestar.datastructures import State
from litestar.params import FromPath
from platform_core.clock import SystemClock
from platform_core.job_types import JobRecord, is_outcome
from platform_core.json_values import JsonObject

from jobs_api.http.access import READS_PAGE, caller_of
from jobs_api.http.answers import READ
from jobs_api.http.page.answers import html_answer
from jobs_api.http.page.explaining import page_exception_handlers
from jobs_api.http.page.rendering import JobLinks, render_job_page
from jobs_api.http.page.words import LogLine, page_words
from jobs_api.http.services import Services
from jobs_api.object_store import FileMissingError, FileStore, ObjectStoreError
from jobs_api.waiting import is_abandoned, unserved_queue


def page_routes(services: Services) -> Router:
    """Return the route of the page."""
    records, files, logger = services["records"], services["files"], services["logger"]
    redis, clock = services["redis"], SystemClock()

    @route(
        "/{domain:str}/{job_id:str}",
        http_method=READ,
        sync_to_thread=True,
        include_in_schema=False,
        opt=READS_PAGE,
    )
    def page(
        request: Request[object, object, State], domain: FromPath[str], job_id: FromPath[str]
    ) -> Response[str]:
        """Show a job to a person."""
        found = records.load(domain, job_id)
        record = found["record"]
        log = [_log_line(line) for line in records.log_lines(domain, job_id)]
        links = _links(files, found["domain"], record)
        signed_in = caller_of(request).signed_in
        now = clock.now()
        words = page_words(record, unserved_queue(redis, record, now), abandoned=is_abandoned(record, now))
        text = render_job_page(words, links, _file_name(files, record), log, signed_in=signed_in)
        return html_answer(text, 200)

    return Router("/jobs", route_handlers=[page], exception_handlers=page_exception_handlers(logger))


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
