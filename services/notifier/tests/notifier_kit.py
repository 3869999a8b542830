"""What the notifier's tests build with."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email import message_from_bytes, policy
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from platform_core.clock import SystemClock
from platform_core.job_events import (
    TURKIC,
    JobCompletedV1,
    JobDomain,
    JobFailedV1,
    default_events_channel,
    encode_job_event,
    make_completed_event,
    make_failed_event,
)
from platform_core.json_values import JsonValue, encode_json
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RETENTION
from platform_notify.intake import IntakeConfig
from platform_workers.event_messages import Heard
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.embedded_redis import free_port
from redis.typing import EncodableT, FieldT
from typing_extensions import override

ANNA = "anna@example.com"
BOTH: Mapping[str, JsonValue] = {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}}
INTAKE: IntakeConfig = {
    "channel": EMAIL,
    "provider_configured": True,
    "public_url": None,
    "max_age": RETENTION,
}
NOTIFIER = Path(sys.executable).parent / "notifier"


def completed(job_id: str = "j1", domain: JobDomain = TURKIC) -> JobCompletedV1:
    return make_completed_event(domain=domain, job_id=job_id, user_id=7, result_id="r", result_bytes=5)


def failed_event(job_id: str = "j1", domain: JobDomain = TURKIC) -> JobFailedV1:
    return make_failed_event(domain=domain, job_id=job_id, user_id=7, error_kind="user", message="bad row")


def heard(event: JobCompletedV1 | JobFailedV1) -> Heard:
    domain = event["domain"]
    return {"kind": "event", "channel": f"{domain}:events", "domain": domain, "event": event}


def publish(redis: RedisClient, event: JobCompletedV1 | JobFailedV1) -> None:
    """Publish as a foreign service does: on the channel alone."""
    redis.publish(default_events_channel(event["domain"]), encode_job_event(event))


def foreign_job(redis: RedisClient, job_id: str = "j1", *, email: str = ANNA) -> None:
    """Write a hash as a foreign service does: as little as can be."""
    redis.hset(
        f"turkic:job:{job_id}",
        {
            "status": "completed",
            "context": encode_json({"email": email}),
            "notifications": encode_json(dict(BOTH)),
        },
    )


def our_job(redis: RedisClient, job_id: str = "j1", *, domain: JobDomain = TURKIC) -> JobContext:
    """Store a job as the platform does, begin it, and return its context."""
    now = SystemClock().now()
    JobRecordStore(redis=redis, domain=domain).save(
        {
            "job_id": job_id,
            "user_id": 7,
            "status": "queued",
            "progress": 0,
            "message": None,
            "error": None,
            "created_at": now,
            "updated_at": now,
            "job_type": "train",
            "payload": {},
            "priority": "normal",
            "queue": "default",
            "attempt_count": 0,
            "max_attempts": 3,
            "run": 1,
            "context": {"user_id": "7", "email": ANNA},
            "notifications": dict(BOTH),
        }
    )
    job = make_job_context(
        redis=redis,
        domain=domain,
        events_channel=default_events_channel(domain),
        job_id=job_id,
        user_id=7,
        queue_name="default",
    )
    job.publish_started()
    return job


def complete_job(redis: RedisClient, job_id: str = "j1", *, domain: JobDomain = TURKIC) -> None:
    """Run a job of the platform to its good end."""
    our_job(redis, job_id, domain=domain).publish_completed(result_id="r", result_bytes=5)


def add_as(redis: RedisClient, entry_id: str, fields: Mapping[str, str]) -> None:
    """Append to the log of `turkic` under an id of one's own, which says when."""
    exact: dict[FieldT, EncodableT] = dict(fields.items())
    redis.connection.xadd("turkic:events:log", exact, id=entry_id)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition; the test fails if it never holds."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail("the condition never held")
        pause.wait(0.01)


def settings_for(redis_url: str, folder: Path) -> dict[str, str]:
    """Return the settings of a notifier that writes mails into a folder."""
    return {
        "REDIS_URL": redis_url,
        "MAIL_PROVIDER": "maildir",
        "MAILDIR_PATH": str(folder / "mail"),
        "MAIL_FROM_EMAIL": "jobs@example.com",
        "JOBS_PUBLIC_URL": "https://jobs.example.com",
        "NOTIFIER_PORT": "0",
        "LOG_FORMAT": "json",
    }


def mails(folder: Path) -> list[Path]:
    """Return the mails that were delivered."""
    return sorted((folder / "mail" / "new").glob("*"))


def told_jobs(folder: Path) -> list[str]:
    """Return the job that each mail is about, sorted; the link in it says so."""
    found: list[str] = []
    for path in mails(folder):
        body = message_from_bytes(path.read_bytes(), policy=policy.default).get_body(("plain",))
        text = "" if body is None else body.get_content()
        found += [line.rpartition("/")[2] for line in text.splitlines() if "/jobs/" in line]
    return sorted(found)


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask the health page."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class OwnServer(EmbeddedRedis):
    """A server whose address is known before it is started."""

    def __init__(self) -> None:
        self._port = free_port()
        super().__init__(port=self._port)

    @property
    @override
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"


class RunningNotifier:
    """A real `notifier run` process, ended with the block."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *, name: str = "notifier") -> None:
        self.log = folder / f"{name}.log"
        self._environ = {**os.environ, **environ}

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([NOTIFIER, "run"], env=self._environ, stderr=log, stdout=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait(30)

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def lines(self, event: str) -> list[dict[str, JsonValue]]:
        """Return its log lines of one name."""
        # The last line may be half written.
        whole = self.log.read_text("utf-8").rpartition("\n")[0]
        found: list[dict[str, JsonValue]] = [json.loads(line) for line in whole.splitlines()]
        return [line for line in found if line["event"] == event]

    def port(self) -> int:
        """Wait until it has started; return the port of its health page."""
        wait_until(lambda: bool(self.lines("notifier.started")))
        port = self.lines("notifier.started")[-1]["port"]
        assert isinstance(port, int)
        return port

    def wait_until_ready(self) -> None:
        """Wait until it hears and reads."""
        port = self.port()
        wait_until(lambda: get(port, "/readyz")[0] == 200)


def notifier_keys(server: EmbeddedRedis) -> list[str]:
    """Return the notifier's keys that would stay for ever."""
    redis = server.client()
    found = [key for key in redis.keys("notify:*") if redis.ttl(key) == -1]
    redis.close()
    return found
