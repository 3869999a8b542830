"""How events are written for the wire: as Server-Sent Events and as messages of a WebSocket."""

from typing import Final, Protocol

from platform_core.json_values import JsonObject, encode_json

from jobs_api.published_events import LogGap

RETRY_MILLISECONDS: Final = 2000
"""How long a browser waits before it connects again."""


class EventTexts(Protocol):
    """One way to write what a stream says. Each text is whole: texts may be joined or sent one by one."""

    @property
    def opening(self) -> str:
        """What is sent first; empty for nothing."""

    @property
    def waiting(self) -> str:
        """Redis is away; the stream waits for it."""

    def event(self, word: str, data: str, event_id: str | None) -> str:
        """Write an event; without an id it is one that cannot be asked for again."""

    def gap(self, gap: LogGap, event_id: str) -> str:
        """Write that events of a domain are lost."""

    def position(self, event_id: str) -> str:
        """Write where to go on after a lost connection; a sign of life."""


class ServerSentTexts:
    """Server-Sent Events. An id without an event moves the browser's last event id, unseen."""

    opening: Final = f"retry: {RETRY_MILLISECONDS}\n\n"
    waiting: Final = ": waiting for Redis\n\n"

    def event(self, word: str, data: str, event_id: str | None) -> str:
        """Write an event."""
        head = "" if event_id is None else f"id: {event_id}\n"
        return f"{head}event: {word}\ndata: {data}\n\n"

    def gap(self, gap: LogGap, event_id: str) -> str:
        """Write a `gap`."""
        return self.event("gap", encode_json(gap_data(gap)), event_id)

    def position(self, event_id: str) -> str:
        """Write an id without an event."""
        return f": here\nid: {event_id}\n\n"


class SocketTexts:
    """Messages of a WebSocket: `{"id": ..., "event": ..., "data": ...}`, in JSON."""

    opening: Final = ""
    waiting: Final = '{"event":"waiting"}'

    def event(self, word: str, data: str, event_id: str | None) -> str:
        """Write an event."""
        head = "" if event_id is None else f'"id":{encode_json(event_id)},'
        return f'{{{head}"event":"{word}","data":{data}}}'

    def gap(self, gap: LogGap, event_id: str) -> str:
        """Write a `gap`."""
        return self.event("gap", encode_json(gap_data(gap)), event_id)

    def position(self, event_id: str) -> str:
        """Write a `position`."""
        return f'{{"id":{encode_json(event_id)},"event":"position"}}'


def gap_data(gap: LogGap) -> JsonObject:
    """Return what a `gap` says: the domain, and what became of its log."""
    return {"domain": gap["domain"], "reason": gap["fate"]}


SERVER_SENT: Final = ServerSentTexts()
SOCKET: Final = SocketTexts()
