"""For tests of events: jobs that publish, with or without a log, and clients that keep what they get."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypedDict

from platform_core.job_events import (
    JobDomain,
    JobEventV1,
    default_events_channel,
    encode_job_event,
    make_completed_event,
    make_progress_event,
    make_started_event,
)
from platform_core.json_values import JsonObject, decode_json
from platform_workers.event_messages import Message
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.redis import RedisClient
from service_kit import Service, wait_until

LAST = "last"
"""The job by which a test knows that everything before has come."""


class Told(TypedDict):
    """One message of a stream as a client gets it: its id and its name ("" for none), its data."""

    id: str
    name: str
    data: JsonObject


def new_job(redis: RedisClient, domain: JobDomain, job_id: str, user_id: int = 7) -> JobContext:
    """Store a job with the least there can be of it; return what publishes its life, as a worker does."""
    redis.hset(f"{domain}:job:{job_id}", {"status": "queued", "user_id": str(user_id)})
    return make_job_context(
        redis=redis,
        domain=domain,
        events_channel=default_events_channel(domain),
        job_id=job_id,
        user_id=user_id,
        queue_name="q",
    )


def run_job(redis: RedisClient, domain: JobDomain, job_id: str, user_id: int = 7, said: str = "") -> None:
    """Publish a whole job: started, progress, completed."""
    job = new_job(redis, domain, job_id, user_id)
    job.publish_started()
    job.publish_progress(50, said)
    job.publish_completed(result_id="r", result_bytes=1)


def run_last(redis: RedisClient, domain: JobDomain, user_id: int = 7) -> None:
    """Run the job `LAST`, in a millisecond of its own: within one, logs have no order among each other."""
    before = redis.now()
    wait_until(lambda: redis.now() >= before + timedelta(milliseconds=2))
    run_job(redis, domain, LAST, user_id)


def publish_only(redis: RedisClient, event: JobEventV1) -> None:
    """Publish an event as a service does that writes no log."""
    redis.publish(default_events_channel(event["domain"]), encode_job_event(event))


def started(domain: JobDomain, job_id: str = "j", user_id: int = 7) -> JobEventV1:
    """Return a started event."""
    return make_started_event(domain=domain, job_id=job_id, user_id=user_id, queue="q")


def progress(domain: JobDomain, percent: int, job_id: str = "j", user_id: int = 7) -> JobEventV1:
    """Return a progress event."""
    return make_progress_event(domain=domain, job_id=job_id, user_id=user_id, progress=percent)


def completed(domain: JobDomain, job_id: str = "j", user_id: int = 7) -> JobEventV1:
    """Return a completed event."""
    return make_completed_event(domain=domain, job_id=job_id, user_id=user_id, result_id="r", result_bytes=1)


def message_of(event: JobEventV1) -> Message:
    """Return an event as the subscription gives it."""
    channel = default_events_channel(event["domain"])
    return {"kind": "event", "channel": channel, "domain": event["domain"], "event": event}


@contextmanager
def listening(
    service: Service, query: Mapping[str, str] | None = None, last_event_id: str = ""
) -> Iterator[Iterator[Told]]:
    """Follow the events over HTTP, as a browser does."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with service["http"].stream("GET", "/v1/events", params=query, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield told(response.iter_lines())


def told(lines: Iterable[str]) -> Iterator[Told]:
    """Give the messages in the lines of a stream; also those that are an id alone."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        else:
            if "id" in fields or "data" in fields:
                data = decode_json(fields.get("data", "{}"))
                assert isinstance(data, dict)
                yield {"id": fields.get("id", ""), "name": fields.get("event", ""), "data": data}
            fields = {}


def up_to_last(stream: Iterator[Told]) -> list[Told]:
    """Return what comes up to the outcome of the job `LAST`."""
    heard: list[Told] = []
    for message in stream:
        heard.append(message)
        if message["data"].get("job_id") == LAST and message["name"] == "completed":
            break
    return heard


def by_domain(heard: Iterable[Told]) -> list[tuple[str, str, str]]:
    """Return what `kept` does, each domain's in its order."""
    return sorted(kept(heard), key=lambda event: event[0])


def kept(heard: Iterable[Told]) -> list[tuple[str, str, str]]:
    """Return domain, job and name of the events that the log keeps."""
    return [
        (str(message["data"]["domain"]), str(message["data"]["job_id"]), message["name"])
        for message in heard
        if message["name"] in {"started", "completed", "failed"}
    ]
