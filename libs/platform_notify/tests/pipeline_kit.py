"""What the tests of the delivery pipeline build with."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from platform_core.job_events import (
    TURKIC,
    ErrorKind,
    JobCompletedV1,
    JobDomain,
    JobFailedV1,
    make_completed_event,
    make_failed_event,
)
from platform_core.json_values import JsonValue, encode_json
from platform_core.notifications import EventWord
from platform_workers.event_messages import Heard
from platform_workers.redis import RedisClient

from platform_notify.deliveries import EMAIL, NewDelivery, delivery_id_of
from platform_notify.delivery_store import job_deliveries_key
from platform_notify.messages import MailMessage
from platform_notify.providers.base import SENDING_SECONDS, SendResult, sent
from platform_notify.rendering import MailFacts

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ANNA = "anna@example.com"
BOTH: Mapping[str, JsonValue] = {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}}


def completed(job_id: str = "j1", domain: JobDomain = TURKIC) -> JobCompletedV1:
    return make_completed_event(domain=domain, job_id=job_id, user_id=7, result_id="r-1", result_bytes=2048)


def failed_event(job_id: str = "j1", domain: JobDomain = TURKIC, kind: ErrorKind = "user") -> JobFailedV1:
    return make_failed_event(domain=domain, job_id=job_id, user_id=7, error_kind=kind, message="bad row 3")


def heard(event: JobCompletedV1 | JobFailedV1) -> Heard:
    domain = event["domain"]
    return {"kind": "event", "channel": f"{domain}:events", "domain": domain, "event": event}


def foreign_job(
    redis: RedisClient,
    job_id: str = "j1",
    *,
    domain: JobDomain = TURKIC,
    email: str = ANNA,
    notifications: JsonValue = None,
    status: str = "completed",
) -> None:
    """Write a hash as another team's service does: as little as can be."""
    redis.hset(
        f"{domain}:job:{job_id}",
        {
            "status": status,
            "context": encode_json({"email": email}),
            "notifications": encode_json(dict(BOTH) if notifications is None else notifications),
        },
    )


def facts(job_id: str = "j1", event: EventWord = "SUCCESS") -> MailFacts:
    return {
        "domain": TURKIC,
        "job_id": job_id,
        "job_type": "train",
        "event": event,
        "error_kind": None,
        "message": None,
        "attempts": 1,
        "created_at": NOON,
        "started_at": NOON + timedelta(seconds=1),
        "finished_at": NOON + timedelta(seconds=90),
        "result_id": "r",
        "result_bytes": 5,
        "link": None,
    }


def new_delivery(job_id: str = "j1", *, recipient: str = ANNA, channel: str = EMAIL) -> NewDelivery:
    return {
        "delivery_id": delivery_id_of(TURKIC, job_id, 1, "SUCCESS", channel, recipient),
        "domain": TURKIC,
        "job_id": job_id,
        "run": 1,
        "event": "SUCCESS",
        "channel": channel,
        "recipient": recipient,
        "user_id": 7,
        "state": "waiting",
        "layer": "job",
        "detail": "",
        "created_at": NOON,
        "facts": facts(job_id),
    }


class ScriptedProvider:
    """A provider whose answers the test says; it remembers what it was given."""

    def __init__(self, answer: Callable[[MailMessage], SendResult] | None = None, name: str = "fake") -> None:
        self.answer = answer or (lambda message: sent([f"id-{message['delivery_id'][:4]}"], "ok"))
        self.batches: list[list[MailMessage]] = []
        self.closed = False
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        self.batches.append(list(messages))
        return [self.answer(message) for message in messages]

    def check(self) -> str:
        return "The fake is fine."

    def close(self) -> None:
        self.closed = True

    @property
    def job_ids(self) -> list[str]:
        return [message["job_id"] for batch in self.batches for message in batch]


def keys_without_ttl(redis: RedisClient) -> list[str]:
    """Return the notifier's keys that would stay for ever."""
    return [key for key in redis.keys("notify:*") if redis.ttl(key) == -1]


def deliveries_of(redis: RedisClient, job_id: str = "j1", domain: JobDomain = TURKIC) -> list[dict[str, str]]:
    """Return the raw records of a job's deliveries."""
    names = redis.zrange(job_deliveries_key(domain, job_id), 0, -1)
    return [redis.hgetall(f"notify:delivery:{name}") for name in names]
