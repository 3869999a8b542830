"""`csv.column_stats`: type, nulls, distinct values, smallest, largest and mean of every column."""

from itertools import chain
from pathlib import Path
from typing import Final, TypedDict

from platform_core.errors import JobUserError

from jobs_api.files.columns import DEFAULT_NULL_WORDS, Column, ColumnStats
from jobs_api.files.distinct import distinct_counts
from jobs_api.files.payloads import ColumnStatsPayload
from jobs_api.files.progress import Progress, ProgressReport
from jobs_api.files.results import shown_encoding, write_json
from jobs_api.files.table import row_batches, survey

MAX_COLUMNS: Final = 16_384
"""The widest sheet of a spreadsheet program. More columns are refused: each needs memory of its own."""


class ColumnStatsSummary(TypedDict):
    """What the job says when it is done; the figures of the columns are in the result file."""

    rows: int
    columns: int
    delimiter: str
    encoding: str


class ColumnStatsResult(TypedDict):
    """The result file, as JSON."""

    rows: int
    delimiter: str
    encoding: str
    columns: list[ColumnStats]


def column_stats(
    source: Path, result: Path, payload: ColumnStatsPayload, report: ProgressReport
) -> ColumnStatsSummary:
    """Describe every column of a CSV file; the rules are in `columns`.

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
    layout = survey(source, payload, progress.stage(0, 5, size, "checking the text"))
    names = layout["names"]
    if len(names) > MAX_COLUMNS:
        raise JobUserError(f"The file has {len(names)} columns; at most {MAX_COLUMNS} can be described.")
    null_words: list[str] = payload.get("null_words", DEFAULT_NULL_WORDS)
    nulls = frozenset({"", *map(str.strip, null_words)})
    columns = [Column(nulls) for _ in names]
    rows = 0
    with distinct_counts(result.parent, len(names)) as distinct:
        for batch in row_batches(source, layout, progress.stage(5, 80, size, "reading rows")):
            rows += len(batch)
            cells = list(chain.from_iterable(batch))
            for index, column in enumerate(columns):
                present = column.add(cells[index :: len(columns)])
                distinct.add(index, present, column.longest)
        totals = distinct.totals(progress.stage(80, 99, len(names), "counting distinct values"))
    described = ColumnStatsResult(
        rows=rows,
        delimiter=layout["delimiter"],
        encoding=shown_encoding(layout),
        columns=[
            column.stats(name, position, total)
            for position, (name, column, total) in enumerate(zip(names, columns, totals, strict=True), 1)
        ],
    )
    write_json(result, described)
    progress.tell(100, "done")
    return ColumnStatsSummary(
        rows=rows, columns=len(names), delimiter=described["delimiter"], encoding=described["encoding"]
    )
