"""What the routes work with; `wiring.py` builds it."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from platform_core.job_events import JobDomain
from platform_core.logging import Logger
from platform_notify.preference_store import PreferenceStore
from platform_notify.unsubscribe import UnsubscribeTokens
from platform_workers.job_control import JobControl
from platform_workers.redis import RedisClient
from platform_workers.submission import JobSubmitter

from jobs_api.access.key_store import SessionStore
from jobs_api.event_hub import EventHub
from jobs_api.figures import FigureReader
from jobs_api.http.gate import Gate
from jobs_api.job_records import JobRecords
from jobs_api.metrics import Metrics
from jobs_api.object_store import FileStore


class Services(TypedDict):
    """Everything behind the routes.

    Attributes:
        redis: the connection, for readiness.
        files: uploads and results.
        records: jobs, for reading.
        control: cancels jobs and runs them again.
        submitters: what takes jobs, by domain.
        preferences: what users have chosen about mails.
        unsubscribe: checks the links in mails; None if there are none.
        hub: live events.
        max_upload_bytes: the largest file that is taken.
        heartbeat_seconds: how long a stream of events may be silent.
        gate: the guard before all routes.
        sessions: who is signed in with a browser.
        cors_origins: other web sites whose pages may call this API.
        metrics: what the API counts.
        figures: how queues, workers and jobs stand.
        queues: the queues that jobs are submitted to here.
        logger: for what nobody foresaw.
    """

    redis: RedisClient
    files: FileStore
    records: JobRecords
    control: JobControl
    submitters: Mapping[JobDomain, JobSubmitter]
    preferences: PreferenceStore
    unsubscribe: UnsubscribeTokens | None
    hub: EventHub
    max_upload_bytes: int
    heartbeat_seconds: float
    gate: Gate
    sessions: SessionStore
    cors_origins: Sequence[str]
    metrics: Metrics
    figures: FigureReader
    queues: Sequence[str]
    logger: Logger
