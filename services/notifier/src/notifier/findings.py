"""What `notifier doctor` finds: a sentence, and how bad it is."""

from typing import Literal, TypedDict


class Finding(TypedDict):
    """One sentence for the operator.

    Attributes:
        grade: `warn` where the notifier works as it is, and something is better changed or known; `fault`
            where it does not work.
    """

    grade: Literal["ok", "warn", "fault"]
    sentence: str


def ok(sentence: str) -> Finding:
    """Say that something is as it should be."""
    return {"grade": "ok", "sentence": sentence}


def warn(sentence: str) -> Finding:
    """Say what is better changed, or known."""
    return {"grade": "warn", "sentence": sentence}


def fault(sentence: str) -> Finding:
    """Say what does not work."""
    return {"grade": "fault", "sentence": sentence}
