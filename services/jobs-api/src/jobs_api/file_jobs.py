"""Turns work on local files into job handlers: fetch the uploaded file, do the work, store the result."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias, TypedDict, TypeVar

from platform_core.clock import Clock
from platform_core.errors import JobUserError
from platform_workers.errors import JobCancelledError
from platform_workers.handlers import JobResult, JobRun

from jobs_api.file_names import result_name
from jobs_api.files.progress import ProgressReport
from jobs_api.object_store import FileMissingError, FileStore

ALL_OF_IT: Final = 100
PERCENT_FOR_WORK: Final = 98
"""The work's own 0 to 100 percent become 0 to this; storing the result is the rest."""

PERCENT_WHEN_STORED: Final = 99

FOLDER_PREFIX: Final = "attempt-"
"""How the name of an attempt's folder begins; only such folders are ever removed by age."""

PayloadT = TypeVar("PayloadT", bound=Mapping[str, object])
SummaryT = TypeVar("SummaryT")

Operation: TypeAlias = Callable[[Path, Path, PayloadT, ProgressReport], SummaryT]
"""Reads the first file, writes the second, tells how far it is, returns the figures in short.

It raises `JobUserError` for a file or options that are at fault.
"""


class ResultKind(TypedDict):
    """How the result file is offered: the word and the ending of its name, and its media type."""

    label: str
    ending: str
    content_type: str


class FileJobs:
    """Wraps an operation on local files into a handler.

    Args:
        store: where uploads and results lie.
        work_folder: where a job's files lie while it runs; made when it is not there.
        clock: tells how old a folder is.
        leftover_age: a folder that was not written for so long belongs to no running attempt. Longer than
            any attempt may take.
    """

    def __init__(self, *, store: FileStore, work_folder: Path, clock: Clock, leftover_age: timedelta) -> None:
        self._store = store
        self._work_folder = work_folder
        self._clock = clock
        self._leftover_age = leftover_age

    def handler(
        self,
        operation: Operation[PayloadT, SummaryT],
        kind: ResultKind,
        describe: Callable[[SummaryT], str],
    ) -> Callable[[PayloadT, JobRun], JobResult]:
        """Return the handler of one job type.

        Args:
            operation: the work on local files.
            kind: how its result is offered.
            describe: says in a few words what came out. It is the job's last message, so that the page and
                the mail have it too.
        """

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

                summary = operation(source, result, payload, report)
                job.publish_progress(PERCENT_FOR_WORK, "storing the result")
                name = result_name(about["name"], label=kind["label"], ending=kind["ending"])
                stored = self._store.save_file(result, name=name, content_type=kind["content_type"])
                job.publish_progress(PERCENT_WHEN_STORED, describe(summary))
            return {"result_id": stored["file_id"], "result_bytes": stored["bytes"]}

        return run

    @contextmanager
    def _folder_of(self, job: JobRun) -> Iterator[Path]:
        """Give this attempt a folder of its own, empty, and remove it afterwards.

        Never a folder that another attempt can have: one whose worker was silent for too long may go on for a
        moment, beside the one that takes its place.
        """
        remove_leftovers(self._work_folder, before=self._clock.now() - self._leftover_age)
        self._work_folder.mkdir(parents=True, exist_ok=True)
        # By digest: a job id may hold what is no plain file name.
        digest = hashlib.sha256(job.job_id.encode()).hexdigest()[:32]
        prefix = f"{FOLDER_PREFIX}{digest}-{job.attempt}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._work_folder))
        try:
            yield folder
        finally:
            try:
                shutil.rmtree(folder, ignore_errors=True)
            except JobCancelledError:
                # Cancelled in the middle of it; an attempt is told that once.
                shutil.rmtree(folder, ignore_errors=True)
                raise


def remove_leftovers(work_folder: Path, *, before: datetime) -> int:
    """Remove what killed attempts left behind.

    What is not the folder of an attempt stays: the work folder may be one that others use too. What can't be
    removed stays as well; that must not keep a worker from its work.

    Args:
        work_folder: the folder of running jobs.
        before: an attempt's folder that was last written before this moment belongs to no running one.

    Returns:
        How many were removed.
    """
    removed = 0
    for path in work_folder.glob(f"{FOLDER_PREFIX}*"):
        # Another worker of this machine may be faster.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                shutil.rmtree(path, ignore_errors=True)
                removed += not path.exists()
    return removed
