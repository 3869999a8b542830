"""An event is a plain dict with a checked shape, written as one line of JSON."""

from platform_core.job_events import (
    TURKIC,
    decode_job_event,
    default_events_channel,
    encode_job_event,
    is_completed,
    make_completed_event,
)


def test_an_event_goes_out_as_text_and_comes_back_as_the_same_event() -> None:
    """Make it, write it, publish the text on the domain's channel; whoever hears it reads the same event."""
    event = make_completed_event(
        domain=TURKIC, job_id="job-1", user_id=7, result_id="file-9", result_bytes=1024
    )

    text = encode_job_event(event)

    assert default_events_channel(TURKIC) == "turkic:events"
    assert text == (
        '{"type":"turkic.job.completed.v1","domain":"turkic","job_id":"job-1","user_id":7,'
        '"result_id":"file-9","result_bytes":1024}'
    )
    heard = decode_job_event(text)
    assert heard == event
    assert is_completed(heard)
