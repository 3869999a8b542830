"""Each kind of invalid message comes out as what it is, on every domain's channel, and none raises."""

import pytest
from platform_core.job_events import DIGITS, TURKIC, JobDomain

from platform_workers.event_messages import read_message
from platform_workers.testing.invalid_messages import InvalidMessage, completed_event, invalid_messages

CASES = [
    (domain, kind, sample) for domain in (TURKIC, DIGITS) for kind, sample in invalid_messages(domain).items()
]


@pytest.mark.parametrize(("domain", "kind", "sample"), CASES, ids=[f"{d}: {kind}" for d, kind, _ in CASES])
def test_it_comes_out_as_what_it_is_with_its_bytes(
    domain: JobDomain, kind: str, sample: InvalidMessage
) -> None:
    message = read_message(f"{domain}:events", domain, sample["data"])
    assert message["kind"] == sample["kind"]
    if message["kind"] == "undecodable":
        assert message["reason"].startswith(sample["reason"])
        assert len(message["reason"]) < 200
        assert message["data"] == sample["data"]
    elif message["kind"] == "unknown":
        assert (message["event_type"], message["data"]) == (sample["reason"], sample["data"])


def test_what_they_are_made_of_is_an_event() -> None:
    """Else they might all be refused for a fault that none of them is about."""
    assert read_message("turkic:events", TURKIC, completed_event(TURKIC).encode())["kind"] == "event"
