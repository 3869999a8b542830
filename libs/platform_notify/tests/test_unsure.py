"""What is done with a mail of which nobody knows whether it was delivered, case by case."""

import pytest

from platform_notify.providers.sent_log import LogAnswer, LoggedSent, NotLogged, silent
from platform_notify.unsure import UnsureDecision, WhenUnsure, decide_unsure

SENT: LoggedSent = {"found": "sent", "message_ids": ["m"], "answer": "found"}
ABSENT: NotLogged = {"found": "absent"}
NOT_NOW = silent("timeout")
NEVER = silent("HTTP 403", lasting=True)


@pytest.mark.parametrize(
    ("answer", "when_unsure", "released", "out_of_time", "decision"),
    [
        # What the log says holds, whatever else was chosen.
        (SENT, "resend", False, False, "sent"),
        (SENT, "hold", True, True, "sent"),
        (ABSENT, "resend", False, False, "send"),
        (ABSENT, "hold", False, True, "send"),
        # A log that cannot be read now is asked again, as long as there is time.
        (NOT_NOW, "resend", False, False, "wait"),
        (NOT_NOW, "hold", True, False, "wait"),
        (NOT_NOW, "resend", False, True, "send"),
        (NOT_NOW, "hold", False, True, "hold"),
        # One that will not be readable is none.
        (NEVER, "resend", False, False, "send"),
        (NEVER, "hold", False, False, "hold"),
        (NEVER, "hold", True, False, "send"),
        (None, "resend", False, False, "send"),
        (None, "hold", False, False, "hold"),
        (None, "hold", True, False, "send"),
    ],
)
def test_the_decision(
    answer: LogAnswer | None,
    when_unsure: WhenUnsure,
    released: bool,
    out_of_time: bool,
    decision: UnsureDecision,
) -> None:
    decided = decide_unsure(answer, when_unsure=when_unsure, released=released, out_of_time=out_of_time)
    assert decided == decision
