"""The AsyncAPI document is current, and its schemas take what the code takes and refuse what it refuses."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from platform_core.asyncapi import LOGGED, asyncapi_document, asyncapi_text, event_messages
from platform_core.errors import DecodeError
from platform_core.event_families import decode_event
from platform_core.json_values import JsonObject, JsonValue, decode_json, encode_json

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.rglob("*.json"))
DOCUMENT = Path(__file__).parents[3] / "docs" / "asyncapi.json"


def name_of(path: Path) -> str:
    return str(path.relative_to(GOLDEN))


def event_of(path: Path) -> JsonObject:
    event = decode_json(path.read_bytes())
    assert isinstance(event, dict)
    return event


def schema_for(event: Mapping[str, JsonValue]) -> Draft7Validator:
    """Find the schema by the type's last three words and, where the family has one, its domain."""
    domain, _, rest = str(event["type"]).partition(".")
    (schema,) = [
        message["schema"]
        for message in event_messages()
        if message["event"] == rest and message["domain"] in {None, domain}
    ]
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def broken(event: JsonObject, optional: set[str]) -> Iterator[JsonObject]:
    """Break an event in every way: a field is missing, or has a value of a wrong type or out of its range."""
    for name, value in event.items():
        if name == "payload":
            continue
        if name not in optional:
            yield {key: item for key, item in event.items() if key != name}
        yield {**event, name: [value]}
        yield {**event, name: None}
        if isinstance(value, int):
            yield {**event, name: str(value)}
        if isinstance(value, str):
            yield {**event, name: 5}
    yield {**event, "user_id": True}
    yield {**event, "user_id": 2**63}
    yield {**event, "job_id": "a:b"}
    yield {**event, "job_id": ""}
    if "progress" in event:
        yield {**event, "progress": 101}
        yield {**event, "progress": -1}
    if "error_kind" in event:
        yield {**event, "error_kind": "nobody"}
    if "result_bytes" in event:
        yield {**event, "result_bytes": -1}
    if "domain" in event:
        yield {**event, "domain": "Turkic"}


def test_the_document_that_is_checked_in_is_current() -> None:
    """After a change to an event: `make asyncapi`, and read the difference, for it is one of the contract."""
    assert DOCUMENT.read_text("utf-8") == asyncapi_text()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_golden_event_fits_its_schema(path: Path) -> None:
    event = event_of(path)
    schema_for(event).validate(event)
    # A newer publisher may add fields.
    schema_for(event).validate({**event, "added_later": [1]})


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_broken_event_fits_neither_the_schema_nor_the_code(path: Path) -> None:
    event = event_of(path)
    schema = schema_for(event)
    required = json.loads(json.dumps(schema.schema))["required"]
    count = 0
    for bad in broken(event, set(event) - set(required)):
        assert not schema.is_valid(bad), bad
        if "type" in bad and bad["type"] == event["type"]:
            with pytest.raises(DecodeError):
                decode_event(encode_json(bad))
        count += 1
    assert count > 10


@pytest.mark.parametrize(
    "type_name", ["Turkic.job.started.v1", "turkic.job.started.v10", "xturkicxjobxstartedxv1"]
)
def test_a_type_that_is_another_fits_no_schema(type_name: str) -> None:
    event = event_of(GOLDEN / "turkic" / "job.started.v1.json")
    assert not schema_for(event).is_valid({**event, "type": type_name})


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "$ref":
                yield str(item)
            yield from references(item)
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_reference_leads_somewhere_and_every_event_is_in_the_channel() -> None:
    document = json.loads(asyncapi_text())
    found = set(references(document))
    for reference in found:
        place = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    keys = {message["key"] for message in event_messages()}
    assert {f"#/components/messages/{key}" for key in keys} <= found
    assert set(document["channels"]["events"]["messages"]) == keys
    logged = document["components"]["schemas"]["LogEntry"]["properties"]["event"]["x-content"]["oneOf"]
    assert len(logged) == len(LOGGED)
    assert asyncapi_document() == document
