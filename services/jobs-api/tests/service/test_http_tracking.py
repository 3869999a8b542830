"""Lists, statistics and logs of jobs over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
from platform_core.clock import to_iso
from platform_core.job_events import DIGITS, TURKIC, JobDomain
from platform_core.job_types import JOB_STATUSES, JobRecord, JobStatusLiteral
from platform_core.json_values import JsonObject, JsonValue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from service_kit import Service, complete, context_of, json_of, submit, upload

CREATED = datetime(2026, 1, 2, 12, tzinfo=UTC)
NONE = dict.fromkeys(JOB_STATUSES, 0)


def record(job_id: str, status: JobStatusLiteral = "queued", *, hours: int = 0) -> JobRecord:
    created = CREATED + timedelta(hours=hours)
    return {
        "job_id": job_id, "user_id": 3, "status": status, "progress": 0, "message": None, "error": None,
        "created_at": created, "updated_at": created, "job_type": "train", "payload": {"big": 1},
        "priority": "normal", "queue": "default", "attempt_count": 0, "max_attempts": 3, "run": 1,
    }  # fmt: skip


def save(redis: RedisClient, domain: JobDomain, *jobs: JobRecord) -> None:
    for job in jobs:
        JobRecordStore(redis=redis, domain=domain).save(job)


def get(service: Service, path: str, **query: str) -> JsonObject:
    answer = service["http"].get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return json_of(answer)


def jobs_in(document: JsonObject) -> list[JsonObject]:
    jobs = document["jobs"]
    assert isinstance(jobs, list)
    return [job for job in jobs if isinstance(job, dict)]


def ids(document: JsonObject) -> list[JsonValue]:
    return [f"{job['domain']}/{job['job_id']}" for job in jobs_in(document)]


def test_there_are_no_jobs_yet(service: Service) -> None:
    assert get(service, "/v1/jobs") == {"jobs": []}
    assert get(service, "/v1/jobs/active", domain="files") == {"jobs": []}


def test_a_summary_is_the_document_without_what_may_be_large(service: Service) -> None:
    job_id = submit(
        service,
        {
            "payload": {"file_id": upload(service), "delimiter": ";"},
            "context": {"user_id": "u", "email": "anna@example.com"},
            "notifications": {"email": {"enabled": True, "on": ["SUCCESS"]}},
        },
    )
    complete(service, job_id, said="nearly there")
    whole = get(service, f"/v1/jobs/files/{job_id}")
    (summary,) = jobs_in(get(service, "/v1/jobs"))
    assert summary == {
        name: value for name, value in whole.items() if name not in {"payload", "context", "notifications"}
    }
    assert {"result_id", "result_bytes", "started_at", "finished_at"} <= summary.keys()


def test_pages_go_from_the_newest_to_the_oldest_of_every_domain(service: Service) -> None:
    redis = service["redis"]
    save(redis, TURKIC, record("a"), record("b", hours=2))
    save(redis, DIGITS, record("a"), record("c", hours=1))
    first = get(service, "/v1/jobs", limit="2")
    assert ids(first) == ["turkic/b", "digits/c"]
    cursor = first["next_cursor"]
    assert isinstance(cursor, str)
    rest = get(service, "/v1/jobs", limit="2", cursor=cursor)
    assert ids(rest) == ["turkic/a", "digits/a"]
    assert "next_cursor" not in rest
    assert ids(get(service, "/v1/jobs", domain="digits")) == ["digits/c", "digits/a"]
    assert ids(get(service, "/v1/jobs", domain="nobody")) == []


def test_every_filter(service: Service) -> None:
    redis = service["redis"]
    save(redis, TURKIC, record("old", "failed"), record("new", "failed", hours=2), record("other", hours=1))
    save(redis, TURKIC, {**record("mine", "failed", hours=1), "user_id": -9, "job_type": "eval"})

    def found(**query: str) -> list[JsonValue]:
        return [str(name).partition("/")[2] for name in ids(get(service, "/v1/jobs", **query))]

    assert found(status="failed") == ["new", "mine", "old"]
    assert found(job_type="train") == ["new", "other", "old"]
    assert found(user_id="-9") == ["mine"]
    assert found(status="failed", job_type="train", user_id="3", domain="turkic") == ["new", "old"]
    noon = CREATED.isoformat()
    one = (CREATED + timedelta(hours=3)).isoformat().replace("+00:00", "+02:00")
    assert found(created_from=one) == ["new", "other", "mine"]
    assert found(created_before=one, created_from=noon) == ["old"]
    assert found(created_before="2026-01-02T12:00:00Z") == []


def test_the_active_jobs_are_those_that_run(service: Service) -> None:
    waiting, running = submit(service), submit(service)
    context_of(service, running).publish_started()
    service["redis"].hset(f"files:job:{running}", {"locked_by": "worker-1", "locked_until": to_iso(CREATED)})
    (job,) = jobs_in(get(service, "/v1/jobs/active"))
    assert (job["job_id"], job["status"], job["locked_by"]) == (running, "processing", "worker-1")
    assert job["locked_until"] == to_iso(CREATED)
    assert ids(get(service, "/v1/jobs", status="queued")) == [f"files/{waiting}"]


def test_jobs_of_other_teams_never_break_a_list(service: Service) -> None:
    """One shows what the base has; one that has not even that is left out, and its place is taken."""
    redis = service["redis"]
    save(redis, TURKIC, *(record(f"job-{number}", hours=number) for number in range(4)))
    redis.delete("turkic:job:job-3")
    times = {"created_at": "2026-01-02T17:00:00+02:00", "updated_at": "2026-01-02T17:00:00+02:00"}
    redis.hset("turkic:job:job-3", {"status": "queued", "user_id": "3", "progress": "5", **times})
    redis.hset("turkic:job:job-2", {"progress": "much"})
    document = get(service, "/v1/jobs", limit="2")
    assert ids(document) == ["turkic/job-3", "turkic/job-1"]
    assert jobs_in(document)[0] == {
        "domain": "turkic", "job_id": "job-3", "user_id": 3, "status": "queued", "progress": 5,
        "message": None, "error": None, "created_at": "2026-01-02T15:00:00.000000+00:00",
        "updated_at": "2026-01-02T15:00:00.000000+00:00",
    }  # fmt: skip
    rest = get(service, "/v1/jobs", limit="2", cursor=str(document["next_cursor"]))
    assert ids(rest) == ["turkic/job-0"]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/jobs", "state=failed", "state"),
        ("/v1/jobs", "status=done", "status"),
        ("/v1/jobs", "status=", "status"),
        ("/v1/jobs", "status=failed&status=queued", "status"),
        ("/v1/jobs", "job_type=a:user:7", "job_type"),
        ("/v1/jobs", "job_type=", "job_type"),
        ("/v1/jobs", "user_id=me", "user_id"),
        ("/v1/jobs", "user_id=1e3", "user_id"),
        ("/v1/jobs", "created_from=yesterday", "created_from"),
        ("/v1/jobs", "created_before=2026-01-02T12:00:00", "created_before"),
        ("/v1/jobs", "created_before=2026-01-02T12:00:00+00:00", "created_before"),
        ("/v1/jobs", "limit=0", "limit"),
        ("/v1/jobs", "limit=201", "limit"),
        ("/v1/jobs", "limit=ten", "limit"),
        ("/v1/jobs", "cursor=abc", "cursor"),
        ("/v1/jobs", "cursor=%FF%00", "cursor"),
        ("/v1/jobs", "domain=No%20Domain", "domain"),
        ("/v1/jobs", "domain=", "domain"),
        ("/v1/jobs", "%C3%BC=1", "ü"),
        ("/v1/jobs/active", "status=queued", "status"),
        ("/v1/jobs/active", "limit=-1", "limit"),
        ("/v1/stats", "window=2h", "window"),
        ("/v1/stats", "limit=1", "limit"),
        ("/v1/stats", "domain=x:y", "domain"),
        ("/v1/jobs/files/nobody/log", "from=1-0", "from"),
        ("/v1/jobs/files/nobody/log", "limit=201", "limit"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(service: Service, path: str, query: str, field: str) -> None:
    answer = service["http"].get(f"{path}?{query}")
    problem = json_of(answer)
    assert answer.status_code == 422, answer.text
    assert problem["type"] == "urn:jobs-api:invalid-fields"
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert [error["field"] for error in errors if isinstance(error, dict)] == [field]
    assert field in str(problem["detail"])


def test_every_unknown_parameter_is_named_with_the_known_ones(service: Service) -> None:
    problem = json_of(service["http"].get("/v1/jobs/active?b=1&a=2&limit=3&limit=4"))
    assert problem["detail"] == (
        "b: unknown parameter; known: domain, limit, cursor; a: unknown parameter; known: domain, limit,"
        " cursor; limit: given more than once"
    )


@pytest.mark.parametrize(
    ("window", "steps", "hours"), [("1h", 12, 1 / 12), ("24h", 24, 1.0), ("7d", 28, 6.0)]
)
def test_statistics_tell_what_is_there_and_what_happened(
    service: Service, window: str, steps: int, hours: float
) -> None:
    complete(service, submit(service))
    failed = context_of(service, submit(service))
    failed.publish_started()
    failed.publish_failed("user", "row 3 is too long")
    submit(service)
    save(service["redis"], TURKIC, record("a", "cancelled"))
    found = get(service, "/v1/stats", window=window)
    assert found["window"] == window
    assert found["counts"] == {**NONE, "queued": 1, "completed": 1, "failed": 1, "cancelled": 1}
    assert found["by_type"] == {
        "csv.row_count": {**NONE, "queued": 1, "completed": 1, "failed": 1},
        "train": {**NONE, "cancelled": 1},
    }
    assert found["submitted"] == 4
    assert found["finished"] == {"completed": 1, "failed": 1, "cancelled": 1}
    assert found["failure_rate"] == 0.5
    begins, ends = (datetime.fromisoformat(str(found[name])) for name in ("from", "to"))
    assert found["throughput_per_hour"] == pytest.approx(2 / ((ends - begins) / timedelta(hours=1)), rel=0.01)
    for name in ("run_seconds", "queue_seconds"):
        measured = found[name]
        assert isinstance(measured, dict)
        assert list(measured) == ["p50", "p95", "p99"]
        assert all(isinstance(seconds, float) and 0 <= seconds < 20 for seconds in measured.values())
    series = found["series"]
    assert isinstance(series, list)
    times = [datetime.fromisoformat(str(step["at"])) for step in series if isinstance(step, dict)]
    assert times == [begins + timedelta(hours=hours) * number for number in range(steps)]
    totals = {
        name: sum(int(str(step[name])) for step in series if isinstance(step, dict))
        for name in ("submitted", "completed", "failed", "cancelled")
    }
    assert totals == {"submitted": 4, "completed": 1, "failed": 1, "cancelled": 1}


def test_statistics_of_one_domain_and_of_none(service: Service) -> None:
    save(service["redis"], TURKIC, record("a"))
    assert get(service, "/v1/stats", domain="turkic")["submitted"] == 1
    empty = get(service, "/v1/stats", domain="files")
    assert (empty["window"], empty["submitted"], empty["by_type"]) == ("24h", 0, {})
    assert (empty["failure_rate"], empty["run_seconds"], empty["queue_seconds"]) == (None, None, None)
    assert empty["throughput_per_hour"] == 0


def test_a_log_can_be_followed(service: Service) -> None:
    job_id = submit(service)
    path = f"/v1/jobs/files/{job_id}/log"
    (line,) = lines(get(service, path))
    assert line["message"] == "submitted as csv.row_count"
    assert lines(get(service, path, after=str(line["id"]))) == []
    complete(service, job_id, said="halfway")
    more = lines(get(service, path, after=str(line["id"])))
    assert [more_line["message"] for more_line in more] == [
        "started", "99 %: halfway", "completed, result of 3 bytes"
    ]  # fmt: skip
    assert lines(get(service, path, limit="2")) == [line, more[0]]
    assert lines(get(service, path, after=str(more[0]["id"]), limit="1")) == [more[1]]
    assert all(str(more_line["time"]).endswith("+00:00") for more_line in more)
    answer = service["http"].get(path, params={"after": "now"})
    assert answer.status_code == 422
    assert '"field":"after"' in answer.text


def lines(document: JsonObject) -> list[JsonObject]:
    found = document["lines"]
    assert isinstance(found, list)
    return [line for line in found if isinstance(line, dict)]
