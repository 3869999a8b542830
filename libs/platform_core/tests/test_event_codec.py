"""The codec mechanism itself: which message belongs to whom."""

from typing import TypedDict

import pytest

from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_codec import EventFamily, Int64, TypedShape
from platform_core.event_families import decode_event, is_job_event
from platform_core.job_events import (
    TRAINER,
    decode_job_event,
    encode_job_event,
    make_started_event,
)
from platform_core.trainer_metrics_events import TrainerMetricsEventV1, decode_trainer_metrics_event


class Heartbeat(TypedDict):
    type: str
    beats: Int64


STARTED = make_started_event(domain=TRAINER, job_id="a", user_id=1, queue="trainer")
COMPLETED: TrainerMetricsEventV1 = {
    "type": "trainer.metrics.completed.v1",
    "job_id": "a",
    "user_id": 1,
    "test_loss": 1.0,
    "test_ppl": 2.0,
    "artifact_path": "/m",
}
COMPLETED_WIRE = (
    '{"type":"trainer.metrics.completed.v1","job_id":"a","user_id":1,"test_loss":1.0,"test_ppl":2.0,'
    '"artifact_path":"/m"}'
)


@pytest.mark.parametrize(
    "event_type",
    [
        "trainer.job.paused.v1",
        "trainer.job.started.v2",
        "trainer.job.started.v10",
        "trainer.job.started",
        "trainer.metrics.started.v1",
        "digits.metrics.step.v1",
        "turkic.metrics.config.v1",
        "heartbeat",
        "x" * 128,
    ],
)
def test_a_well_formed_message_of_nobody_here_is_unknown(event_type: str) -> None:
    with pytest.raises(UnknownEventError) as caught:
        decode_event(f'{{"type":"{event_type}"}}')
    assert caught.value.event_type == event_type


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "$: expected object, found array"),
        ("{}", "$.type: expected str, found missing"),
        ('{"type":null}', "$.type: expected str of 1 to 128 printable characters, found null"),
        ('{"type":""}', "$.type: expected str of 1 to 128 printable characters, found str"),
        ('{"type":"a\\nb"}', "$.type: expected str of 1 to 128 printable characters, found str"),
        ('{"type":"' + "x" * 129 + '"}', "$.type: expected str of 1 to 128 printable characters, found str"),
    ],
)
def test_a_message_without_a_usable_type_is_malformed(text: str, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_event(text)
    assert str(caught.value) == fault


def test_each_family_calls_the_other_ones_messages_unknown() -> None:
    with pytest.raises(UnknownEventError):
        decode_job_event(COMPLETED_WIRE)
    with pytest.raises(UnknownEventError):
        decode_trainer_metrics_event(encode_job_event(STARTED))


def test_a_known_event_tells_whether_it_is_of_the_lifecycle() -> None:
    assert is_job_event(decode_event(encode_job_event(STARTED)))
    assert not is_job_event(decode_event(COMPLETED_WIRE))
    assert decode_event(COMPLETED_WIRE) == COMPLETED


def test_fields_are_written_in_declared_order_whatever_their_order_in_the_event() -> None:
    backwards = dict(reversed(STARTED.items()))
    assert list(backwards) != list(STARTED)
    family = EventFamily(group="test", version=3, shapes={"beat": TypedShape(Heartbeat)}, domain="heart")
    wire = family.encode({"beats": 1, "type": "heart.test.beat.v3"})
    assert wire == '{"type":"heart.test.beat.v3","beats":1}'


def test_a_family_of_every_domain_needs_the_domain_in_its_messages() -> None:
    family = EventFamily(group="test", version=1, shapes={"beat": TypedShape(Heartbeat)})
    with pytest.raises(DecodeError) as caught:
        family.decode('{"type":"heart.test.beat.v1","beats":1}')
    assert str(caught.value) == "$.domain: expected the domain that $.type names, found null"
