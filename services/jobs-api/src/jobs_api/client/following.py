"""Follows one job until its outcome, across lost connections."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.clock import Clock
from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import KnownEventV1, decode_event
from platform_core.job_types import is_outcome
from platform_core.json_values import decode_as

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import decoded
from jobs_api.client.documents import Job
from jobs_api.client.errors import RefusedError, ServerUnreachableError, may_pass
from jobs_api.client.queues import QueueReport, is_abandoned, queue_of
from jobs_api.client.server_events import SIGN_OF_LIFE, ServerEvent

RECONNECT_SECONDS: Final = 1.0
RECONNECT_ATTEMPTS: Final = 60
"""So many times in a row: about as many seconds, plus what each attempt takes."""


class StateUpdate(TypedDict):
    """Where the job is: its record."""

    kind: Literal["state"]
    job: Job
    text: str


class EventUpdate(TypedDict):
    """What happened: an event as published."""

    kind: Literal["event"]
    event: KnownEventV1
    name: str
    text: str


class LostUpdate(TypedDict):
    """The connection is gone; it is tried again."""

    kind: Literal["lost"]


class QueueUpdate(TypedDict):
    """The job waits in a queue that no worker serves; or one has begun to."""

    kind: Literal["queue"]
    queue: QueueReport


class AbandonedUpdate(TypedDict):
    """The job's worker has stopped answering: its record, as it is since then."""

    kind: Literal["abandoned"]
    text: str


Update: TypeAlias = StateUpdate | EventUpdate | LostUpdate | QueueUpdate | AbandonedUpdate


def follow(
    api: JobsApi,
    domain: str,
    job_id: str,
    *,
    wait: Callable[[float], object],
    clock: Clock,
    attempts: int = RECONNECT_ATTEMPTS,
) -> Iterator[Update]:
    """Give what happens to a job; the last update is the state with its outcome.

    Args:
        api: the API.
        domain: the job's domain.
        job_id: the job.
        wait: waits so many seconds before it connects again.
        clock: tells the time.
        attempts: how often to connect in vain before it gives up.

    Raises:
        ServerUnreachableError: the API did not answer at first, or stayed away for too long.
        RefusedError: there is no such job, or the API had a fault for too long.
    """
    seen, failures = False, 0
    watch = _WorkerWatch(api, domain, job_id, clock)
    while True:
        try:
            for message in api.events(domain, job_id):
                failures, seen = 0, True
                update = _read(message)
                if update is not None:
                    yield update
                    if update["kind"] == "state" and is_outcome(update["job"]["status"]):
                        return
                yield from watch.look(message, update)
        except (ServerUnreachableError, RefusedError) as error:
            failures += 1
            # At first the address may be wrong, and waiting would only hide it.
            if not seen or failures >= attempts or not may_pass(error):
                raise
        yield {"kind": "lost"}
        wait(RECONNECT_SECONDS)


class _WorkerWatch:
    """Looks whether anybody works on the job, or could: at each state and each sign of life.

    While it waits: whether anybody serves its queue. While it runs: whether its worker has gone silent.
    """

    def __init__(self, api: JobsApi, domain: str, job_id: str, clock: Clock) -> None:
        self._api = api
        self._domain = domain
        self._job_id = job_id
        self._clock = clock
        self._job: Job | None = None
        self._text = ""
        self._is_abandoned = False
        self._is_served = True

    def look(self, message: ServerEvent, update: Update | None) -> Iterator[QueueUpdate | AbandonedUpdate]:
        """Give what has changed."""
        if update is not None:
            # After an event the next sign of life is the time to ask: a worker has just been there.
            self._job = None
            if update["kind"] == "state":
                self._job, self._text = update["job"], update["text"]
        elif message["name"] != SIGN_OF_LIFE:
            return
        elif self._job is None or self._job["status"] != "queued":
            # A worker that is gone says nothing, and the lease of one that lives is renewed without a word.
            self._read_again()
        was_abandoned = self._is_abandoned
        self._is_abandoned = self._job is not None and is_abandoned(self._job, self._clock)
        if self._is_abandoned and not was_abandoned:
            yield {"kind": "abandoned", "text": self._text}
        queue = None if self._job is None else queue_of(self._api, self._job, self._clock)
        if queue is not None and self._is_served != (queue["workers"] > 0):
            self._is_served = not self._is_served
            yield {"kind": "queue", "queue": queue}

    def _read_again(self) -> None:
        # Of a record that cannot be read anew nobody knows whether the lease was renewed since.
        self._job = None
        with suppress(RefusedError, ServerUnreachableError):
            text = self._api.job_text(self._domain, self._job_id)
            self._job, self._text = decoded(text, Job), text


def _read(message: ServerEvent) -> Update | None:
    """Decode one message; None for one that this client does not know (a newer server)."""
    text = message["data"]
    try:
        if message["name"] == "state":
            return {"kind": "state", "job": decode_as(text, Job), "text": text}
        return {"kind": "event", "event": decode_event(text), "name": message["name"], "text": text}
    except (DecodeError, UnknownEventError):
        return None
