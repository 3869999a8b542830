"""Builds the concrete objects of the API and the worker from their settings; the only place that does."""

import tempfile
from pathlib import Path
from typing import Final, TypedDict
from uuid import uuid4

from litestar import Litestar
from platform_core.clock import Clock, SystemClock
from platform_core.job_events import default_events_channel
from platform_core.logging import configure_logging, get_logger
from platform_core.queues import FILES_QUEUE, low_queue_name
from platform_notify.preference_store import PreferenceStore
from platform_notify.providers.secret import Secret
from platform_notify.unsubscribe import UnsubscribeTokens
from platform_workers.event_history import EventHistory
from platform_workers.job_control import make_job_control
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient, connect
from platform_workers.rq_harness import WorkerConfig
from platform_workers.submission import make_submitter

from jobs_api.access.key_ring import KeyRing
from jobs_api.access.key_store import KeyStore, SessionStore
from jobs_api.access.places import StreamPlaces
from jobs_api.access.rates import TokenBuckets
from jobs_api.event_feed import EventFeed
from jobs_api.event_hub import EventHub
from jobs_api.figures import FigureReader
from jobs_api.file_jobs import FileJobs
from jobs_api.http.app import make_app
from jobs_api.http.events import HEARTBEAT_SECONDS
from jobs_api.http.gate import Gate, is_loopback
from jobs_api.http.services import Services
from jobs_api.job_records import JobRecords
from jobs_api.metrics import Metrics
from jobs_api.object_store import FileStore, open_file_store
from jobs_api.registry import FILES, LEFTOVER_AGE, make_registry
from jobs_api.settings import AccessSettings, ApiSettings, LogSettings, WorkerSettings

ANSWER_SECONDS: Final = 5.0
"""How long the API waits for an answer of Redis: somebody waits for its own. No command of it blocks."""


class Api(TypedDict):
    """The API, ready to be served.

    Attributes:
        app: the application.
        hub: closed before the server waits for its last answers.
        ring: the keys; read once before it is served beyond this machine.
    """

    app: Litestar
    hub: EventHub
    ring: KeyRing


def new_file_id() -> str:
    """Return a random file id that nobody can guess."""
    return uuid4().hex


def set_up_logging(service: str, settings: LogSettings) -> None:
    """Set up the logs of this process."""
    configure_logging(service=service, json=settings["json"], level=settings["level"])


def build_api(settings: ApiSettings) -> Api:
    """Build the API. Nothing connects before the first request.

    Raises:
        ObjectStoreError: the object store can't be opened.
    """
    redis = connect(settings["redis_url"], answer_seconds=ANSWER_SECONDS)
    store = open_file_store(settings["object_store_url"], new_id=new_file_id)
    return assemble_api(
        redis,
        store,
        max_upload_bytes=settings["max_upload_bytes"],
        heartbeat_seconds=HEARTBEAT_SECONDS,
        access=settings["access"],
        local=is_loopback(settings["host"]),
        clock=SystemClock(),
        unsubscribe_secret=settings["unsubscribe_secret"],
    )


def assemble_api(
    redis: RedisClient,
    store: FileStore,
    *,
    max_upload_bytes: int,
    heartbeat_seconds: float,
    access: AccessSettings,
    local: bool,
    clock: Clock,
    unsubscribe_secret: Secret | None = None,
) -> Api:
    """Build the API around a Redis connection and a file store.

    Args:
        redis: the connection.
        store: where files lie.
        max_upload_bytes: the largest file that is taken.
        heartbeat_seconds: how long a stream of events may be silent.
        access: who may call it, and how much.
        local: whether it is reached from this machine alone, so that it needs no key while there is none.
        clock: the time, for keys and rates.
        unsubscribe_secret: signs the links of mails; without it no mail has one.
    """
    # The API runs no job; of the registry it needs the payload types and the limits.
    registry = make_registry(make_file_jobs(store, Path(tempfile.gettempdir())))
    sessions = SessionStore(redis)
    ring = KeyRing(KeyStore(redis), local=local, clock=clock, logger=get_logger("jobs_api.access"))
    history = EventHistory(redis)
    feed = EventFeed(LiveEvents(redis), history, clock=SystemClock())
    hub = EventHub(feed, history, logger=get_logger("jobs_api.event_hub"))
    queues = (FILES_QUEUE, low_queue_name(FILES_QUEUE))
    places = StreamPlaces(in_all=access["max_event_streams"], for_one=access["max_event_streams_per_key"])
    services: Services = {
        "redis": redis,
        "files": store,
        "records": JobRecords(redis),
        "control": make_job_control(redis=redis),
        "submitters": {FILES: make_submitter(redis=redis, queue_name=FILES_QUEUE, registry=registry)},
        "preferences": PreferenceStore(redis),
        "unsubscribe": None if unsubscribe_secret is None else UnsubscribeTokens(unsubscribe_secret),
        "hub": hub,
        "max_upload_bytes": max_upload_bytes,
        "heartbeat_seconds": heartbeat_seconds,
        "gate": Gate(
            {
                "ring": ring,
                "sessions": sessions,
                "buckets": TokenBuckets(access["max_requests_per_second"], clock=clock),
                "places": places,
                "origins": access["cors_origins"],
                "clock": clock,
            }
        ),
        "sessions": sessions,
        "cors_origins": access["cors_origins"],
        "metrics": Metrics(places.taken),
        "figures": FigureReader(
            redis, queues=queues, clock=SystemClock(), logger=get_logger("jobs_api.metrics")
        ),
        "queues": queues,
        "logger": get_logger("jobs_api.http"),
    }
    return {"app": make_app(services), "hub": hub, "ring": ring}


def make_file_jobs(store: FileStore, work_folder: Path) -> FileJobs:
    """Return what runs the jobs on files."""
    return FileJobs(store=store, work_folder=work_folder, clock=SystemClock(), leftover_age=LEFTOVER_AGE)


def build_worker(settings: WorkerSettings) -> WorkerConfig:
    """Build what the worker runs.

    Raises:
        ObjectStoreError: the object store can't be opened.
    """
    store = open_file_store(settings["object_store_url"], new_id=new_file_id)
    return {
        "redis_url": settings["redis_url"],
        "queue_name": FILES_QUEUE,
        "events_channel": default_events_channel(FILES),
        "registry": make_registry(make_file_jobs(store, settings["work_folder"])),
    }
