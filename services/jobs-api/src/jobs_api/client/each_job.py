"""Does the same to several jobs in turn; one that is refused does not keep the others from it."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import decoded
from jobs_api.client.documents import Job
from jobs_api.client.errors import RefusedError
from jobs_api.client.exit_codes import EXIT_OK, EXIT_USAGE
from jobs_api.client.references import Reference, looking_for, name_of
from jobs_api.client.terminal import Terminal, tell, write_line
from jobs_api.client.words import visible_lines

_OF_THE_JOB: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Refusals that say something of one job; any other would meet the next job too."""


class EachJob:
    """Does one thing to several jobs.

    Attributes:
        exit_code: what came of it: 2 as soon as one was refused.

    Args:
        api: the API.
        terminal: each job's name goes to its output, each refusal to its errors.
        action: `cancel` or `retry`.
        json: print the records in place of the names.
    """

    def __init__(self, api: JobsApi, terminal: Terminal, action: str, *, json: bool) -> None:
        self._api = api
        self._terminal = terminal
        self._action = action
        self._json = json
        self.exit_code = EXIT_OK

    def jobs(self, references: Sequence[Reference], word: str) -> Iterator[Job]:
        """Do it; give each job for which it was done.

        Args:
            references: the jobs.
            word: what was done, for a person: `cancelled`.

        Raises:
            ServerUnreachableError: the API does not answer; the rest was not done.
            RefusedError: it would be refused for the others as well.
        """
        for reference in references:
            text = self._act(reference)
            if text is not None:
                job = decoded(text, Job)
                write_line(self._terminal["out"], text if self._json else f"{word}  {name_of(job)}")
                yield job

    def _act(self, reference: Reference) -> str | None:
        try:
            with looking_for(reference):
                return self._api.act(reference.domain, reference.job_id, self._action)
        except RefusedError as error:
            if error.status not in _OF_THE_JOB:
                raise
            told = f"jobs: {reference.domain}/{reference.job_id}: {error}"
            tell(self._terminal["err"], visible_lines(told))
            self.exit_code = EXIT_USAGE
            return None
