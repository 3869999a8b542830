"""A message can be wrong, or it can be somebody else's; the two have different errors."""

import pytest

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import decode_event


def test_a_broken_message_is_malformed_and_the_error_says_where() -> None:
    """Count it, keep it for the operator; the error names place and types, never the value."""
    text = '{"type":"qr.job.progress.v1","domain":"qr","job_id":"job-1","user_id":"secret","progress":5}'
    with pytest.raises(DecodeError) as caught:
        decode_event(text)
    assert str(caught.value) == "$.user_id: expected int, found str"


def test_a_message_of_a_later_version_is_unknown() -> None:
    """Skip it and log no error: the publisher is newer than this reader."""
    with pytest.raises(UnknownEventError) as caught:
        decode_event('{"type":"qr.job.progress.v2","percent":5}')
    assert caught.value.event_type == "qr.job.progress.v2"
