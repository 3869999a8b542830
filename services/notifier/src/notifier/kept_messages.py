"""`notifier undecodable`: shows what was heard and passed over, so that its sender can be found."""

from collections.abc import Iterator, Sequence
from typing import Final

from platform_core.json_values import encode_json, to_json_value
from platform_notify.undecodable_store import KEPT, UNDECODABLE_KEY, UNHANDLED_KEY, UNKNOWN_KEY, KeptMessage

_NONE: Final = {
    UNDECODABLE_KEY: "No message is kept that nobody could decode.",
    UNKNOWN_KEY: "No message is kept whose type nobody here knows.",
    UNHANDLED_KEY: "No event is kept that the notifier could not handle.",
}
_SOME: Final = {
    UNDECODABLE_KEY: "Messages that nobody could decode",
    UNKNOWN_KEY: "Messages whose type nobody here knows (not an error: often a newer publisher)",
    UNHANDLED_KEY: "Events that the notifier could not handle (--publish sends them again)",
}


def tell_kept(key: str, kept: Sequence[KeptMessage]) -> Iterator[str]:
    """Tell line by line what is kept, newest first.

    Args:
        key: `UNDECODABLE_KEY`, `UNKNOWN_KEY` or `UNHANDLED_KEY`.
        kept: what is kept under it.
    """
    if not kept:
        yield _NONE[key]
        return
    yield f"{_SOME[key]}, newest first; at most {KEPT} are kept:"
    for message in kept:
        yield ""
        yield f"{message['at']}  {message['channel']}  {message['size']} bytes"
        yield f"  {message['reason']}"
        # Written as Python does: what a stranger sent must not steer the terminal.
        yield f"  {message['data']!r}"


def tell_kept_as_json(kept: Sequence[KeptMessage]) -> Iterator[str]:
    """Tell it for a program: one JSON object a line."""
    for message in kept:
        yield encode_json(to_json_value(dict(message)))


def tell_published(kept: int, published: int) -> Iterator[str]:
    """Tell what came of publishing the unhandled events again.

    Args:
        kept: how many there were.
        published: how many of them somebody has heard.
    """
    if published:
        events = "1 event was" if published == 1 else f"{published} events were"
        yield f"{events} published again."
    if published < kept:
        yield f"Nobody listens, so {kept - published} stay as they are. Does a notifier run?"
