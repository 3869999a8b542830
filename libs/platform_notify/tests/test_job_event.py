"""Which events are outcomes."""

from pipeline_kit import completed, failed_event
from platform_core.event_families import decode_event
from platform_core.job_events import TURKIC, make_progress_event, make_started_event
from platform_core.notifications import EVENT_WORDS

from platform_notify.job_event import JobEvent, is_outcome, job_event_of


def test_completed_is_a_success_and_failed_a_failure() -> None:
    assert is_outcome(completed())
    assert is_outcome(failed_event())
    assert job_event_of(completed()) is JobEvent.SUCCESS
    assert job_event_of(failed_event()) is JobEvent.FAILURE


def test_nothing_else_is_an_outcome() -> None:
    assert not is_outcome(make_started_event(domain=TURKIC, job_id="j", user_id=1, queue="q"))
    assert not is_outcome(make_progress_event(domain=TURKIC, job_id="j", user_id=1, progress=100))
    metrics = '{"type":"digits.metrics.completed.v1","job_id":"j","user_id":1,"model_id":"m","val_acc":1.0}'
    assert not is_outcome(decode_event(metrics))


def test_the_words_are_those_of_the_contract() -> None:
    assert tuple(event.word for event in JobEvent) == EVENT_WORDS
    assert [event.value for event in JobEvent] == [event.word for event in JobEvent]
