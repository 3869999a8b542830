"""What jobs are taken, as told to everybody: `GET /v1/job-types`."""

from jsonschema import Draft202012Validator
from platform_core.json_values import JsonObject
from service_kit import Service, json_of


def job_types(service: Service) -> dict[str, JsonObject]:
    documents = json_of(service["http"].get("/v1/job-types"))["job_types"]
    assert isinstance(documents, list)
    found: dict[str, JsonObject] = {}
    for document in documents:
        assert isinstance(document, dict)
        found[str(document["job_type"])] = document
    return found


def test_each_type_is_told_with_its_limits(service: Service) -> None:
    found = job_types(service)
    assert sorted(found) == ["csv.column_stats", "csv.deduplicate", "csv.row_count", "json.canonicalize"]
    row_count = found["csv.row_count"]
    assert (row_count["domain"], row_count["max_attempts"], row_count["timeout_seconds"]) == (
        "files",
        3,
        3600,
    )
    assert row_count["backoff_seconds"] == 5.0
    assert row_count["description"] == "Counts the rows and columns of a CSV file and says how it was read."


def test_the_published_schema_and_the_submission_agree(service: Service) -> None:
    payloads: list[JsonObject] = [
        {"file_id": "x"}, {"file_id": "x", "delimiter": ";"}, {"file_id": "x", "delimiter": ";;"}, {},
        {"file_id": "x", "columns": ["a"]}, {"file_id": "x", "columns": []}, {"file_id": "x", "unknown": 1},
        {"file_id": 3},
    ]  # fmt: skip
    for job_type, document in job_types(service).items():
        schema = document["payload_schema"]
        assert isinstance(schema, dict)
        Draft202012Validator.check_schema(schema)
        for payload in payloads:
            body = {"job_type": job_type, "user_id": 1, "payload": payload}
            accepted = service["http"].post("/v1/jobs", json=body).status_code == 201
            assert Draft202012Validator(schema).is_valid(payload) == accepted, (job_type, payload)


def test_every_field_is_explained(service: Service) -> None:
    for document in job_types(service).values():
        schema = document["payload_schema"]
        assert isinstance(schema, dict)
        properties = schema["properties"]
        assert isinstance(properties, dict)
        for about in properties.values():
            assert isinstance(about, dict)
            assert about["description"]
