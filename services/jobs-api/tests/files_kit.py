"""For the tests of `jobs_api.files`: run an operation on a content, and see what came out."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from platform_core.errors import JobUserError

from jobs_api.files.canonicalize import CanonicalizeSummary, canonicalize
from jobs_api.files.column_stats import ColumnStatsResult, column_stats
from jobs_api.files.columns import ColumnStats
from jobs_api.files.deduplicate import DeduplicateSummary, deduplicate
from jobs_api.files.payloads import (
    CanonicalizePayload,
    ColumnStatsPayload,
    DeduplicatePayload,
    RowCountPayload,
)
from jobs_api.files.row_count import RowCountSummary, row_count

Outcome = TypeVar("Outcome")


class Reports:
    """Keeps the progress that was told."""

    def __init__(self) -> None:
        self.percents: list[int] = []
        self.messages: list[str] = []

    def __call__(self, percent: int, message: str, /) -> None:
        self.percents.append(percent)
        self.messages.append(message)


class Lab:
    """A folder in which one file at a time is worked on; text is written as UTF-8."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.result = folder / "result"

    def put(self, content: str | bytes) -> Path:
        self.source.write_bytes(content.encode() if isinstance(content, str) else content)
        self.result.unlink(missing_ok=True)
        return self.source

    def count(self, content: str | bytes, payload: RowCountPayload | None = None) -> RowCountSummary:
        return row_count(self.put(content), self.result, payload or {"file_id": "f"}, Reports())

    def stats(self, content: str | bytes, payload: ColumnStatsPayload | None = None) -> ColumnStatsResult:
        column_stats(self.put(content), self.result, payload or {"file_id": "f"}, Reports())
        return msgspec.json.decode(self.result.read_bytes(), type=ColumnStatsResult)

    def column(self, *values: str, null_words: list[str] | None = None) -> ColumnStats:
        """Describe a column of these values; each is written in quotes."""
        lines = ["x", *('"' + value.replace('"', '""') + '"' for value in values)]
        payload = ColumnStatsPayload(file_id="f", delimiter=",")
        if null_words is not None:
            payload["null_words"] = null_words
        (column,) = self.stats("\n".join(lines), payload)["columns"]
        return column

    def deduplicated(
        self, content: str | bytes, payload: DeduplicatePayload | None = None
    ) -> tuple[DeduplicateSummary, bytes]:
        summary = deduplicate(self.put(content), self.result, payload or {"file_id": "f"}, Reports())
        return summary, self.result.read_bytes()

    def canonical(self, content: str | bytes) -> tuple[CanonicalizeSummary, bytes]:
        payload = CanonicalizePayload(file_id="f")
        summary = canonicalize(self.put(content), self.result, payload, Reports())
        return summary, self.result.read_bytes()


def refusal(operation: Callable[[], Outcome]) -> str:
    """Return the sentence with which an operation refuses its file."""
    with pytest.raises(JobUserError) as caught:
        operation()
    return str(caught.value)
