"""Submitting and reading jobs over HTTP."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from platform_core.job_types import job_key
from platform_core.json_values import JsonObject, JsonValue, decode_json
from platform_workers.redis import RedisClient
from service_kit import Service, complete, context_of, json_of, submit, upload

from jobs_api.registry import FILES


def test_a_submission_is_stored_and_queued(service: Service) -> None:
    file_id = upload(service)
    answer = service["http"].post(
        "/v1/jobs", json={"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": file_id}}
    )
    job = json_of(answer)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/jobs/files/{job['job_id']}"
    assert job["status"] == "queued"
    assert (job["domain"], job["user_id"], job["priority"]) == ("files", 7, "normal")
    assert json_of(service["http"].get(answer.headers["location"])) == job
    assert service["redis"].connection.llen("rq:queue:files") == 1


def test_context_and_notifications_are_stored_as_given(service: Service) -> None:
    context: JsonValue = {
        "user_id": "u-1",
        "email": "Ada@Example.com",
        "extra": [1, {"deep": None}],
        "ü": 1.5,
    }
    notifications: JsonValue = {
        "email": {"enabled": True, "on": ["FAILURE", "SUCCESS"], "later": 1},
        "sms": {"to": "+1"},
    }
    job_id = submit(service, {"context": context, "notifications": notifications})
    job = json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))
    assert job["context"] == context
    assert job["notifications"] == notifications
    raw = service["redis"].hgetall(job_key(FILES, job_id))
    assert decode_json(raw["context"]) == context
    assert decode_json(raw["notifications"]) == notifications


def test_the_optional_fields_reach_the_record(service: Service) -> None:
    job_id = submit(
        service,
        {
            "domain": "files",
            "priority": "high",
            "max_attempts": 9,
            "run_after": "2026-12-24T18:00:00+01:00",
        },
    )
    job = json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))
    assert (job["priority"], job["max_attempts"]) == ("high", 9)
    assert job["run_after"] == "2026-12-24T17:00:00.000000+00:00"
    assert service["redis"].connection.llen("rq:queue:files") == 0
    assert service["redis"].zcard("rq:scheduled:files") == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"job_type": "csv.nope"}, "job_type", "known: csv.column_stats, csv.deduplicate, csv.row_count"),
        ({"job_type": 3}, "job_type", "expected str, found int"),
        ({"user_id": "7"}, "user_id", "expected int, found str"),
        ({"user_id": True}, "user_id", "expected int, found bool"),
        ({"user_id": 2**63}, "user_id", "int"),
        ({"payload": {}}, "payload.file_id", "missing"),
        ({"payload": {"file_id": "x", "delimiter": 5}}, "payload.delimiter", "found int"),
        ({"payload": None}, "payload", "found null"),
        ({"priority": "urgent"}, "priority", "high"),
        ({"max_attempts": 0}, "max_attempts", ">= 1"),
        ({"max_attempts": 101}, "max_attempts", "<= 100"),
        ({"run_after": "tomorrow"}, "run_after", "ISO 8601"),
        ({"run_after": "2026-12-24T18:00:00"}, "run_after", "offset"),
        ({"run_after": "9999-12-31T23:59:59-12:00"}, "run_after", "ISO 8601"),
        (
            {"domain": "turkic"},
            "domain",
            "one of files (hand in jobs of other domains with their own service)",
        ),
        ({"domain": "Not a domain"}, "domain", "lower-case"),
        ({"context": {"email": "no address"}}, "context.email", "email address"),
        ({"context": []}, "context", "found array"),
        ({"notifications": {"email": {"enabled": 1, "on": []}}}, "notifications.email.enabled", "bool"),
        (
            {"notifications": {"email": {"enabled": True, "on": ["MAYBE"]}}},
            "notifications.email.on[0]",
            "SUCC",
        ),
        (
            {"payload": {"file_id": "x", "delimeter": ";"}},
            "payload.delimeter",
            "unknown field; known: delimiter, encoding, file_id, has_header",
        ),
        (
            {"job_type": "json.canonicalize", "payload": {"file_id": "x", "columns": ["a"]}},
            "payload.columns",
            "unknown field; known: file_id",
        ),
        ({"surprise": 1}, "surprise", "unknown field; known: domain, job_type"),
    ],
)
def test_a_wrong_field_is_named(
    service: Service, change: Mapping[str, JsonValue], field: str, words: str
) -> None:
    body: JsonObject = {"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": "x"}, **change}
    answer = service["http"].post("/v1/jobs", json=body)
    problem = json_of(answer)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["title"]) == (422, "Unprocessable Entity")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert isinstance(errors[0], dict)
    assert errors[0]["field"] == field
    assert words in str(errors[0]["detail"])
    assert service["redis"].keys("files:*") == []


def test_seven_is_an_integer_however_it_is_written(service: Service) -> None:
    """JSON has one kind of numbers; some writers put `.0` to each, and JSON Schema does not mind."""
    body = b'{"job_type":"csv.row_count","user_id":7.0,"max_attempts":2e0,"payload":{"file_id":"x"}}'
    answer = service["http"].post("/v1/jobs", content=body)
    assert answer.status_code == 201, answer.text
    assert (json_of(answer)["user_id"], json_of(answer)["max_attempts"]) == (7, 2)
    answer = service["http"].post("/v1/jobs", content=body.replace(b"7.0", b"7.5"))
    assert "user_id: expected int, found float" in answer.text
    answer = service["http"].post("/v1/jobs", content=body.replace(b"7.0", b"7e300"))
    assert answer.status_code == 422


@pytest.mark.parametrize("missing", ["job_type", "user_id", "payload"])
def test_a_missing_field_is_named(service: Service, missing: str) -> None:
    body: JsonObject = {"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": "x"}}
    del body[missing]
    answer = service["http"].post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert f'"field":"{missing}"' in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"{", "no JSON"), (b"", "no JSON"), (b"\xff", "no JSON"), (b"[1]", "type array"), (b"NaN", "no JSON")],
)
def test_a_body_that_is_no_object_is_a_400(service: Service, body: bytes, words: str) -> None:
    answer = service["http"].post("/v1/jobs", content=body)
    assert answer.status_code == 400
    assert words in str(json_of(answer)["detail"])


def test_an_oversized_body_is_refused(service: Service) -> None:
    answer = service["http"].post("/v1/jobs", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert json_of(answer)["detail"] == "The body is too large: at most 1,048,576 bytes are taken."


def test_a_body_that_is_nested_too_deeply_is_told_as_such(service: Service) -> None:
    answer = service["http"].post("/v1/jobs", content=b'{"context":' + b"[" * 200 + b"]" * 200 + b"}")
    assert answer.status_code == 400
    assert json_of(answer)["detail"] == "The body is no JSON: expected at most 100 levels."


def test_an_answer_is_not_many_times_larger_than_what_was_asked(service: Service) -> None:
    """Each unknown field was told with all the known ones: 15 MB for a body of 1 MB."""
    body = {f"{number:x}": 1 for number in range(50_000)}
    answer = service["http"].post("/v1/jobs", json=body)
    assert answer.status_code == 422
    document = json_of(answer)
    assert str(document["detail"]).endswith(" and 49,980 more")
    assert len(answer.content) < 10_000
    query = "&".join(f"{number:x}=" for number in range(1000))
    answer = service["http"].get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert str(json_of(answer)["detail"]).endswith(" and 980 more")
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "path", ["files/nope", "FILES/nope", "no%20domain/x", "files/a%3Ab", "files/%20", "files/..%00"]
)
@pytest.mark.parametrize("rest", ["", "/log", "/result", "/events"])
def test_an_unknown_job_is_a_404(service: Service, path: str, rest: str) -> None:
    answer = service["http"].get(f"/v1/jobs/{path}{rest}")
    problem = json_of(answer)
    assert answer.status_code == 404
    assert problem["type"] == "urn:jobs-api:job-not-found"


def test_the_record_follows_the_job(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_progress(40, "counting")
    job = json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))
    assert (job["status"], job["progress"], job["message"]) == ("processing", 40, "counting")
    assert "started_at" in job
    assert "finished_at" not in job
    context.publish_failed("user", "row 3 is too long")
    job = json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))
    assert (job["status"], job["error_kind"], job["error"]) == ("failed", "user", "row 3 is too long")


def test_the_log_tells_each_step(service: Service) -> None:
    job_id = submit(service)
    complete(service, job_id)
    log = json_of(service["http"].get(f"/v1/jobs/files/{job_id}/log"))
    assert (log["domain"], log["job_id"]) == ("files", job_id)
    lines = log["lines"]
    assert isinstance(lines, list)
    told = [(line["level"], line["message"]) for line in lines if isinstance(line, dict)]
    assert told == [
        ("info", "submitted as csv.row_count"),
        ("info", "started"),
        ("info", "completed, result of 3 bytes"),
    ]
    assert all(isinstance(line, dict) and str(line["time"]).endswith("+00:00") for line in lines)


def test_the_result_is_a_download_under_its_own_name(service: Service) -> None:
    job_id = submit(service)
    complete(service, job_id, b'{"rows":3}\n', "orders.row_count.json")
    answer = service["http"].get(f"/v1/jobs/files/{job_id}/result")
    assert answer.status_code == 200
    assert answer.content == b'{"rows":3}\n'
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.row_count.json"'
    assert answer.headers["content-length"] == "11"


def test_there_is_no_result_before_the_job_is_completed(service: Service) -> None:
    job_id = submit(service)
    answer = service["http"].get(f"/v1/jobs/files/{job_id}/result")
    assert answer.status_code == 409
    assert json_of(answer)["detail"] == "The job has no result: its status is queued."
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("system", "boom")
    assert service["http"].get(f"/v1/jobs/files/{job_id}/result").status_code == 409
    # A job that is run again still has the result of its run before.
    service["redis"].hset(job_key(FILES, job_id), {"result_id": upload(service)})
    assert service["http"].get(f"/v1/jobs/files/{job_id}/result").status_code == 409


def test_a_result_that_is_gone_is_a_404(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_completed(result_id="ab" * 16, result_bytes=1)
    answer = service["http"].get(f"/v1/jobs/files/{job_id}/result")
    assert answer.status_code == 404
    assert json_of(answer)["type"] == "urn:jobs-api:file-not-found"


def test_a_job_of_another_teams_own_status_type_can_be_read(service: Service, redis: RedisClient) -> None:
    redis.hset(
        "turkic:job:t-1",
        {
            "job_id": "t-1",
            "user_id": "3",
            "status": "processing",
            "progress": "12",
            "created_at": "2026-01-02T12:00:00+00:00",
            "updated_at": "2026-01-02T12:00:01+00:00",
        },
    )
    assert json_of(service["http"].get("/v1/jobs/turkic/t-1")) == {
        "domain": "turkic",
        "job_id": "t-1",
        "user_id": 3,
        "status": "processing",
        "progress": 12,
        "message": None,
        "error": None,
        "created_at": "2026-01-02T12:00:00.000000+00:00",
        "updated_at": "2026-01-02T12:00:01.000000+00:00",
    }


def test_a_damaged_record_is_the_servers_fault_and_says_where(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"progress": "much"})
    answer = service["http"].get(f"/v1/jobs/files/{job_id}")
    assert answer.status_code == 500
    assert "progress: expected int in decimal digits" in str(json_of(answer)["detail"])


def test_a_running_jobs_lease_is_in_its_record(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    lease = {"locked_by": "worker-1", "locked_until": "2026-01-02T12:00:00+00:00"}
    redis.hset(job_key(FILES, job_id), lease)
    job = json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))
    assert (job["locked_by"], job["locked_until"]) == ("worker-1", "2026-01-02T12:00:00.000000+00:00")


BODY: JsonObject = {"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": "x"}}


def test_a_repeat_under_an_idempotency_key_is_answered_with_the_first_job(service: Service) -> None:
    headers = {"Idempotency-Key": "order-7"}
    first = service["http"].post("/v1/jobs", json=BODY, headers=headers)
    again = service["http"].post("/v1/jobs", json=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert json_of(again) == json_of(first)
    assert again.headers["location"] == first.headers["location"]
    assert service["redis"].connection.llen("rq:queue:files") == 1


def test_a_repeat_tells_how_the_job_is_by_now(service: Service) -> None:
    headers = {"Idempotency-Key": "order-7"}
    job_id = str(json_of(service["http"].post("/v1/jobs", json=BODY, headers=headers))["job_id"])
    complete(service, job_id)
    again = service["http"].post("/v1/jobs", json=BODY, headers=headers)
    assert (again.status_code, json_of(again)["status"]) == (200, "completed")


def test_the_same_key_with_another_body_is_a_conflict(service: Service) -> None:
    headers = {"Idempotency-Key": "order-7"}
    first = service["http"].post("/v1/jobs", json=BODY, headers=headers)
    other = service["http"].post("/v1/jobs", json={**BODY, "user_id": 8}, headers=headers)
    assert other.headers["location"] == first.headers["location"]
    problem = json_of(other)
    assert (other.status_code, problem["type"]) == (409, "urn:jobs-api:idempotency-conflict")
    assert "Idempotency-Key" in str(problem["detail"])
    assert service["redis"].connection.llen("rq:queue:files") == 1


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "\xfc"])
def test_a_key_that_can_be_none_is_refused_by_its_name(service: Service, key: str) -> None:
    answer = service["http"].post(
        "/v1/jobs", json=BODY, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert answer.status_code == 422
    assert json_of(answer)["errors"] == [
        {"field": "Idempotency-Key", "detail": "expected 1 to 255 visible ASCII characters, found str"}
    ]
    assert service["redis"].keys("*") == []


def test_two_keys_are_refused(service: Service) -> None:
    """The first one counted, and the other was passed over without a word."""
    keys = [("Idempotency-Key", "order-7"), ("Idempotency-Key", "order-8")]
    answer = service["http"].post("/v1/jobs", json=BODY, headers=keys)
    assert answer.status_code == 422
    assert json_of(answer)["errors"] == [
        {"field": "Idempotency-Key", "detail": "expected one header, found several"}
    ]
    assert service["redis"].keys("*") == []


def test_concurrent_repeats_make_one_job(service: Service) -> None:
    headers = {"Idempotency-Key": "order-7"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: service["http"].post("/v1/jobs", json=BODY, headers=headers), range(32))
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 31 + [201]
    assert len({str(json_of(answer)["job_id"]) for answer in answers}) == 1
    assert service["redis"].connection.llen("rq:queue:files") == 1
