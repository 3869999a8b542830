"""Progress rises from 0 to 100, each percent told once."""

from collections.abc import Callable

import pytest
from files_kit import Lab, Reports

from jobs_api.files.canonicalize import canonicalize
from jobs_api.files.column_stats import column_stats
from jobs_api.files.deduplicate import deduplicate
from jobs_api.files.progress import Progress
from jobs_api.files.row_count import row_count

LARGE = "a,b\n" + "".join(f"{number},x\n" for number in range(400_000))


def count(lab: Lab, reports: Reports) -> None:
    row_count(lab.put(LARGE), lab.result, {"file_id": "f"}, reports)


def describe(lab: Lab, reports: Reports) -> None:
    column_stats(lab.put(LARGE), lab.result, {"file_id": "f"}, reports)


def reduce(lab: Lab, reports: Reports) -> None:
    deduplicate(lab.put(LARGE), lab.result, {"file_id": "f"}, reports)


@pytest.mark.parametrize("operation", [count, describe, reduce])
def test_a_large_file_is_told_step_by_step(lab: Lab, operation: Callable[[Lab, Reports], None]) -> None:
    reports = Reports()
    operation(lab, reports)
    assert reports.percents == sorted(set(reports.percents))
    assert reports.percents[-1] == 100
    assert len(reports.percents) > 30
    assert all(0 <= percent <= 100 for percent in reports.percents)
    assert reports.messages[0] == "checking the text"
    assert reports.messages[-1] == "done"


def test_a_small_file_ends_at_100_too(lab: Lab) -> None:
    reports = Reports()
    row_count(lab.put("a"), lab.result, {"file_id": "f"}, reports)
    assert (reports.percents[-1], reports.messages[-1]) == (100, "done")
    reports = Reports()
    canonicalize(lab.put("{}"), lab.result, {"file_id": "f"}, reports)
    assert (reports.percents[0], reports.percents[-1]) == (0, 100)


def test_stages_share_one_scale_that_never_falls() -> None:
    reports = Reports()
    progress = Progress(reports)
    first, second = progress.stage(0, 50, 200, "first"), progress.stage(50, 100, 0, "second")
    for done in (0, 1, 4, 4, 100, 50, 300):
        first.at(done)
    second.at(0)
    second.at(1)
    assert reports.percents == [0, 1, 25, 50, 100]
    assert reports.messages == ["first", "first", "first", "first", "second"]
