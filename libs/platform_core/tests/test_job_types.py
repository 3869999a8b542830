"""Status words, keys and queue names: texts that other services know."""

from platform_core.job_events import TURKIC
from platform_core.job_types import JOB_STATUSES, is_outcome, job_key
from platform_core.queues import DEFAULT_QUEUE, FILES_QUEUE, low_queue_name


def test_the_key_of_a_job() -> None:
    assert job_key(TURKIC, "3f2c") == "turkic:job:3f2c"


def test_an_outcome_is_final() -> None:
    assert [status for status in JOB_STATUSES if is_outcome(status)] == ["completed", "failed", "cancelled"]
    assert [status for status in JOB_STATUSES if not is_outcome(status)] == ["queued", "processing"]


def test_queues_have_the_names_that_both_sides_know() -> None:
    assert (DEFAULT_QUEUE, FILES_QUEUE) == ("default", "files")
    assert low_queue_name(FILES_QUEUE) == "files:low"
