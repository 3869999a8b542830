"""A delivery's id, and its record as a hash."""

from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import NOON, new_delivery
from platform_core.errors import DecodeError
from platform_core.job_events import DIGITS, TURKIC

from platform_notify.deliveries import (
    MAX_ATTEMPT_NOTES,
    AttemptNote,
    NewDelivery,
    decode_delivery,
    delivery_id_of,
    encode_attempts,
    encode_delivery,
)
from platform_notify.rendering import MailFacts


def test_the_id_is_derived_and_pinned() -> None:
    """A change of this id would send mails again that were sent before."""
    found = delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "email", "Anna@example.com")
    assert found == "36f6d373423281008baff1154702c970"


def test_every_part_counts_but_the_letter_case_of_the_address() -> None:
    ids = [
        delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "email", "anna@example.com"),
        delivery_id_of(DIGITS, "j1", 1, "SUCCESS", "email", "anna@example.com"),
        delivery_id_of(TURKIC, "j2", 1, "SUCCESS", "email", "anna@example.com"),
        delivery_id_of(TURKIC, "j1", 2, "SUCCESS", "email", "anna@example.com"),
        delivery_id_of(TURKIC, "j1", 1, "FAILURE", "email", "anna@example.com"),
        delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "chat", "anna@example.com"),
        delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "email", "berta@example.com"),
    ]
    assert all(one != other for one, other in combinations(ids, 2))
    assert ids[0] == delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "email", "ANNA@Example.com")


def test_parts_do_not_run_into_each_other() -> None:
    assert delivery_id_of(TURKIC, 'j"1', 1, "SUCCESS", "email", "a") != delivery_id_of(
        TURKIC, "j", 1, "SUCCESS", "email", "1a"
    )
    assert delivery_id_of(TURKIC, "j1", 1, "SUCCESS", "email", "") != delivery_id_of(
        TURKIC, "j", 11, "SUCCESS", "email", ""
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.none() | st.timedeltas(timedelta(days=-9000), timedelta(days=9000)).map(lambda span: NOON + span)


@st.composite
def new_deliveries(draw: st.DrawFn) -> NewDelivery:
    facts: MailFacts = {
        "domain": "turkic",
        "job_id": draw(TEXTS),
        "job_type": draw(st.none() | TEXTS),
        "event": draw(st.sampled_from(["SUCCESS", "FAILURE"])),
        "error_kind": draw(st.sampled_from([None, "user", "system"])),
        "message": draw(st.none() | TEXTS),
        "attempts": draw(st.none() | st.integers(0, 99)),
        "created_at": draw(MOMENTS),
        "started_at": draw(MOMENTS),
        "finished_at": draw(MOMENTS),
        "result_id": draw(st.none() | TEXTS),
        "result_bytes": draw(st.none() | st.integers(0, 2**62)),
        "link": draw(st.none() | TEXTS),
    }
    delivery: NewDelivery = {**new_delivery(draw(TEXTS), recipient=draw(TEXTS)), "facts": facts}
    delivery["user_id"] = draw(st.integers(-(2**63), 2**63 - 1))
    if draw(st.booleans()):
        delivery["state"], delivery["reason"], delivery["detail"] = "skipped", "opted_out", draw(TEXTS)
    return delivery


@given(delivery=new_deliveries())
def test_a_new_delivery_comes_back_as_it_was(delivery: NewDelivery) -> None:
    assert decode_delivery(encode_delivery(delivery)) == delivery


def test_what_happened_to_it_is_read_too() -> None:
    note: AttemptNote = {
        "at": NOON,
        "provider": "smtp",
        "result": "timeout",
        "detail": "no answer",
        "ambiguous": True,
        "duration_ms": 30_000,
    }
    fields = encode_delivery(new_delivery()) | {
        "attempt": "2",
        "interrupted": "1",
        "attempts": encode_attempts([note]),
        "message_ids": '["m"]',
        "due_at": NOON.isoformat(),
        "template_version": "1",
    }
    delivery = decode_delivery(fields)
    assert delivery.get("attempts") == [note]
    assert (delivery.get("attempt"), delivery.get("interrupted")) == (2, 1)
    assert delivery.get("due_at") == NOON
    assert delivery.get("template_version") == "1"


def test_only_the_latest_attempts_are_remembered() -> None:
    notes: list[AttemptNote] = [
        {
            "at": NOON + timedelta(minutes=number),
            "provider": "smtp",
            "result": "auth",
            "detail": str(number),
            "ambiguous": False,
            "duration_ms": 1,
        }
        for number in range(MAX_ATTEMPT_NOTES + 5)
    ]
    fields = encode_delivery(new_delivery()) | {"attempts": encode_attempts(notes)}
    kept = decode_delivery(fields).get("attempts", [])
    assert [note["detail"] for note in kept] == [str(number) for number in range(5, 25)]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"run": "one"}, "delivery.run"),
        ({"facts": "{}"}, "delivery.facts"),
        ({"state": "lost"}, "delivery.state"),
        ({"created_at": "yesterday"}, "delivery.created_at"),
    ],
)
def test_a_malformed_record_is_refused_with_the_place(fields: dict[str, str], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_delivery(encode_delivery(new_delivery()) | fields)
    assert caught.value.path.startswith(path)
