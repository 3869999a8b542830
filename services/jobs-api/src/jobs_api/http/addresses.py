"""Leads to a page's own address who comes with another spelling of it: `/schema/`, `/jobs//files/5c1b`.

The framework takes slashes too many for nothing. A browser does not: to it the links of a page, which are
relative so that they also work below a path of somebody's proxy, would lead elsewhere.
"""

from jobs_api.http.access import Asked
from jobs_api.http.problems import ProblemError


def check_spelling(asked: Asked) -> None:
    """Refuse an address with slashes too many, and tell the one without them.

    Raises:
        ProblemError: 308.
    """
    raw = asked["raw_path"].decode("latin-1")
    plain = "/".join(part for part in raw.split("/") if part)
    if raw == f"/{plain}":
        return
    query = asked["query_string"].decode("latin-1")
    # Up to the root, of which only a browser knows where it is, and from there down.
    there = "../" * (raw.count("/") - 1) + plain + (f"?{query}" if query else "")
    raise ProblemError(
        {
            "status": 308,
            "word": "moved",
            "detail": "The address has slashes too many.",
            "headers": {"Location": there},
        }
    )
