"""What to do with a mail of which nobody knows whether it was delivered. Pure.

A request may have been carried out though its answer never came: a timeout, a cut connection, a 5xx, a
sender that was killed. Where the provider keeps a log, the log decides. Where there is none, or it cannot be
read, the operator has chosen (`MAIL_WHEN_UNSURE`): `resend` may send a mail twice and loses none, `hold`
sends none twice and leaves the mail to a person.
"""

from datetime import timedelta
from typing import Final, Literal, TypeAlias

from platform_notify.providers.sent_log import LogAnswer

WhenUnsure: TypeAlias = Literal["resend", "hold"]

UnsureDecision: TypeAlias = Literal["sent", "send", "wait", "hold"]
"""It was sent; send it (again); ask the log again later; give it to a person."""

LOG_LAG: Final = timedelta(seconds=60)
"""How long after an attempt the log is believed when it does not know the mail.

How far Mailtrap's log is behind is not documented.
"""

HELD_WORDS: Final = (
    "nobody knows whether it was delivered, and it is not sent again unasked (MAIL_WHEN_UNSURE is hold)"
)


def decide_unsure(
    answer: LogAnswer | None, *, when_unsure: WhenUnsure, released: bool, out_of_time: bool
) -> UnsureDecision:
    """Decide about one mail.

    Args:
        answer: what the provider's log says; None if there is no log.
        when_unsure: the operator's choice.
        released: a person has said that it is to be sent all the same.
        out_of_time: the mail has been tried for so long that it is now or never.
    """
    if answer is not None and answer["found"] == "sent":
        return "sent"
    if answer is not None and answer["found"] == "absent":
        return "send"
    if answer is not None and not answer["lasting"] and not out_of_time:
        return "wait"
    return "send" if released or when_unsure == "resend" else "hold"
