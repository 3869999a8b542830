"""Reads a list of jobs page by page, and shows that something is happening meanwhile."""

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console

from jobs_api.client.api import JobsApi
from jobs_api.client.documents import JobPage
from jobs_api.client.terminal import spinner_name

PAGE_JOBS: Final = 200
"""As many as the API gives at once."""


def pages_of_jobs(
    api: JobsApi, err: Console, filters: Mapping[str, str], limit: int | None
) -> Iterator[JobPage]:
    """Give pages of a list; the last one has no `next_cursor`, or the limit is reached with it.

    Args:
        api: the API.
        err: gets a spinner while a page is read, where it is a terminal.
        filters: which jobs.
        limit: how many jobs at most; None for all.
    """
    count = 0
    query = {**filters}
    while limit is None or count < limit:
        query["limit"] = str(PAGE_JOBS if limit is None else min(PAGE_JOBS, limit - count))
        with err.status(f"reading jobs ({count:,} so far)", spinner=spinner_name(err)):
            page = api.jobs(query)
        count += len(page["jobs"])
        yield page
        if "next_cursor" not in page:
            return
        query["cursor"] = page["next_cursor"]
