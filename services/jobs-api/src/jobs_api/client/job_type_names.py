"""Finds a job type by its name, and the one that was probably meant."""

from difflib import get_close_matches

from jobs_api.client.api import JobsApi, KnownType
from jobs_api.client.errors import RefusedError, UsageError
from jobs_api.client.words import visible


def find_type(types: list[KnownType], name: str) -> KnownType:
    """Return the job type of this name.

    Raises:
        UsageError: there is none; the message has those there are, and the nearest.
    """
    for known in types:
        if known["about"]["job_type"] == name:
            return known
    names = [known["about"]["job_type"] for known in types]
    near = get_close_matches(name, names, n=1)
    meant = f"; did you mean {visible(near[0])}?" if near else ""
    raise UsageError(f"unknown job type {name!r}; known: {visible(', '.join(names))}{meant}")


def type_to_submit(api: JobsApi, name: str) -> KnownType | None:
    """Return the job type of this name, before a large file is uploaded in vain.

    None where the API does not tell: to this key, or because it is older than this client. It will judge
    the submission itself.

    Raises:
        UsageError: there is no such type.
    """
    try:
        types = api.job_types()
    except RefusedError:
        return None
    return find_type(types, name)


def did_you_mean(api: JobsApi, name: str) -> str:
    """Return what to say of a name under which nothing was found; empty if there is such a type."""
    try:
        type_to_submit(api, name)
    except UsageError as error:
        return str(error)
    return ""
