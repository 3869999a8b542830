"""How a job is named on the command line: JOB_ID, or DOMAIN/JOB_ID."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from jobs_api.client.documents import Job
from jobs_api.client.errors import RefusedError
from jobs_api.client.words import visible

DEFAULT_DOMAIN: Final = "files"
NOT_FOUND: Final = 404
_NOT_NAMES: Final = frozenset({"", ".", ".."})


class Reference(NamedTuple):
    """A job as it was named; `has_domain` is False where the domain is just the default."""

    domain: str
    job_id: str
    has_domain: bool


def add_job(parser: ArgumentParser) -> None:
    """Declare the argument JOB, a `Reference` named `job`."""
    parser.add_argument("job", metavar="JOB", type=parse_reference, help="JOB_ID, or DOMAIN/JOB_ID")


def add_jobs(parser: ArgumentParser) -> None:
    """Declare the argument JOB for one or more jobs, named `jobs`."""
    parser.add_argument(
        "jobs", metavar="JOB", nargs="+", type=parse_reference, help="JOB_ID, or DOMAIN/JOB_ID"
    )


def parse_reference(text: str) -> Reference:
    """Read a job's name.

    Raises:
        ArgumentTypeError: it can't be one.
    """
    if text.count("/") > 1 or not _NOT_NAMES.isdisjoint(text.split("/")):
        raise ArgumentTypeError("JOB is JOB_ID or DOMAIN/JOB_ID")
    domain, slash, job_id = text.rpartition("/")
    return Reference(domain or DEFAULT_DOMAIN, job_id, has_domain=bool(slash))


@contextmanager
def looking_for(job: Reference) -> Iterator[None]:
    """Add to the refusal of a job that is not there how one of another domain is named."""
    try:
        yield
    except RefusedError as error:
        if error.status == NOT_FOUND and not job.has_domain:
            hint = "(for another domain: DOMAIN/JOB_ID)"
            raise RefusedError(f"{error} {hint}", status=error.status, word=error.word) from None
        raise


def name_of(job: Job) -> str:
    """Return the name by which a command takes a job."""
    return visible(f"{job['domain']}/{job['job_id']}")
