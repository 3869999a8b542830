"""What Redis answers, narrowed by a check: each function takes an untyped reply and returns a typed one.

All raise `RedisCommandError` for a reply of another shape.
"""

from collections.abc import Callable
from typing import NotRequired, TypedDict

from platform_workers.errors import RedisCommandError


class StreamEntry(TypedDict):
    """One entry of a Redis stream: its id (`<ms>-<n>`) and its fields.

    The fields of an entry read for a group are exact: anybody may have written them, and `bytes_of` gives
    back what they wrote.
    """

    entry_id: str
    fields: dict[str, str]


class GroupState(TypedDict):
    """How far a consumer group is: entries delivered but not acknowledged, and entries not yet read.

    `lag` is absent when the server can't tell it (entries were trimmed or deleted in between).
    """

    pending: int
    lag: NotRequired[int]
    last_delivered_id: str


class GroupReader(TypedDict):
    """One consumer of a group: what it was given and has not acknowledged, and how long ago it last read."""

    name: str
    pending: int
    idle_ms: int


class LiveMessage(TypedDict):
    """One message heard on a channel; `data` keeps the bytes as published (they may be no UTF-8)."""

    channel: str
    data: bytes


def text_of(value: object) -> str:
    """Narrow one reply to text; bytes that are no UTF-8 keep a replacement character."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise RedisCommandError(f"expected text from Redis, found {type(value).__name__}")


def exact_text_of(value: object) -> str:
    """Narrow one reply to text that loses nothing: `bytes_of` gives back the bytes it was made of."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else text_of(value)


def bytes_of(text: str) -> bytes:
    """Return the bytes that `exact_text_of` was given, also those that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def items_of(value: object) -> list[object]:
    """Narrow a reply to a list."""
    if isinstance(value, list):
        items: list[object] = value
        return items
    if isinstance(value, tuple):
        parts: tuple[object, ...] = value
        return list(parts)
    if isinstance(value, set):
        members: set[object] = value
        return list(members)
    raise RedisCommandError(f"expected a list from Redis, found {type(value).__name__}")


def texts_of(value: object) -> list[str]:
    """Narrow a reply to a list of texts."""
    return [text_of(item) for item in items_of(value)]


def facts_of(value: object) -> dict[str, object]:
    """Narrow a reply to a mapping, its values as they came."""
    if not isinstance(value, dict):
        raise RedisCommandError(f"expected a mapping from Redis, found {type(value).__name__}")
    pairs: dict[object, object] = value
    return {text_of(key): item for key, item in pairs.items()}


def mapping_of(value: object, read: Callable[[object], str] = text_of) -> dict[str, str]:
    """Narrow a reply to a mapping of texts, each value by `read`."""
    return {key: read(item) for key, item in facts_of(value).items()}


def entries_of(value: object, read: Callable[[object], str] = text_of) -> list[StreamEntry]:
    """Narrow stream entries; an entry deleted from the stream has no fields and is left out."""
    entries: list[StreamEntry] = []
    for item in items_of(value):
        entry_id, fields = items_of(item)
        if fields is not None:
            entries.append({"entry_id": text_of(entry_id), "fields": mapping_of(fields, read)})
    return entries
