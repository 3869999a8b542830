"""Lists, statistics and logs of jobs.

`GET /v1/jobs`, `GET /v1/jobs/active`, `GET /v1/stats`, `GET /v1/jobs/{domain}/{job_id}/log`.
"""

from typing import Final

from litestar import Request, Response, Router, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from platform_core.clock import SystemClock, to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonObject, JsonValue
from platform_workers.domains import known_domains
from platform_workers.job_listing import JobFilter, list_jobs
from platform_workers.job_statistics import (
    WINDOWS,
    DurationPercentiles,
    JobStatistics,
    StatisticsWindow,
    StatusCounts,
    read_statistics,
)
from platform_workers.job_store import LOG_LENGTH, parse_datetime_field, parse_status
from platform_workers.redis import RedisClient

from jobs_api.http.access import READS, Connection, allowed_domains
from jobs_api.http.answers import READ, json_response
from jobs_api.http.query import domain_of, limit_of, read_query, user_id_of
from jobs_api.http.services import Services

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200


def tracking_routes(services: Services) -> Router:
    """Return the routes but for the list itself, which shares its address with submission."""
    redis, records, clock = services["redis"], services["records"], SystemClock()

    @route(
        "/jobs/active", http_method=READ, opt=READS, sync_to_thread=True, summary="List the jobs that run now"
    )
    def active(request: Request[object, object, State]) -> Response[bytes]:
        """Give a page of the jobs that a worker has in its hands, newest first."""
        query = read_query(request)
        return _page(services, request, query, {"status": "processing"})

    @route("/stats", http_method=READ, opt=READS, sync_to_thread=True, summary="How jobs have fared")
    def stats(request: Request[object, object, State]) -> Response[bytes]:
        """Count the jobs there are, and what became of those of the last hour, day or week."""
        query = read_query(request)
        window = window_of(query.get("window", "24h"))
        found = read_statistics(redis, _domains(redis, query, request), window, now=clock.now())
        return json_response(statistics_document(found))

    @route(
        "/jobs/{domain:str}/{job_id:str}/log",
        http_method=READ,
        opt=READS,
        sync_to_thread=True,
        summary="Read a job's log",
    )
    def log(
        request: Request[object, object, State], domain: FromPath[str], job_id: FromPath[str]
    ) -> Response[bytes]:
        """Give the job's log, oldest line first; `after` the id of a line gives those that came since."""
        query = read_query(request)
        lines = records.log_lines(
            domain,
            job_id,
            after=query.get("after", ""),
            limit=limit_of(query, default=LOG_LENGTH, most=LOG_LENGTH),
        )
        document: JsonObject = {"domain": domain, "job_id": job_id, "lines": [*lines]}
        return json_response(document)

    return Router("/v1", route_handlers=[active, stats, log], tags=["jobs"])


def list_route(services: Services) -> HTTPRouteHandler:
    """Return the route of the list, for the router that has `/v1/jobs` (two can't have one address)."""

    @route("/", http_method=READ, opt=READS, sync_to_thread=True, summary="List jobs")
    def listing(request: Request[object, object, State]) -> Response[bytes]:
        """Give a page of the jobs that match, newest first; `next_cursor` leads to the next page."""
        query = read_query(request)
        return _page(services, request, query, filter_of(query))

    return listing


def filter_of(query: dict[str, str]) -> JobFilter:
    """Return which jobs a query is about.

    Raises:
        DecodeError: a parameter has no such value; the path names it.
    """
    wanted: JobFilter = {}
    if "status" in query:
        wanted["status"] = parse_status(query)
    if "job_type" in query:
        wanted["job_type"] = query["job_type"]
    if "user_id" in query:
        wanted["user_id"] = user_id_of(query["user_id"])
    if "created_from" in query:
        wanted["created_from"] = parse_datetime_field(query, "created_from")
    if "created_before" in query:
        wanted["created_before"] = parse_datetime_field(query, "created_before")
    return wanted


def window_of(text: str) -> StatisticsWindow:
    """Return a window by its name.

    Raises:
        DecodeError: there is none of this name.
    """
    for window in WINDOWS:
        if text == window:
            return window
    raise DecodeError("window", " or ".join(WINDOWS), "str")


def statistics_document(found: JobStatistics) -> JsonObject:
    """Return statistics as JSON."""
    return {
        "window": found["window"],
        "from": to_iso(found["begins"]),
        "to": to_iso(found["ends"]),
        "counts": _counts(found["counts"]),
        "by_type": {job_type: _counts(counts) for job_type, counts in found["by_type"].items()},
        "submitted": found["submitted"],
        "finished": {
            "completed": found["finished"]["completed"],
            "failed": found["finished"]["failed"],
            "cancelled": found["finished"]["cancelled"],
        },
        "failure_rate": found["failure_rate"],
        "throughput_per_hour": round(found["throughput_per_hour"], 6),
        "run_seconds": _percentiles(found["run_seconds"]),
        "queue_seconds": _percentiles(found["queue_seconds"]),
        "series": [
            {
                "at": to_iso(step["at"]),
                "submitted": step["submitted"],
                "completed": step["completed"],
                "failed": step["failed"],
                "cancelled": step["cancelled"],
            }
            for step in found["series"]
        ],
    }


def _page(
    services: Services, connection: Connection, query: dict[str, str], wanted: JobFilter
) -> Response[bytes]:
    found = list_jobs(
        services["redis"],
        _domains(services["redis"], query, connection),
        wanted,
        limit=limit_of(query, default=DEFAULT_PAGE, most=MAX_PAGE),
        cursor=query.get("cursor"),
        read=services["records"].summary,
    )
    if found["unreadable"]:
        # A team's own status type may hold less than the base; such a job is left out, and that is told.
        services["logger"].warning(
            "http.unreadable_jobs", count=len(found["unreadable"]), first=found["unreadable"][0]
        )
    document: JsonObject = {"jobs": [*found["jobs"]]}
    if "next_cursor" in found:
        document["next_cursor"] = found["next_cursor"]
    return json_response(document)


def _counts(counts: StatusCounts) -> JsonObject:
    return dict(counts.items())


def _percentiles(found: DurationPercentiles | None) -> JsonValue:
    return None if found is None else {"p50": found["p50"], "p95": found["p95"], "p99": found["p99"]}


def _domains(redis: RedisClient, query: dict[str, str], connection: Connection) -> list[JobDomain]:
    """Return the domain of the query, or every one that has a job and that whoever asks may see."""
    domain = domain_of(query)
    if domain is not None:
        return [domain]
    allowed = allowed_domains(connection)
    return [known for known in known_domains(redis).values() if allowed is None or known in allowed]
