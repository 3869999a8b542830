"""`GET /metrics`: what it counts, that it always answers, and who may read it."""

import asyncio
import re
import socket
import threading
from pathlib import Path

import pytest
from access_kit import Keys, locked_api
from fakeredis import FakeServer
from litestar.testing import TestClient
from platform_workers.errors import RedisUnavailableError
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from service_kit import SYSTEM_CLOCK, Service, context_of, losing, running_api, submit, wait_until
from typing_extensions import override

from jobs_api import figures as figures_module
from jobs_api import wiring
from jobs_api.figures import FigureReader
from jobs_api.http import gate
from jobs_api.object_store import FileStore
from jobs_api.settings import read_api_settings

ALONE = re.compile(r"# HELP jobs_api_redis_up .*\n# TYPE jobs_api_redis_up gauge\njobs_api_redis_up 0.0\n")


def value_of(service: Service, sample: str, headers: dict[str, str] | None = None) -> float | None:
    """Return the value of one line of the page; None if it is not there."""
    page = service["http"].get("/metrics", headers=headers)
    assert page.status_code == 200, page.text
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page.text, re.MULTILINE)
    return None if found is None else float(found[1])


def requests_of(route: str, method: str = "GET", status: str = "2xx") -> str:
    return f'jobs_api_requests_total{{method="{method}",route="{route}",status="{status}"}}'


def test_answers_are_counted_by_route_and_never_by_address(service: Service) -> None:
    """An address holds an id: one label for each job would fill the memory of whoever collects."""
    route = "/v1/jobs/{domain}/{job_id}"
    before = value_of(service, requests_of(route, status="4xx")) or 0
    nowhere = value_of(service, requests_of("other", status="4xx")) or 0
    for number in range(3):
        service["http"].get(f"/v1/jobs/files/secret-{number}")
        service["http"].get(f"/secret-{number}")
    assert value_of(service, requests_of(route, status="4xx")) == before + 3
    assert value_of(service, requests_of("other", status="4xx")) == nowhere + 3
    assert "secret" not in service["http"].get("/metrics").text


def test_a_method_that_nobody_knows_makes_no_label(service: Service) -> None:
    assert service["http"].request("PROPFIND", "/v1/jobs").status_code == 405
    page = service["http"].get("/metrics").text
    assert "PROPFIND" not in page
    assert 'method="other"' in page


def test_a_refusal_of_the_guard_counts_under_its_route(locked: Service, keys: Keys) -> None:
    locked["http"].get("/v1/jobs")
    headers = keys.bearer("read")
    assert value_of(locked, requests_of("/v1/jobs", status="4xx"), headers) == 1


def test_how_long_answers_take_is_measured(service: Service) -> None:
    sample = 'jobs_api_request_seconds_count{method="GET",route="/healthz"}'
    before = value_of(service, sample) or 0
    service["http"].get("/healthz")
    assert value_of(service, sample) == before + 1
    seconds = value_of(service, 'jobs_api_request_seconds_sum{method="GET",route="/healthz"}')
    assert seconds is not None
    assert seconds > 0


def test_a_route_is_shown_before_its_first_fault(redis: RedisClient, files: FileStore) -> None:
    """A rise from nothing to 1 is one that Prometheus does not see."""
    with running_api(redis, files) as service:
        assert value_of(service, requests_of("/v1/stats", status="5xx")) == 0


def test_a_stream_counts_while_it_is_open(redis: RedisClient, files: FileStore) -> None:
    """It is counted as answered when it begins: it may last for days."""
    with running_api(redis, files) as service:
        with service["http"].stream("GET", "/v1/events") as stream:
            assert stream.status_code == 200
            assert value_of(service, "jobs_api_event_streams") == 1
            assert value_of(service, requests_of("/v1/events")) == 1
        wait_until(lambda: value_of(service, "jobs_api_event_streams") == 0)


def test_queues_workers_and_jobs_are_shown(service: Service, redis: RedisClient) -> None:
    assert value_of(service, "jobs_api_redis_up") == 1
    # Before anybody has used the queue: an alert on "no worker" needs a 0.
    assert value_of(service, 'jobs_api_workers{queue="files",state="idle"}') == 0
    assert value_of(service, 'jobs_api_workers{queue="files:low",state="idle"}') == 0
    job_id = submit(service)
    submit(service, {"priority": "low", "run_after": "2999-01-01T00:00:00+00:00"})
    redis.hset(f"rq:job:files-{job_id}-1-1", {"enqueued_at": "2026-01-02T12:00:00.000000Z"})
    redis.hset("rq:worker:w-1", {"queues": "files", "state": "busy"})
    redis.sadd("rq:workers:files", "rq:worker:w-1")
    assert value_of(service, 'jobs_api_queue_waiting{queue="files"}') == 1
    assert value_of(service, 'jobs_api_queue_delayed{queue="files:low"}') == 1
    assert value_of(service, 'jobs_api_queue_oldest_seconds{queue="files:low"}') == 0
    oldest = value_of(service, 'jobs_api_queue_oldest_seconds{queue="files"}')
    assert oldest is not None
    assert oldest > 3600
    assert value_of(service, 'jobs_api_workers{queue="files",state="busy"}') == 1
    assert value_of(service, 'jobs_api_jobs{domain="files",status="queued"}') == 2
    redis.sadd("rq:queues", "rq:queue:files")
    redis.zadd("files:jobs:leases:files", {job_id: 1.0})
    assert value_of(service, 'jobs_api_jobs_abandoned{domain="files"}') == 1
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("system", "bad luck")
    assert value_of(service, 'jobs_api_jobs_abandoned{domain="files"}') == 0
    assert value_of(service, 'jobs_api_jobs{domain="files",status="failed"}') == 1
    assert value_of(service, 'jobs_api_jobs_recently_ended{domain="files",outcome="failed"}') == 1


def test_it_is_the_text_format_of_prometheus_and_kept_nowhere(service: Service) -> None:
    answer = service["http"].get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    assert service["http"].head("/metrics").status_code == 200


def test_a_key_for_some_domains_does_not_read_the_figures_of_all(locked: Service, keys: Keys) -> None:
    def status(headers: dict[str, str]) -> int:
        return locked["http"].get("/metrics", headers=headers).status_code

    assert status({}) == 401
    assert status(keys.bearer("submit")) == 403
    assert status(keys.bearer("read", domains=["files"])) == 403
    assert status(keys.bearer("read")) == 200


def test_without_redis_anybody_hears_that_and_nothing_else(
    files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    """Who asks is not known then; `/readyz` says as much. By an error nobody would hear of the outage."""
    memory = FakeServer(version=(7, 2))
    with locked_api(FakeRedis(memory), files, clock) as service:
        assert service["http"].get("/metrics").status_code == 401
        losing(memory)()
        clock.advance(3)
        for headers in ({}, {"Authorization": "Bearer x"}):
            answer = service["http"].get("/metrics", headers=headers)
            assert answer.status_code == 200
            assert ALONE.fullmatch(answer.text)
        assert service["http"].get("/v1/stats").status_code == 503
        memory.connected = True
        assert service["http"].get("/metrics").status_code == 401


def test_redis_may_go_after_the_guard_has_asked(files: FileStore) -> None:
    """The keys are known for two seconds. What this process counts is told then, too."""
    memory = FakeServer(version=(7, 2))
    with running_api(FakeRedis(memory), files, clock=FakeClock(), prepare=losing(memory)) as service:
        assert value_of(service, "jobs_api_redis_up") == 0
        assert value_of(service, requests_of("/metrics")) == 1
        assert value_of(service, 'jobs_api_workers{queue="files",state="idle"}') is None


def test_a_redis_that_is_silent_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing; whoever collects would give up, and take the API for dead."""
    assert figures_module.PATIENCE_SECONDS <= 2
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(wiring, "ANSWER_SECONDS", 3600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"REDIS_URL": "redis://{}:{}".format(*silent.getsockname())}
        with TestClient(wiring.build_api(read_api_settings(environ, tmp_path))["app"]) as client:
            answer = client.get("/metrics")
            # Ends those who wait there.
            silent.close()
    assert answer.status_code == 200
    assert ALONE.fullmatch(answer.text)


class SlowRedis(FakeRedis):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.go_on = threading.Event()

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        self.asked += 1
        self.go_on.wait(20)
        return super().run_script(call)


def test_figures_that_come_too_late_are_read_once_however_many_ask() -> None:
    """Else each look at a silent Redis would leave one more thread behind, until none is left for others."""
    redis = SlowRedis()
    reader = FigureReader(redis, queues=["files"], clock=SYSTEM_CLOCK, logger=FakeLogger(), patience=0.05)

    async def read() -> None:
        assert [await reader.read() for _ in range(3)] == [None, None, None]
        assert redis.asked == 1
        redis.go_on.set()
        while (found := await reader.read()) is None:
            pass
        assert [state["queue"] for state in found["queues"]] == ["files"]
        assert redis.asked == 2

    asyncio.run(read())


def test_why_there_are_no_figures_is_logged() -> None:
    class GoneRedis(FakeRedis):
        @override
        def run_script(self, call: ScriptCall) -> list[str]:
            raise RedisUnavailableError("gone")

    logger = FakeLogger()
    reader = FigureReader(GoneRedis(), queues=(), clock=SYSTEM_CLOCK, logger=logger)
    assert asyncio.run(reader.read()) is None
    assert logger.lines == [{"level": "warning", "event": "metrics.no_figures", "fields": {"error": "gone"}}]
