"""`csv.deduplicate`: the same file without the rows that repeat an earlier one."""

import csv
from pathlib import Path
from typing import TypedDict

from platform_core.errors import JobUserError

from jobs_api.files.payloads import DeduplicatePayload
from jobs_api.files.progress import Progress, ProgressReport
from jobs_api.files.repeats import repeats
from jobs_api.files.table import Layout, row_batches, survey

_NAMES_SHOWN = 20


class DeduplicateSummary(TypedDict):
    """What the job says when it is done."""

    rows: int
    """Data rows read."""
    kept: int
    removed: int
    delimiter: str


def deduplicate(
    source: Path, result: Path, payload: DeduplicatePayload, report: ProgressReport
) -> DeduplicateSummary:
    """Write a CSV file again, keeping the first of equal rows and the order of the rest.

    Rows are compared by value: `"a",b` and `a,b` are equal. The result has the same separator and header,
    and quotes where they are needed. It is UTF-8, with a byte order mark if the source had one (Excel wants
    it); its lines end with a line feed if the source has no carriage return anywhere, otherwise with both.

    Args:
        source: the file.
        result: where the CSV result is written.
        payload: what was asked.
        report: told how far it is.

    Raises:
        JobUserError: the file is at fault, and the sentence says where; or there is no such column.
    """
    progress = Progress(report)
    size = source.stat().st_size
    layout = survey(source, payload, progress.stage(0, 5, size, "checking the text"))
    indexes = _key_indexes(layout, payload)
    rows = 0
    kept = 0
    with repeats(result.parent) as found:
        for batch in row_batches(source, layout, progress.stage(5, 55, size, "looking for repeated rows")):
            rows += len(batch)
            found.add([[row[index] for index in indexes] for row in batch] if indexes else batch)
        found.settle()
        encoding = "utf-8-sig" if layout["byte_order_mark"] else "utf-8"
        with result.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=layout["delimiter"], lineterminator=layout["line_end"])
            if layout["has_header"]:
                writer.writerow(layout["names"])
            for batch in row_batches(source, layout, progress.stage(55, 99, size, "writing the rest")):
                marks = found.next_marks(len(batch))
                first = [row for row, repeated in zip(batch, marks, strict=True) if not repeated]
                writer.writerows(first)
                kept += len(first)
    progress.tell(100, "done")
    return DeduplicateSummary(rows=rows, kept=kept, removed=rows - kept, delimiter=layout["delimiter"])


def _key_indexes(layout: Layout, payload: DeduplicatePayload) -> list[int]:
    """Return where the asked columns stand; empty for all of them."""
    names = layout["names"]
    indexes: list[int] = []
    for name in payload.get("columns", []):
        match names.count(name):
            case 1:
                indexes.append(names.index(name))
            case 0:
                shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
                raise JobUserError(f'There is no column "{name}". The columns are: {shown}.')
            case count:
                raise JobUserError(
                    f'The header has {count} columns named "{name}": give them different names.'
                )
    return indexes
