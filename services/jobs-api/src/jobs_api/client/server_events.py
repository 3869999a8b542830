"""Reads Server-Sent Events from the lines of an answer."""

from collections.abc import Iterable, Iterator
from typing import TypedDict


class ServerEvent(TypedDict):
    """One event: its name, and its data (JSON as the API sends it)."""

    name: str
    data: str


def parse_server_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """Give the events in `lines` (without their line ends); comments and events without data are left out."""
    name, data = "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield {"name": name, "data": "\n".join(data)}
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
