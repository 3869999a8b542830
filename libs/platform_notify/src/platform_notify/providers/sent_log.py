"""What a provider's own log promises: it says of a mail whether the provider took it after all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypedDict


class LogQuestion(TypedDict):
    """Was this mail taken?

    Attributes:
        delivery_id: the mail's.
        recipient: who it was for.
        since: it cannot have been sent before.
    """

    delivery_id: str
    recipient: str
    since: datetime


class LoggedSent(TypedDict):
    """The provider has it.

    Attributes:
        message_ids: the provider's names for it.
        answer: what the log says about it, one line.
    """

    found: Literal["sent"]
    message_ids: list[str]
    answer: str


class NotLogged(TypedDict):
    """The log was read and the mail is not in it."""

    found: Literal["absent"]


class LogSilent(TypedDict):
    """The log could not be read.

    Attributes:
        detail: why, one line without secrets.
        lasting: True if it will not be readable before a person has changed something.
    """

    found: Literal["silent"]
    detail: str
    lasting: bool


LogAnswer: TypeAlias = LoggedSent | NotLogged | LogSilent


class SentLog(Protocol):
    """A provider's log of what it took."""

    def look_up(self, questions: Sequence[LogQuestion]) -> list[LogAnswer]:
        """Look mails up; never raises for a fault of the provider or the network.

        Returns:
            One answer for each question, in the same order.
        """


def silent(detail: str, *, lasting: bool = False) -> LogSilent:
    """Make the answer of a log that could not be read."""
    return {"found": "silent", "detail": detail, "lasting": lasting}
