"""How far a stream of events has come: one entry id for each domain's durable log, and that as one text.

Clients give the text back (`Last-Event-ID`), and the stream goes on exactly there:

    files=1732180000000-0,turkic=1732180000123-1

A domain that is not named is read from its beginning: it had no log yet. `-` names none at all.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, job_domain
from platform_workers.event_log import LOG_START
from platform_workers.log_gaps import id_parts

Positions: TypeAlias = Mapping[JobDomain, str]

NO_POSITION: Final = "-"

MAX_TEXT: Final = 16_384
"""The longest text that is taken: about 500 domains."""

# Within 15 digits the numbers are exact everywhere, also in the server's scripts.
_PART: Final = re.compile(r"([a-z][a-z0-9_]{0,31})=([0-9]{1,15})-([0-9]{1,15})")


def write_positions(positions: Positions, domain: JobDomain | None = None) -> str:
    """Write positions as text.

    Args:
        positions: the entry ids.
        domain: the one domain that counts; None for all of them.
    """
    kept = sorted(name for name in positions if domain in {None, name})
    return ",".join(f"{name}={positions[name]}" for name in kept) or NO_POSITION


def read_positions(text: str, field: str) -> dict[JobDomain, str]:
    """Read the text of `write_positions`, as it came back from a client.

    Args:
        text: the text.
        field: its name in errors.

    Raises:
        DecodeError: it is no such text.
    """
    positions: dict[JobDomain, str] = {}
    if text == NO_POSITION:
        return positions
    if len(text) > MAX_TEXT:
        raise DecodeError(field, f"at most {MAX_TEXT} characters", "more")
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise DecodeError(field, "the id of an event, such as files=1732180000000-0", "another text")
        domain = job_domain(found[1])
        if domain in positions:
            raise DecodeError(field, "each domain once", f"{domain} twice")
        positions[domain] = f"{int(found[2])}-{int(found[3])}"
    return positions


def beyond(positions: Positions, end: Positions) -> dict[JobDomain, str]:
    """Return those positions that are further than others are."""
    return {
        domain: entry_id
        for domain, entry_id in positions.items()
        if id_parts(entry_id) > id_parts(end.get(domain, LOG_START))
    }
