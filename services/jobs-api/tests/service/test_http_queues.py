"""How queues stand, over HTTP: all of them, and the one of a job; and what the job's page makes of it."""

import pytest
from access_kit import Keys
from platform_core.clock import to_iso
from platform_core.json_values import JsonObject
from platform_workers.redis import RedisClient
from service_kit import SYSTEM_CLOCK, Service, context_of, json_of, submit

UNSERVED: JsonObject = {
    "waiting": 0,
    "delayed": 0,
    "oldest_wait_seconds": None,
    "workers": 0,
    "worker_states": {},
}


def begin_worker(redis: RedisClient, *queues: str) -> None:
    """Write what RQ keeps of a worker that lives."""
    redis.hset("rq:worker:w-1", {"queues": ",".join(queues), "state": "idle"})
    redis.sadd("rq:workers", "rq:worker:w-1")
    for queue in queues:
        redis.sadd(f"rq:workers:{queue}", "rq:worker:w-1")


def test_the_queues_of_this_service_are_there_before_anybody_used_them(service: Service) -> None:
    assert json_of(service["http"].get("/v1/queues")) == {
        "queues": [{"queue": "files", **UNSERVED}, {"queue": "files:low", **UNSERVED}]
    }


def test_queues_of_other_services_are_there_too(service: Service, redis: RedisClient) -> None:
    begin_worker(redis, "turkic", "turkic:low")
    queues = json_of(service["http"].get("/v1/queues"))["queues"]
    assert isinstance(queues, list)
    assert {"queue": "turkic", **UNSERVED, "workers": 1, "worker_states": {"idle": 1}} in queues


@pytest.mark.parametrize(
    ("priority", "queue"), [("high", "files"), ("normal", "files"), ("low", "files:low")]
)
def test_a_job_waits_in_the_queue_of_its_priority(
    service: Service, redis: RedisClient, priority: str, queue: str
) -> None:
    path = f"/v1/jobs/files/{submit(service, {'priority': priority})}/queue"
    found = json_of(service["http"].get(path))
    assert (found["queue"], found["waiting"], found["workers"]) == (queue, 1, 0)
    begin_worker(redis, "files", "files:low")
    found = json_of(service["http"].get(path))
    assert (found["workers"], found["worker_states"]) == (1, {"idle": 1})


def test_a_job_that_names_no_queue_is_told_of(service: Service, redis: RedisClient) -> None:
    now = to_iso(SYSTEM_CLOCK.now())
    redis.hset(
        "qr:job:q-1",
        {"user_id": "7", "status": "queued", "progress": "0", "created_at": now, "updated_at": now},
    )
    answer = service["http"].get("/v1/jobs/qr/q-1/queue")
    assert (answer.status_code, json_of(answer)["type"]) == (404, "urn:jobs-api:queue-unknown")
    assert service["http"].get("/v1/jobs/qr/q-2/queue").status_code == 404
    assert service["http"].get("/jobs/qr/q-1").status_code == 200


def test_a_key_for_some_domains_sees_the_queues_of_their_jobs(locked: Service, keys: Keys) -> None:
    locked["http"].headers.update(keys.bearer("submit"))
    path = f"/v1/jobs/files/{submit(locked)}/queue"
    del locked["http"].headers["Authorization"]
    ours, theirs = keys.bearer("read", domains=["files"]), keys.bearer("read", domains=["qr"])
    assert locked["http"].get(path, headers=ours).status_code == 200
    assert locked["http"].get(path, headers=theirs).status_code == 403
    assert locked["http"].get("/v1/queues", headers=ours).status_code == 403
    assert locked["http"].get("/v1/queues", headers=keys.bearer("read")).status_code == 200
    assert locked["http"].get(path).status_code == 401


def test_the_page_says_that_nobody_serves_the_queue(service: Service, redis: RedisClient) -> None:
    """It said that the job begins as soon as a worker is free, and whoever waited waited for ever."""
    job_id = submit(service)
    page = service["http"].get(f"/jobs/files/{job_id}").text
    assert "No worker serves the queue files." in page
    # By it the script looks again now and then: a worker that comes is no event of the job.
    assert " data-waits>" in page
    assert "as soon as a worker is free" not in page
    begin_worker(redis, "files", "files:low")
    page = service["http"].get(f"/jobs/files/{job_id}").text
    assert "No worker serves" not in page
    assert "as soon as a worker is free" in page


def test_the_page_says_nothing_of_workers_while_they_are_not_needed(service: Service) -> None:
    later = submit(service, {"run_after": "2999-01-01T00:00:00+00:00"})
    assert "No worker serves" not in service["http"].get(f"/jobs/files/{later}").text
    running = submit(service)
    context_of(service, running).publish_started()
    page = service["http"].get(f"/jobs/files/{running}").text
    assert "No worker serves" not in page
    assert "stopped answering" not in page


def test_the_page_says_that_the_worker_is_gone(service: Service, redis: RedisClient) -> None:
    """It said `Running`, and how far, for as long as no other worker came."""
    job_id = submit(service)
    context_of(service, job_id).publish_started()
    # The script looks again now and then: a worker that dies is no event of the job.
    assert " data-waits>" in service["http"].get(f"/jobs/files/{job_id}").text
    redis.hset(f"files:job:{job_id}", {"locked_until": "2999-01-01T00:00:00+00:00"})
    assert "stopped answering" not in service["http"].get(f"/jobs/files/{job_id}").text
    redis.hset(f"files:job:{job_id}", {"locked_until": "2026-01-02T12:00:00+00:00"})
    page = service["http"].get(f"/jobs/files/{job_id}").text
    assert "Its worker has stopped answering." in page
    assert "No worker serves the queue files." in page
    assert "Waiting for a worker" in page
    begin_worker(redis, "files", "files:low")
    page = service["http"].get(f"/jobs/files/{job_id}").text
    assert "Its worker has stopped answering." in page
    assert "No worker serves" not in page
