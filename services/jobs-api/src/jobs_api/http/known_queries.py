"""Refuses parameters of the query that an operation does not know: misspelt, one would change nothing.

What an operation knows is what its description says, so the two can't differ.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from jobs_api.http.access import Connection, method_of
from jobs_api.http.openapi.document import OPERATIONS
from jobs_api.http.problems import FieldFault, ProblemError, first_faults

KNOWN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    path: {
        operation["method"]: tuple(
            item["name"] for item in operation["parameters"] if item["place"] == "query"
        )
        for operation in OPERATIONS
        if operation["path"] == path
    }
    for path in {operation["path"] for operation in OPERATIONS}
}
"""The parameters of each operation, by address and method."""


def refuse_unknown_query(connection: Connection) -> None:
    """Let a request through if its operation knows every parameter of its query, each there once.

    Raises:
        ProblemError: 422; it names each that is not known, or there twice.
    """
    asked = connection.scope
    method = method_of(connection).lower().replace("head", "get")
    known = KNOWN.get(asked["path_template"], {}).get(method)
    if known is None or not asked["query_string"]:
        return
    times = Counter(
        name for name, _ in parse_qsl(asked["query_string"].decode("latin-1"), keep_blank_values=True)
    )
    faults: list[FieldFault] = [
        {"field": name, "detail": f"unknown parameter; known: {', '.join(known) or 'none'}"}
        for name in times
        if name not in known
    ]
    faults += [{"field": name, "detail": "given more than once"} for name in known if times[name] > 1]
    if faults:
        told, more = first_faults(faults)
        detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in told) + more
        raise ProblemError({"status": 422, "word": "invalid-fields", "detail": detail, "errors": told})
