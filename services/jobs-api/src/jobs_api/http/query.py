"""The query of a request: what its parameters mean, every fault with the parameter's name."""

import re
from typing import Final
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import State
from platform_core.errors import DecodeError
from platform_core.event_codec import Int64
from platform_core.job_events import JobDomain, job_domain
from platform_core.json_values import convert_as
from platform_workers.job_store import parse_int_field

_INTEGER: Final = re.compile(r"-?[0-9]+")


def read_query(request: Request[object, object, State]) -> dict[str, str]:
    """Return the parameters of a query by name. Those that nobody knows were refused (`known_queries`)."""
    return dict(parse_qsl(request.url.query, keep_blank_values=True))


def limit_of(query: dict[str, str], *, default: int, most: int) -> int:
    """Return the parameter `limit`.

    Raises:
        DecodeError: it is no number from 1 to `most`.
    """
    limit = parse_int_field({"limit": str(default), **query}, "limit")
    if not 1 <= limit <= most:
        raise DecodeError("limit", f"int from 1 to {most}", "int")
    return limit


def user_id_of(text: str) -> int:
    """Return a user's id.

    Raises:
        DecodeError: it is no integer, or none of 64 bits.
    """
    if _INTEGER.fullmatch(text) is None:
        raise DecodeError("user_id", "int in decimal digits", "another text")
    # Twenty digits are beyond 64 bits already, and very many more Python would not read.
    amount = int(text.removeprefix("-").lstrip("0")[:20] or "0")
    return convert_as(-amount if text.startswith("-") else amount, Int64, "user_id")


def domain_of(query: dict[str, str]) -> JobDomain | None:
    """Return the parameter `domain`; None when it was not given.

    Raises:
        DecodeError: it can't be a domain.
    """
    if "domain" not in query:
        return None
    try:
        return job_domain(query["domain"])
    except DecodeError as error:
        raise DecodeError("domain", error.expected, error.found) from None
