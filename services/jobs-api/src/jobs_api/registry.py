"""The job types of the domain `files`: each fetches an uploaded file, does its work, and stores the result.

The work itself is in `jobs_api.files` and knows nothing of jobs. A new job type is one more line in
`make_registry`.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypedDict, TypeVar

from platform_core.errors import JobUserError
from platform_core.job_events import JobDomain, job_domain
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun

from jobs_api.file_names import result_name
from jobs_api.files.canonicalize import canonicalize
from jobs_api.files.column_stats import column_stats
from jobs_api.files.deduplicate import deduplicate
from jobs_api.files.payloads import (
    CanonicalizePayload,
    ColumnStatsPayload,
    DeduplicatePayload,
    RowCountPayload,
)
from jobs_api.files.progress import ProgressReport
from jobs_api.files.row_count import row_count
from jobs_api.object_store import FileMissingError, FileStore

FILES: Final[JobDomain] = job_domain("files")

TIMEOUT_SECONDS: Final = 3600
"""One attempt on a large file may take this long."""

ALL_OF_IT: Final = 100
PERCENT_FOR_WORK: Final = 98
"""The work's own 0 to 100 percent become 0 to this; storing the result is the rest."""


class ResultKind(TypedDict):
    """How the result file is offered: the word and the ending of its name, and its media type."""

    label: str
    ending: str
    content_type: str


PayloadT = TypeVar("PayloadT", bound=Mapping[str, object])

Operation: TypeAlias = Callable[[Path, Path, PayloadT, ProgressReport], object]
"""Reads the first file, writes the second, tells how far it is; raises `JobUserError` for a bad file."""

JSON_TYPE: Final = "application/json"
CSV_TYPE: Final = "text/csv; charset=utf-8"


class FileJobs:
    """Wraps an operation on local files into a handler.

    Args:
        store: where uploads and results lie.
        work_folder: where a job's files lie while it runs; made when it is not there.
    """

    def __init__(self, *, store: FileStore, work_folder: Path) -> None:
        self._store = store
        self._work_folder = work_folder

    def handler(
        self, operation: Operation[PayloadT], kind: ResultKind
    ) -> Callable[[PayloadT, JobRun], JobResult]:
        """Return the handler of one job type."""

        def run(payload: PayloadT, job: JobRun) -> JobResult:
            with self._folder_of(job) as folder:
                source, result = folder / "source", folder / "result"
                file_id = str(payload["file_id"])
                try:
                    about = self._store.fetch(file_id, source)
                except FileMissingError:
                    raise JobUserError(
                        f"There is no uploaded file with the id {file_id!r}. Upload it and submit again."
                    ) from None

                def report(percent: int, message: str, /) -> None:
                    # The work's own "done" is not the job's: the result is still to be stored.
                    if percent < ALL_OF_IT:
                        job.publish_progress(percent * PERCENT_FOR_WORK // ALL_OF_IT, message)

                operation(source, result, payload, report)
                job.publish_progress(99, "storing the result")
                name = result_name(about["name"], label=kind["label"], ending=kind["ending"])
                stored = self._store.save_file(result, name=name, content_type=kind["content_type"])
            return {"result_id": stored["file_id"], "result_bytes": stored["bytes"]}

        return run

    @contextmanager
    def _folder_of(self, job: JobRun) -> Iterator[Path]:
        """Give the job a folder of its own, empty, and remove it afterwards."""
        # By digest: a job id may hold what is no plain file name.
        folder = self._work_folder / hashlib.sha256(job.job_id.encode()).hexdigest()[:32]
        # An attempt that was killed left its files behind; this attempt took its place.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def make_registry(jobs: FileJobs) -> HandlerRegistry:
    """Return the job types of the domain `files`."""
    registry = HandlerRegistry(domain=FILES)
    registry.register(
        "csv.row_count",
        RowCountPayload,
        jobs.handler(row_count, {"label": "row_count", "ending": "json", "content_type": JSON_TYPE}),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    registry.register(
        "csv.column_stats",
        ColumnStatsPayload,
        jobs.handler(column_stats, {"label": "column_stats", "ending": "json", "content_type": JSON_TYPE}),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    registry.register(
        "csv.deduplicate",
        DeduplicatePayload,
        jobs.handler(deduplicate, {"label": "deduplicated", "ending": "csv", "content_type": CSV_TYPE}),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    registry.register(
        "json.canonicalize",
        CanonicalizePayload,
        jobs.handler(canonicalize, {"label": "canonical", "ending": "json", "content_type": JSON_TYPE}),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    return registry
