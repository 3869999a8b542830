"""An event on its way to the clients: its JSON, where it stands in the log, and each text of it made once."""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.event_families import KnownEventV1
from platform_core.job_events import JobDomain
from platform_core.json_values import encode_json, to_json_value

from jobs_api.event_positions import Positions, beyond, write_positions

KEPT_WORDS: Final = frozenset({"started", "completed", "failed"})
"""The events that the durable log keeps; the others are live only."""

WriteEvent: TypeAlias = Callable[[str, str, str | None], str]
"""Writes an event for the wire out of its word, its JSON and its id (None for one without)."""


class LogGap(TypedDict):
    """Entries of a domain's log that nobody can read any more.

    Attributes:
        domain: whose log.
        fate: `trimmed`, they were too old; `reset`, the server lost its data.
    """

    kind: Literal["gap"]
    domain: JobDomain
    fate: Literal["trimmed", "reset"]


class PublishedEvent:
    """An event, shared by everybody who gets it.

    Attributes:
        domain: on whose channel or log it came.
        event: the event.
        word: `started`, `progress`, `completed`, `failed`, or `metrics`.
        data: the event as JSON.
        entry_id: its id in the log; None for one that is not there.
        positions: how far the stream is after it; empty for one that is not in the log.
    """

    def __init__(
        self, domain: JobDomain, event: KnownEventV1, *, data: str, entry_id: str | None, positions: Positions
    ) -> None:
        self.domain = domain
        self.event = event
        self.word = event_word(event)
        self.data = data
        self.entry_id = entry_id
        self.positions = positions
        self._texts: dict[tuple[WriteEvent, bool], str] = {}

    @property
    def is_kept(self) -> bool:
        """True for what the log keeps, or would keep if its publisher wrote it there."""
        return self.word in KEPT_WORDS

    def as_seen_from(self, ahead: Positions) -> "PublishedEvent":
        """Return the event for a client that is further than this process in some logs."""
        positions = {**self.positions, **beyond(ahead, self.positions)} if self.positions else {}
        return PublishedEvent(
            self.domain, self.event, data=self.data, entry_id=self.entry_id, positions=positions
        )

    def text(self, write: WriteEvent, *, of_one_domain: bool) -> str:
        """Return the event for the wire; it is written once, however many clients get it.

        Args:
            write: the protocol's way to write it.
            of_one_domain: whether the stream has events of this domain alone, so that its id is short.
        """
        key = (write, of_one_domain)
        if key not in self._texts:
            event_id: str | None = None
            if self.entry_id is not None:
                event_id = write_positions(self.positions, self.domain if of_one_domain else None)
            self._texts[key] = write(self.word, self.data, event_id)
        return self._texts[key]


FeedItem: TypeAlias = PublishedEvent | LogGap


def event_json(event: KnownEventV1) -> str:
    """Return an event as compact JSON."""
    return encode_json(to_json_value(event))


def event_word(event: KnownEventV1) -> str:
    """Name an event: `started`, `progress`, `completed`, `failed`, or `metrics` for a training metric."""
    _, group, word, _ = event["type"].split(".")
    return word if group == "job" else group
