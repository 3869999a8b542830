"""The job types of the domain `files`: which work each does, how its result is offered and described.

The work itself is in `jobs_api.files` and knows nothing of jobs.
"""

from datetime import timedelta
from typing import Final

from platform_core.job_events import JobDomain, job_domain
from platform_notify.plain_words import human_size
from platform_workers.handlers import HandlerRegistry

from jobs_api.file_jobs import FileJobs, ResultKind
from jobs_api.files.canonicalize import CanonicalizeSummary, canonicalize
from jobs_api.files.column_stats import ColumnStatsSummary, column_stats
from jobs_api.files.deduplicate import DeduplicateSummary, deduplicate
from jobs_api.files.payloads import (
    CanonicalizePayload,
    ColumnStatsPayload,
    DeduplicatePayload,
    RowCountPayload,
)
from jobs_api.files.row_count import RowCountSummary, row_count

FILES: Final[JobDomain] = job_domain("files")

TIMEOUT_SECONDS: Final = 3600
"""One attempt on a large file may take this long."""

LEFTOVER_AGE: Final = timedelta(seconds=2 * TIMEOUT_SECONDS)
"""No attempt runs this long, so an older folder belongs to none."""

_JSON: Final = "application/json"
ROW_COUNT: Final[ResultKind] = {"label": "row_count", "ending": "json", "content_type": _JSON}
COLUMN_STATS: Final[ResultKind] = {"label": "column_stats", "ending": "json", "content_type": _JSON}
DEDUPLICATED: Final[ResultKind] = {
    "label": "deduplicated",
    "ending": "csv",
    "content_type": "text/csv; charset=utf-8",
}
CANONICAL: Final[ResultKind] = {"label": "canonical", "ending": "json", "content_type": _JSON}


def make_registry(jobs: FileJobs) -> HandlerRegistry:
    """Return the job types of the domain `files`."""
    registry = HandlerRegistry(domain=FILES)
    registry.register(
        "csv.row_count",
        RowCountPayload,
        jobs.handler(row_count, ROW_COUNT, describe_row_count),
        timeout_seconds=TIMEOUT_SECONDS,
        description="Counts the rows and columns of a CSV file and says how it was read.",
    )
    registry.register(
        "csv.column_stats",
        ColumnStatsPayload,
        jobs.handler(column_stats, COLUMN_STATS, describe_column_stats),
        timeout_seconds=TIMEOUT_SECONDS,
        description="Describes each column of a CSV file: type, nulls, distinct values, range, mean.",
    )
    registry.register(
        "csv.deduplicate",
        DeduplicatePayload,
        jobs.handler(deduplicate, DEDUPLICATED, describe_deduplicate),
        timeout_seconds=TIMEOUT_SECONDS,
        description="Removes repeated rows from a CSV file; the first of each stays.",
    )
    registry.register(
        "json.canonicalize",
        CanonicalizePayload,
        jobs.handler(canonicalize, CANONICAL, describe_canonicalize),
        timeout_seconds=TIMEOUT_SECONDS,
        description="Writes a JSON file in its canonical form (RFC 8785).",
    )
    return registry


def describe_row_count(summary: RowCountSummary) -> str:
    """Say what came out, such as `344 rows, 8 columns`."""
    return f"{_count(summary['rows'], 'row')}, {_count(summary['columns'], 'column')}"


def describe_column_stats(summary: ColumnStatsSummary) -> str:
    """Say what came out, such as `344 rows, 8 columns`."""
    return f"{_count(summary['rows'], 'row')}, {_count(summary['columns'], 'column')}"


def describe_deduplicate(summary: DeduplicateSummary) -> str:
    """Say what came out, such as `12 repeated rows removed, 332 kept`."""
    return f"{_count(summary['removed'], 'repeated row')} removed, {summary['kept']:,} kept"


def describe_canonicalize(summary: CanonicalizeSummary) -> str:
    """Say what came out, such as `12.4 kB became 9.8 kB`."""
    return f"{human_size(summary['source_bytes'])} became {human_size(summary['result_bytes'])}"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"
