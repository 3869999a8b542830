"""`csv.row_count`: how many rows a CSV file has, after checking that every one is sound."""

from pathlib import Path
from typing import TypedDict

from jobs_api.files.payloads import RowCountPayload
from jobs_api.files.progress import Progress, ProgressReport
from jobs_api.files.results import shown_encoding, write_json
from jobs_api.files.table import row_batches, survey


class RowCountSummary(TypedDict):
    """The result, also as JSON in the result file."""

    rows: int
    """Data rows: without the header and without blank lines."""
    columns: int
    delimiter: str
    encoding: str


def row_count(
    source: Path, result: Path, payload: RowCountPayload, report: ProgressReport
) -> RowCountSummary:
    """Count the rows of a CSV file.

    Args:
        source: the file.
        result: where the JSON result is written.
        payload: what was asked.
        report: told how far it is.

    Raises:
        JobUserError: the file is at fault; the sentence says where.
    """
    progress = Progress(report)
    size = source.stat().st_size
    layout = survey(source, payload, progress.stage(0, 10, size, "checking the text"))
    stage = progress.stage(10, 99, size, "counting rows")
    summary = RowCountSummary(
        rows=sum(map(len, row_batches(source, layout, stage))),
        columns=len(layout["names"]),
        delimiter=layout["delimiter"],
        encoding=shown_encoding(layout),
    )
    write_json(result, summary)
    progress.tell(100, "done")
    return summary
