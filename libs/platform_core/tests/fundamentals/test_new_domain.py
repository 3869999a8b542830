"""A team adds its domain without a change to this library."""

import pytest

from platform_core.errors import DecodeError
from platform_core.job_events import decode_job_event, encode_job_event, job_domain, make_started_event
from platform_core.job_types import job_key

RECEIPTS = job_domain("receipts")


def test_a_new_domain_is_one_line() -> None:
    """`job_domain` checks the name once; from then on the type checker knows it is a domain."""
    event = make_started_event(domain=RECEIPTS, job_id="job-1", user_id=7, queue="receipts")
    assert decode_job_event(encode_job_event(event))["type"] == "receipts.job.started.v1"
    assert job_key(RECEIPTS, "job-1") == "receipts:job:job-1"


def test_a_name_that_would_break_a_key_is_refused() -> None:
    """The name becomes part of Redis keys and channels, so it is checked where it is made."""
    with pytest.raises(DecodeError):
        job_domain("receipts:2026")
