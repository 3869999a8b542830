"""A job that is stopped in the middle stops at once, and leaves nothing behind."""

import gc
import signal
from collections.abc import Callable
from types import FrameType

import pytest
from files_kit import Lab

from jobs_api.files.column_stats import column_stats
from jobs_api.files.deduplicate import deduplicate
from jobs_api.files.progress import ProgressReport
from jobs_api.files.row_count import row_count

LARGE = "a,b\n" + "".join(f"{number},x\n" for number in range(300_000))


class JobTimeoutError(Exception):
    """Stands for what the job library raises in the main thread when the time is up."""


def count(lab: Lab, report: ProgressReport) -> None:
    row_count(lab.source, lab.result, {"file_id": "f"}, report)


def describe(lab: Lab, report: ProgressReport) -> None:
    column_stats(lab.source, lab.result, {"file_id": "f"}, report)


def reduce(lab: Lab, report: ProgressReport) -> None:
    deduplicate(lab.source, lab.result, {"file_id": "f"}, report)


@pytest.mark.parametrize("operation", [count, describe, reduce])
@pytest.mark.parametrize("percent", [1, 20, 60])
def test_a_timeout_by_signal_comes_through(
    lab: Lab, operation: Callable[[Lab, ProgressReport], None], percent: int
) -> None:
    lab.put(LARGE)

    def alarm(number: int, frame: FrameType | None) -> None:
        raise JobTimeoutError

    def report(done: int, message: str, /) -> None:
        # The signal comes a moment later, wherever the work is by then.
        if done >= percent and not armed:
            armed.append(done)
            signal.setitimer(signal.ITIMER_REAL, 0.000_05)

    armed: list[int] = []
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with pytest.raises(JobTimeoutError):
            operation(lab, report)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert {path.name for path in lab.folder.iterdir()} <= {"source", "result"}
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(lab: Lab) -> None:
    gc.disable()
    try:
        assert lab.count("a,b\n1,2\n")["rows"] == 1
        assert not gc.isenabled()
    finally:
        gc.enable()
