"""The events of one job as Server-Sent Events: `GET /v1/jobs/{domain}/{job_id}/events`.

First comes `state` (the record), then `started`, `progress`, `completed` and `failed` as they are published,
each with the event as it is on the wire. After an outcome comes a last `state`, and the stream ends. When
something may have been missed in between, another `state` says where the job is.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from litestar import Request, Router, route
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage
from platform_core.job_events import JobDomain
from platform_core.job_types import is_outcome
from platform_core.json_values import encode_json
from platform_workers.errors import JobNotFoundError, RedisUnavailableError

from jobs_api.event_hub import EventHub
from jobs_api.event_listener import Taken
from jobs_api.http.access import STREAMS
from jobs_api.http.answers import READ, is_head
from jobs_api.http.event_texts import RETRY_MILLISECONDS
from jobs_api.http.services import Services
from jobs_api.job_records import JobRecords
from jobs_api.published_events import PublishedEvent

OUTCOMES: Final = frozenset({"completed", "failed"})

HEARTBEAT_SECONDS: Final = 10.0
"""How long a stream may be silent. Then the record is read again: the vendor's client may have lost and
renewed the subscription without a word."""


def event_routes(services: Services) -> Router:
    """Return the route of one job's events."""
    records, hub, heartbeat_seconds = services["records"], services["hub"], services["heartbeat_seconds"]
    gate = services["gate"]

    @route("/{domain:str}/{job_id:str}/events", http_method=READ, opt=STREAMS, summary="Follow a job")
    async def events(
        request: Request[object, object, State], domain: FromPath[str], job_id: FromPath[str]
    ) -> ServerSentEvent:
        """Send the job's state, then its events until its outcome."""
        found = await asyncio.to_thread(records.load, domain, job_id)
        follower = Follower(hub, records, found["domain"], job_id, heartbeat_seconds)
        messages = gate.while_admitted(request, follower.messages())
        return ServerSentEvent(iter(()) if is_head(request) else messages)

    return Router("/v1/jobs", route_handlers=[events], tags=["jobs"])


class Follower:
    """Follows one job for one client.

    Args:
        hub: live events.
        records: where the job's state is read.
        domain: the job's domain.
        job_id: the job.
        heartbeat_seconds: how long the stream may be silent.
    """

    def __init__(
        self, hub: EventHub, records: JobRecords, domain: JobDomain, job_id: str, heartbeat_seconds: float
    ) -> None:
        self._hub = hub
        self._records = records
        self._domain = domain
        self._job_id = job_id
        self._heartbeat_seconds = heartbeat_seconds
        self._last_state = ""
        self._done = False

    async def messages(self) -> AsyncGenerator[ServerSentEventMessage, None]:
        """Give what is sent to the client, until the job's outcome or the end of the server."""
        yield ServerSentEventMessage(data=None, retry=RETRY_MILLISECONDS)
        # Listening begins before the record is read, so nothing can happen unseen in between.
        with (
            self._hub.listen((self._domain, self._job_id, None)) as listener,
            listener.reminded_every(self._heartbeat_seconds),
        ):
            yield await self._look()
            while not self._done:
                taken = await listener.take()
                if taken["is_closed"]:
                    return
                if taken["is_behind"]:
                    # The record tells what counts; live events go on from here.
                    listener.catch_up()
                for event in taken["events"]:
                    yield event_message(event)
                if may_have_moved(taken):
                    yield await self._look()

    async def _look(self) -> ServerSentEventMessage:
        """Read the record; return it as a `state`, or a sign of life when it is as it was."""
        try:
            found = await asyncio.to_thread(self._records.load, self._domain, self._job_id)
        except RedisUnavailableError:
            # When Redis is back the hub says so, and the record is read then.
            return ServerSentEventMessage(data=None, comment="waiting for Redis")
        except JobNotFoundError:
            self._done = True
            return ServerSentEventMessage(data=None, comment="the record is gone")
        self._done = is_outcome(found["record"]["status"])
        state = encode_json(found["document"])
        if state == self._last_state:
            return ServerSentEventMessage(data=None, comment="still here")
        self._last_state = state
        return ServerSentEventMessage(event="state", data=state)


def event_message(event: PublishedEvent) -> ServerSentEventMessage:
    """Return an event for the stream, named by the last word of its type."""
    return ServerSentEventMessage(event=event.word, data=event.data)


def may_have_moved(taken: Taken) -> bool:
    """Tell whether the record must be read: after silence, a gap, or what looks like an outcome."""
    return (
        not taken["events"] or taken["is_outage"] or any(event.word in OUTCOMES for event in taken["events"])
    )
