"""Follows one job until its outcome, across lost connections."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.clock import Clock
from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import KnownEventV1, decode_event
from platform_core.job_types import is_outcome
from platform_core.json_values import decode_as

from jobs_api.client.api import JobsApi
from jobs_api.client.documents import Job
from jobs_api.client.errors import RefusedError, ServerUnreachableError, may_pass
from jobs_api.client.queues import QueueReport, queue_of
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


Update: TypeAlias = StateUpdate | EventUpdate | LostUpdate | QueueUpdate


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
    watch = _QueueWatch(api, clock)
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


class _QueueWatch:
    """Looks whether anybody serves the job's queue: when it is said to wait, then at each sign of life."""

    def __init__(self, api: JobsApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._job: Job | None = None
        self._is_served = True

    def look(self, message: ServerEvent, update: Update | None) -> Iterator[QueueUpdate]:
        """Give what has changed."""
        if update is not None:
            # After an event the next state tells whether the job still waits.
            self._job = update["job"] if update["kind"] == "state" else None
        elif message["name"] != SIGN_OF_LIFE:
            return
        queue = None if self._job is None else queue_of(self._api, self._job, self._clock)
        if queue is not None and self._is_served != (queue["workers"] > 0):
            self._is_served = not self._is_served
            yield {"kind": "queue", "queue": queue}


def _read(message: ServerEvent) -> Update | None:
    """Decode one message; None for one that this client does not know (a newer server)."""
    text = message["data"]
    try:
        if message["name"] == "state":
            return {"kind": "state", "job": decode_as(text, Job), "text": text}
        return {"kind": "event", "event": decode_event(text), "name": message["name"], "text": text}
    except (DecodeError, UnknownEventError):
        return None
