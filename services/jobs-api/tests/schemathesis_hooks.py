"""What the tester of the OpenAPI document is told besides: texts that no schema can describe.

Addresses that the internet could deliver to (its own follow the grammar of RFC 5322 to the letter, and no
mail server takes most of them), cursors, ids of users, and the one entity tag that anything stored has.
"""

import schemathesis
from hypothesis import strategies
from platform_core.job_events import job_domain
from platform_workers.job_listing import encode_cursor


def cursor(created_ms: int, job_id: str) -> str:
    """Return a cursor as a list gives it."""
    return encode_cursor({"created_ms": created_ms, "domain": job_domain("files"), "job_id": job_id})


schemathesis.openapi.format(
    "email", strategies.from_regex(r"[a-z]{1,9}@[a-z]{2,9}\.(com|org)", fullmatch=True)
)
schemathesis.openapi.format("user-id", strategies.from_regex(r"[!-.0-9;-~]{1,128}", fullmatch=True))
schemathesis.openapi.format("entity-tag", strategies.just("*"))
schemathesis.openapi.format(
    "cursor",
    strategies.builds(
        cursor, strategies.integers(0, 2**41), strategies.from_regex(r"[0-9a-f]{32}", fullmatch=True)
    ),
)
