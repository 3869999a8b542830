"""The query of a request: nothing unknown, nothing twice, and every fault with the parameter's name."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import State
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, job_domain
from platform_workers.job_store import parse_int_field

from jobs_api.http.problems import FieldFault, ProblemError


def read_query(request: Request[object, object, State], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query by name.

    Raises:
        ProblemError: one is unknown (misspelt, it would change nothing), or was given twice (422); it names
            each.
    """
    given = parse_qsl(request.url.query, keep_blank_values=True)
    times = Counter(name for name, _ in given)
    faults: list[FieldFault] = [
        {"field": name, "detail": f"unknown parameter; known: {', '.join(known) or 'none'}"}
        for name in times
        if name not in known
    ]
    faults += [{"field": name, "detail": "given more than once"} for name in known if times[name] > 1]
    if faults:
        detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in faults)
        raise ProblemError({"status": 422, "word": "invalid-fields", "detail": detail, "errors": faults})
    return dict(given)


def limit_of(query: dict[str, str], *, default: int, most: int) -> int:
    """Return the parameter `limit`.

    Raises:
        DecodeError: it is no number from 1 to `most`.
    """
    limit = parse_int_field({"limit": str(default), **query}, "limit")
    if not 1 <= limit <= most:
        raise DecodeError("limit", f"int from 1 to {most}", "int")
    return limit


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
