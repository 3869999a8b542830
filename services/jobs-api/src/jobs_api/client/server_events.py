"""Reads Server-Sent Events from the lines of an answer."""

from collections.abc import Iterable, Iterator
from typing import Final, TypedDict

SIGN_OF_LIFE: Final = ""
"""The name of what is no event, but says that the server is there."""


class ServerEvent(TypedDict):
    """One event: its name, and its data (JSON as the API sends it)."""

    name: str
    data: str


def parse_server_events(lines: Iterable[str], *, signs_of_life: bool = False) -> Iterator[ServerEvent]:
    """Give the events in `lines`; events without data are left out.

    Args:
        lines: without their line ends.
        signs_of_life: give each comment as a `SIGN_OF_LIFE`; else they are left out.
    """
    name, data = "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield {"name": name, "data": "\n".join(data)}
            name, data = "message", []
        elif field == "" and signs_of_life:
            yield {"name": SIGN_OF_LIFE, "data": ""}
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
