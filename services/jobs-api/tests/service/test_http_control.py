"""`POST /v1/jobs/{domain}/{job_id}/cancel` and `.../retry` against the running service."""

from contextlib import suppress

import pytest
from breaking_redis import BREAKS, Break, breaking_redis
from platform_core.job_types import job_key
from platform_workers.errors import RedisUnavailableError
from platform_workers.job_control import make_job_control
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient, connect
from platform_workers.testing import EmbeddedRedis, FakeRedis
from service_kit import Service, complete, context_of, json_of, running_api, submit
from typing_extensions import override

from jobs_api.object_store import FileStore
from jobs_api.registry import FILES


def test_a_waiting_job_is_cancelled_and_a_repeat_changes_nothing(
    service: Service, redis: RedisClient
) -> None:
    job_id = submit(service, {"run_after": "2100-01-01T00:00:00+00:00"})
    first = service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
    assert first.status_code == 200
    record = json_of(first)
    assert (record["status"], record["error"], record["error_kind"]) == ("cancelled", "cancelled", "user")
    assert "run_after" not in record
    again = service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
    assert (again.status_code, json_of(again)) == (200, record)
    assert json_of(service["http"].get(f"/v1/jobs/files/{job_id}")) == record
    assert redis.keys("rq:job:*") == []


def test_a_running_job_is_cancelled_and_its_log_says_so(service: Service) -> None:
    job_id = submit(service)
    context_of(service, job_id).publish_started()
    assert service["http"].post(f"/v1/jobs/files/{job_id}/cancel").status_code == 200
    log = json_of(service["http"].get(f"/v1/jobs/files/{job_id}/log"))["lines"]
    assert isinstance(log, list)
    assert isinstance(log[-1], dict)
    assert (log[-1]["level"], log[-1]["message"]) == ("warning", "cancelled")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_job_cannot_be_cancelled(service: Service, status: str) -> None:
    job_id = submit(service)
    if status == "completed":
        complete(service, job_id)
    else:
        context_of(service, job_id).publish_failed("system", "broken")
    answer = service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert json_of(answer) == {
        "type": "urn:jobs-api:job-finished", "title": "Conflict", "status": 409,
        "detail": f"The job has {status} already.",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_failed_or_cancelled_job_is_run_again(service: Service, redis: RedisClient, how: str) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    if how == "failed":
        context.publish_failed("system", "broken")
    else:
        service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
    answer = service["http"].post(f"/v1/jobs/files/{job_id}/retry")
    assert answer.status_code == 200
    record = json_of(answer)
    assert (record["status"], record["run"], record["attempt_count"]) == ("queued", 2, 0)
    assert record["error"] is None
    assert redis.lrange("rq:queue:files", 0, -1)[-1] == f"files-{job_id}-2-1"
    assert redis.hmget(f"rq:job:files-{job_id}-2-1", ["timeout"]) == {"timeout": "3600"}


@pytest.mark.parametrize("status", ["queued", "processing", "completed"])
def test_other_jobs_are_not_run_again(service: Service, redis: RedisClient, status: str) -> None:
    job_id = submit(service)
    if status == "completed":
        complete(service, job_id)
    if status == "processing":
        context_of(service, job_id).publish_started()
    answer = service["http"].post(f"/v1/jobs/files/{job_id}/retry")
    assert answer.status_code == 409
    problem = json_of(answer)
    assert problem["type"] == "urn:jobs-api:not-retryable"
    assert problem["detail"] == f"Only a failed or cancelled job can be retried; this one is {status}."
    assert redis.lrange("rq:queue:files", 0, -1) == [f"files-{job_id}-1-1"]


def test_a_job_of_a_teams_own_type_can_be_cancelled_and_not_retried(
    service: Service, redis: RedisClient
) -> None:
    """Its record has the base fields alone: it does not say in which queue it belongs."""
    base = {
        "user_id": "7", "progress": "3", "created_at": "2026-01-02T12:00:00+00:00",
        "updated_at": "2026-01-02T12:00:00+00:00",
    }  # fmt: skip
    redis.hset("turkic:job:theirs", {"job_id": "theirs", "status": "processing", **base})
    answer = service["http"].post("/v1/jobs/turkic/theirs/cancel")
    assert (answer.status_code, json_of(answer)["status"]) == (200, "cancelled")
    answer = service["http"].post("/v1/jobs/turkic/theirs/retry")
    assert answer.status_code == 409
    assert "does not allow it: queue: expected str, found missing" in str(json_of(answer)["detail"])


@pytest.mark.parametrize("act", ["cancel", "retry"])
@pytest.mark.parametrize("name", ["files/nobody", "files/a:b", "No-Domain/x"])
def test_a_job_that_is_not_there(service: Service, act: str, name: str) -> None:
    answer = service["http"].post(f"/v1/jobs/{name}/{act}")
    assert (answer.status_code, json_of(answer)["type"]) == (404, "urn:jobs-api:job-not-found")


class LosesAnswers(FakeRedis):
    """Carries out a script and loses its answer, once it is told to."""

    loses = False

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        reply = super().run_script(call)
        if self.loses:
            raise RedisUnavailableError("the answer was lost")
        return reply


def test_a_change_whose_answer_is_lost_is_not_denied(files: FileStore) -> None:
    redis = LosesAnswers()
    with running_api(redis, files) as service:
        job_id = submit(service)
        redis.loses = True
        answer = service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    problem = json_of(answer)
    assert problem["type"] == "urn:jobs-api:change-unknown"
    assert f"It is not known whether the change was made; /v1/jobs/files/{job_id} tells." in str(problem)
    assert redis.hgetall(job_key(FILES, job_id))["status"] == "cancelled"


class Hurried(FakeRedis):
    """Has somebody else ask for another run as soon as a job is cancelled, once it is told to."""

    is_told = False

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        reply = super().run_script(call)
        if self.is_told:
            self.is_told = False
            make_job_control(redis=self).rerun(FILES, call["args"][1])
        return reply


def test_a_record_may_have_gone_on_once_its_job_was_cancelled(files: FileStore) -> None:
    """200 says that it was cancelled, as the log has it; the record is that of now, and says of which run."""
    redis = Hurried()
    with running_api(redis, files) as service:
        job_id = submit(service)
        redis.is_told = True
        answer = service["http"].post(f"/v1/jobs/files/{job_id}/cancel")
        log = json_of(service["http"].get(f"/v1/jobs/files/{job_id}/log"))["lines"]
        about = json_of(service["http"].get("/schema/openapi.json"))
    record = json_of(answer)
    assert (answer.status_code, record["status"], record["run"]) == (200, "queued", 2)
    assert isinstance(log, list)
    assert [line["message"] for line in log[-2:] if isinstance(line, dict)] == [
        "cancelled",
        "run 2 was asked for",
    ]
    assert "if somebody else asked for another run in the same moment" in str(about)


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_wherever_redis_is_lost_the_change_is_whole_or_not_made(
    service: Service, server: EmbeddedRedis, redis: RedisClient, act: str, how: Break
) -> None:
    """Broken at every command in turn; for Redis a process that was killed there is the same."""
    made: set[str] = set()
    with breaking_redis(server.url) as proxy:
        for at in range(1, 50):
            job_id = submit(service)
            if act == "retry":
                make_job_control(redis=redis).cancel(FILES, job_id)
            client = connect(proxy.url)
            control = make_job_control(redis=client)
            proxy.arm(at, how)
            with suppress(RedisUnavailableError):
                (control.cancel if act == "cancel" else control.rerun)(FILES, job_id)
            client.close()
            status = redis.hgetall(job_key(FILES, job_id))["status"]
            is_queued = f"files-{job_id}-2-1" in redis.lrange("rq:queue:files", 0, -1)
            assert is_queued == (act == "retry" and status == "queued")
            made.add(status)
            if not proxy.broke:
                break
    assert not proxy.broke
    assert made == {"queued", "cancelled"}
