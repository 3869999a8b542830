"""Lists jobs, newest first, by status, job type, user and time; page by page, in any number of domains.

Each combination of filters has an index set of its own (docs/adr/0007), so a page costs what it shows,
however many jobs there are. A cursor is a position (created, domain, job id) and not a count. A job keeps its
position, so pages neither skip nor repeat one that matches all the time, whatever comes, goes or moves.
"""

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from heapq import merge
from typing import Annotated, Final, Generic, NotRequired, TypeAlias, TypedDict, TypeVar

from msgspec import Meta
from platform_core.clock import to_millis
from platform_core.errors import DecodeError
from platform_core.event_codec import JobId
from platform_core.job_events import JobDomain
from platform_core.job_types import JobStatusLiteral
from platform_core.json_values import JsonObject, decode_as, encode_json

from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient

JOBS_PAGE = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "jobs_page")

SUMMARY_FIELDS: Final = (
    "user_id", "status", "progress", "message", "created_at", "updated_at", "error", "job_type", "priority",
    "queue", "attempt_count", "max_attempts", "run", "run_after", "started_at", "finished_at", "locked_by",
    "locked_until", "result_id", "result_bytes", "error_kind",
)  # fmt: skip
"""What a list shows of a record: all but `payload`, `context` and `notifications`, which may be large."""

LOOKS_AT_ONCE: Final = 500
"""How many entries one call of the script looks at; it goes on from there while the page is not full."""

MAX_UNREADABLE: Final = 500
"""At how many records that can't be read a page ends, though it is not full."""

T = TypeVar("T")

ReadSummary: TypeAlias = Callable[[JobDomain, str, Mapping[str, str]], T]
"""Makes of a domain, a job id and the stored fields what a list shows; raises `DecodeError` if it can't."""


class JobFilter(TypedDict, total=False):
    """Which jobs; what is left out does not matter.

    Attributes:
        status: In this status.
        job_type: Of this job type.
        user_id: Of this user.
        created_from: Created at this time or later; times count in whole milliseconds.
        created_before: Created before this time.
    """

    status: JobStatusLiteral
    job_type: str
    user_id: int
    created_from: datetime
    created_before: datetime


class JobPage(TypedDict, Generic[T]):
    """Jobs, newest first.

    Attributes:
        jobs: What `read` has made of them; fewer than the limit, or none, also before the last page.
        next_cursor: Where the next page begins; absent on the last one.
        unreadable: One sentence for each job that was left out because its record can't be read.
    """

    jobs: list[T]
    next_cursor: NotRequired[str]
    unreadable: list[str]


class Position(TypedDict):
    """Where a job stands among all: `created_ms`, milliseconds since 1970, then domain, then job id."""

    created_ms: Annotated[int, Meta(ge=-(2**53), le=2**53)]
    domain: JobDomain
    job_id: JobId


class _Found(TypedDict):
    """A job as the script has found it."""

    position: Position
    fields: Mapping[str, str]


_JOB_TYPE: Final = re.compile(r"[^:\s]{1,128}")
_FIRST_MS: Final = -(2**53)


def list_jobs(
    redis: RedisClient,
    domains: Iterable[JobDomain],
    wanted: JobFilter,
    *,
    limit: int,
    cursor: str | None = None,
    read: ReadSummary[T],
) -> JobPage[T]:
    """Return one page of the jobs that match, newest first; as a rule in one round trip for each domain.

    Args:
        redis: The connection.
        domains: Where to look.
        wanted: Which jobs.
        limit: At most how many, 1 or more.
        cursor: `next_cursor` of the page before; None for the first page.
        read: Makes of the stored fields (those of `SUMMARY_FIELDS` that are there) what the list shows.

    Raises:
        DecodeError: The cursor is none that came from here, or the job type can't be one; the path names it.
        RedisUnavailableError: Redis does not answer.
    """
    after = None if cursor is None else decode_cursor(cursor)
    index = index_name(wanted)
    page: JobPage[T] = {"jobs": [], "unreadable": []}
    last: Position | None = None
    streams = [_jobs_of(redis, domain, index, wanted, after=after, batch=limit + 1) for domain in domains]
    for found in merge(*streams, key=_order, reverse=True):
        position = found["position"]
        try:
            job = read(position["domain"], position["job_id"], found["fields"])
        except DecodeError as error:
            page["unreadable"].append(f"{position['domain']}/{position['job_id']}: {error}")
            if len(page["unreadable"]) == MAX_UNREADABLE:
                # A domain may hold any number of a team's own records: nobody should wait for all of them.
                page["next_cursor"] = encode_cursor(position)
                break
            continue
        if last is not None and len(page["jobs"]) == limit:
            page["next_cursor"] = encode_cursor(last)
            break
        page["jobs"].append(job)
        last = position
    return page


def index_name(wanted: JobFilter) -> str:
    """Return the last part of the name of the set that holds the jobs of a filter, its times left aside.

    Raises:
        DecodeError: The job type can't be one.
    """
    parts: list[str] = []
    if "status" in wanted:
        parts.append(f"status:{wanted['status']}")
    if "job_type" in wanted:
        if _JOB_TYPE.fullmatch(wanted["job_type"]) is None:
            # With a colon in it, it would name a set of other jobs.
            raise DecodeError("$.job_type", "1 to 128 characters without white space and `:`", "str")
        parts.append(f"type:{wanted['job_type']}")
    if "user_id" in wanted:
        parts.append(f"user:{wanted['user_id']}")
    return ":".join(parts) or "all"


def encode_cursor(position: Position) -> str:
    """Return a position as a text that fits into a URL as it is."""
    document: JsonObject = {
        "created_ms": position["created_ms"],
        "domain": position["domain"],
        "job_id": position["job_id"],
    }
    return urlsafe_b64encode(encode_json(document).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """Return the position in a cursor.

    Raises:
        DecodeError: The text is no cursor.
    """
    try:
        text = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return decode_as(text, Position)
    except (ValueError, DecodeError):
        raise DecodeError("$.cursor", "a cursor as it was given", "str") from None


def _order(found: _Found) -> tuple[int, str, str]:
    position = found["position"]
    return position["created_ms"], position["domain"], position["job_id"]


def _jobs_of(
    redis: RedisClient,
    domain: JobDomain,
    index: str,
    wanted: JobFilter,
    *,
    after: Position | None,
    batch: int,
) -> Iterator[_Found]:
    """Yield the jobs of one domain, newest first, `batch` at a time from Redis and no more than are taken."""
    low, before = _FIRST_MS, list[int]()
    if "created_from" in wanted:
        low = to_millis(wanted["created_from"])
    if "created_before" in wanted:
        before.append(to_millis(wanted["created_before"]))
    at: tuple[str, str] = ("", "")
    if after is not None and after["domain"] == domain:
        at = (str(after["created_ms"]), after["job_id"])
    elif after is not None:
        # Among jobs of one millisecond, those of the domain with the greater name come first.
        before.append(after["created_ms"] + (1 if domain < after["domain"] else 0))
    more = True
    while more:
        reply = redis.run_script(
            {
                "script": JOBS_PAGE,
                "keys": [f"{domain}:jobs:{index}"],
                "args": [
                    domain, str(batch), str(low), str(min(before)) if before else "", *at, str(LOOKS_AT_ONCE),
                    wanted.get("status", ""), wanted.get("job_type", ""), str(wanted.get("user_id", "")),
                    *SUMMARY_FIELDS,
                ],
            }
        )  # fmt: skip
        ended, score, last_id, *cells = reply
        width = 2 + len(SUMMARY_FIELDS)
        rows = [cells[start : start + width] for start in range(0, len(cells), width)]
        for job_id, created, *values in rows:
            yield {
                "position": {"created_ms": _whole(created), "domain": domain, "job_id": job_id},
                "fields": {name: value for name, value in zip(SUMMARY_FIELDS, values, strict=True) if value},
            }
        more = ended == "more" or len(rows) == batch
        at = (score, last_id)


def _whole(score: str) -> int:
    return int(float(score))
