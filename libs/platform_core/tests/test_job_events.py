"""The lifecycle events and the names around them."""

from typing import assert_never

import pytest

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.job_events import (
    JOB_EVENTS,
    KNOWN_DOMAINS,
    TURKIC,
    JobEventV1,
    JobProgressV1,
    decode_job_event,
    default_events_channel,
    default_events_log,
    encode_job_event,
    is_completed,
    is_failed,
    is_progress,
    is_started,
    job_domain,
    make_completed_event,
    make_event_type,
    make_failed_event,
    make_progress_event,
    make_started_event,
)

STARTED = make_started_event(domain=TURKIC, job_id="a", user_id=1, queue="turkic")
PROGRESS = make_progress_event(domain=TURKIC, job_id="a", user_id=1, progress=10)
COMPLETED = make_completed_event(domain=TURKIC, job_id="a", user_id=1, result_id="f", result_bytes=0)
FAILED = make_failed_event(domain=TURKIC, job_id="a", user_id=1, error_kind="user", message="no")


def kind(event: JobEventV1) -> str:
    if is_started(event):
        return "started " + event["queue"]
    if is_progress(event):
        return f"progress {event['progress']}"
    if is_completed(event):
        return "completed " + event["result_id"]
    if is_failed(event):
        return "failed " + event["error_kind"]
    assert_never(event)


def test_each_event_is_of_exactly_one_kind() -> None:
    kinds = [kind(event) for event in (STARTED, PROGRESS, COMPLETED, FAILED)]
    assert kinds == ["started turkic", "progress 10", "completed f", "failed user"]
    for event in (STARTED, PROGRESS, COMPLETED, FAILED):
        assert sum([is_started(event), is_progress(event), is_completed(event), is_failed(event)]) == 1


def test_a_type_of_another_domain_makes_no_event_of_this_one() -> None:
    strange: JobEventV1 = {**STARTED, "type": "qr.job.started.v1"}
    assert not is_started(strange)


def test_the_names_on_the_wire() -> None:
    assert [str(domain) for domain in KNOWN_DOMAINS] == [
        "turkic",
        "transcript",
        "trainer",
        "digits",
        "databank",
        "qr",
        "covenant",
        "music_wrapped",
    ]
    assert make_event_type(TURKIC, "started") == "turkic.job.started.v1"
    assert default_events_channel(TURKIC) == "turkic:events"
    assert default_events_log(TURKIC) == "turkic:events:log"


@pytest.mark.parametrize("text", ["a", "files", "music_wrapped", "a1_b2", "a" * 32])
def test_a_domain_is_lower_case_snake(text: str) -> None:
    assert job_domain(text) == text


@pytest.mark.parametrize("text", ["", "a" * 33, "1a", "_a", "Turkic", "a-b", "a.b", "a:b", "a b", "a\n", "é"])
def test_any_other_text_is_no_domain(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        job_domain(text)
    assert caught.value.path == "domain"
    assert caught.value.expected == "1 to 32 lower-case letters, digits and `_`, a letter first"


@pytest.mark.parametrize("progress", [-1, 101])
def test_a_progress_outside_0_to_100_is_refused_both_ways(progress: int) -> None:
    with pytest.raises(DecodeError, match=r"^\$\.progress: expected int .= \d+, found int$"):
        encode_job_event({**PROGRESS, "progress": progress})
    wire = encode_job_event(PROGRESS).replace('"progress":10', f'"progress":{progress}')
    with pytest.raises(DecodeError, match=r"^\$\.progress: expected int .= \d+, found int$"):
        decode_job_event(wire)


def test_a_negative_size_is_malformed() -> None:
    wire = encode_job_event(COMPLETED).replace('"result_bytes":0', '"result_bytes":-1')
    with pytest.raises(DecodeError, match=r"^\$\.result_bytes: expected int >= 0, found int$"):
        decode_job_event(wire)


def test_an_error_kind_of_another_word_is_malformed_and_the_word_is_not_repeated() -> None:
    wire = encode_job_event(FAILED).replace('"error_kind":"user"', '"error_kind":"hunter2 - at `$.x`"')
    with pytest.raises(DecodeError) as caught:
        decode_job_event(wire)
    assert str(caught.value) == "$.error_kind: expected one of 'system', 'user', found str"


def test_a_type_that_disagrees_with_the_domain_is_malformed() -> None:
    wire = encode_job_event(STARTED).replace('"domain":"turkic"', '"domain":"qr"')
    with pytest.raises(DecodeError, match=r"^\$\.domain: expected the domain that \$\.type names"):
        decode_job_event(wire)


def test_a_type_that_starts_with_no_domain_is_malformed() -> None:
    wire = encode_job_event(STARTED).replace("turkic", "a.b")
    with pytest.raises(DecodeError) as caught:
        decode_job_event(wire)
    assert caught.value.path == "$.domain"


def test_a_payload_may_be_any_json_even_null() -> None:
    event: JobProgressV1 = {**PROGRESS, "payload": None}
    assert decode_job_event(encode_job_event(event)) == event
    assert "payload" not in make_progress_event(domain=TURKIC, job_id="a", user_id=1, progress=1)


def test_an_integer_of_any_size_may_stand_in_a_payload() -> None:
    event: JobProgressV1 = {**PROGRESS, "payload": {"hash": 2**64 + 1}}
    assert decode_job_event(encode_job_event(event)) == event


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("trace", "x", "$.trace: expected no such field, found str"),
        ("user_id", True, "$.user_id: expected int, found bool"),
        ("user_id", 2**63, "$.user_id: expected int <= 9223372036854775807, found int"),
        ("job_id", None, "$.job_id: expected str, found null"),
        ("queue", "\ud800", "$.queue: expected text without lone surrogates, found str"),
        ("queue", b"x", "$.queue: expected JSON value, found bytes"),
        ("domain", "qr", "$.domain: expected the domain that $.type names, found str"),
    ],
)
def test_encoding_refuses_what_decoding_would_refuse(field: str, value: object, fault: str) -> None:
    # The type checker refuses such an event; untyped code can still pass one.
    with pytest.raises(DecodeError) as caught:
        JOB_EVENTS.encode({**STARTED, field: value})
    assert str(caught.value) == fault


def test_encoding_a_foreign_type_is_refused() -> None:
    with pytest.raises(UnknownEventError):
        encode_job_event({**STARTED, "type": "turkic.job.paused.v1"})
