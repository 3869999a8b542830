"""Liveness, readiness, and what is answered while Redis is away or an address is wrong."""

import socket
from pathlib import Path
from time import perf_counter

import pytest
from fakeredis import FakeServer
from litestar.testing import TestClient
from platform_core.json_values import decode_json
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeLogger, FakeRedis
from service_kit import Service, json_of, running_api, upload

from jobs_api import wiring
from jobs_api.http.problems import problem_of
from jobs_api.object_store import FileStore
from jobs_api.settings import read_api_settings


def test_the_process_is_alive(service: Service) -> None:
    answer = service["http"].get("/healthz")
    assert (answer.status_code, json_of(answer)) == (200, {"status": "ok"})


def test_it_is_degraded_without_a_worker_and_ready_with_one(service: Service, redis: RedisClient) -> None:
    answer = service["http"].get("/readyz")
    assert (answer.status_code, json_of(answer)) == (
        503,
        {"status": "degraded", "reason": "no worker is running"},
    )
    redis.sadd("rq:workers", "rq:worker:w-1")
    answer = service["http"].get("/readyz")
    assert (answer.status_code, json_of(answer)["reason"]) == (
        503,
        "no worker listens on the queue files (1 on others)",
    )
    redis.sadd("rq:workers:files", "rq:worker:w-1")
    answer = service["http"].get("/readyz")
    assert answer.status_code == 200
    assert json_of(answer)["status"] == "ready"


@pytest.mark.parametrize(
    "path",
    ["/v1/jobs/files/x", "/v1/jobs/files/x/log", "/v1/jobs/files/x/result", "/v1/jobs/files/x/events"],
)
def test_without_redis_the_answer_is_a_503_that_says_when_to_come_back(files: FileStore, path: str) -> None:
    memory = FakeServer(version=(7, 2))
    memory.connected = False
    with running_api(FakeRedis(memory), files) as service:
        answer = service["http"].get(path)
        ready = service["http"].get("/readyz")
        alive = service["http"].get("/healthz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert json_of(answer)["type"] == "urn:jobs-api:redis-away"
    assert "Nothing was changed" in str(json_of(answer)["detail"])
    assert ready.status_code == 503
    assert "Redis does not answer" in str(json_of(ready)["reason"])
    assert alive.status_code == 200


def test_a_redis_that_is_silent_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stands still takes the connection and says nothing: requests were held for half a minute."""
    assert wiring.ANSWER_SECONDS <= 5
    monkeypatch.setattr(wiring, "ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"REDIS_URL": "redis://{}:{}".format(*silent.getsockname())}
        with TestClient(wiring.build_api(read_api_settings(environ, tmp_path))["app"]) as client:
            asked = perf_counter()
            answer = client.get("/v1/jobs/files/x")
            waited = perf_counter() - asked
    assert waited < 20, "half a minute is how long other programs wait"
    assert answer.status_code == 503
    assert json_of(answer)["type"] == "urn:jobs-api:redis-away"


def test_a_redis_that_takes_no_writes_is_a_503_too(service: Service, redis: RedisClient) -> None:
    """Its disk is full, or too few replicas are there; reading goes on."""
    job = {"job_type": "csv.row_count", "payload": {"file_id": upload(service)}, "user_id": 1}
    redis.connection.config_set("min-replicas-to-write", "1")
    try:
        answer = service["http"].post("/v1/jobs", json=job)
        reading = service["http"].get("/v1/jobs")
    finally:
        redis.connection.config_set("min-replicas-to-write", "0")
    assert (answer.status_code, reading.status_code) == (503, 200)
    assert service["http"].post("/v1/jobs", json=job).status_code == 201


def test_the_root_leads_a_browser_to_the_page_and_is_nothing_to_programs(service: Service) -> None:
    page = service["http"].get("/", headers={"Accept": "text/html,*/*;q=0.8"}, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "schema")
    assert service["http"].get("/", headers={"Accept": "text/html"}, follow_redirects=True).status_code == 200
    for accepted in ("*/*", "application/json"):
        answer = service["http"].get("/", headers={"Accept": accepted}, follow_redirects=False)
        assert (answer.status_code, json_of(answer)["type"]) == (404, "urn:jobs-api:request")


def test_wrong_addresses_and_methods_are_problems_too(service: Service) -> None:
    nowhere = service["http"].get("/nowhere")
    assert (nowhere.status_code, json_of(nowhere)["detail"]) == (404, "There is nothing at this address.")
    wrong = service["http"].put("/v1/jobs")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"]
    assert json_of(wrong)["detail"] == "This address does not take this method."
    twisted = service["http"].get("/v1/jobs/files")
    assert twisted.headers["content-type"] == "application/problem+json"


def test_the_openapi_document_lists_the_addresses(service: Service) -> None:
    answer = service["http"].get("/schema/openapi.json")
    document = decode_json(answer.content)
    assert isinstance(document, dict)
    paths = document["paths"]
    assert isinstance(paths, dict)
    assert {"/v1/files", "/v1/files/{file_id}", "/v1/jobs", "/v1/jobs/{domain}/{job_id}", "/readyz"} <= set(
        paths
    )


def test_what_nobody_foresaw_is_logged_and_tells_nothing() -> None:
    logger = FakeLogger()
    problem = problem_of(ValueError("a secret"), logger)
    assert problem == {
        "status": 500,
        "word": "unexpected",
        "detail": "Something went wrong here. It was logged.",
    }
    assert logger.lines[0]["fields"] == {"error": "ValueError('a secret')"}
