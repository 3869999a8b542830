"""A job's record is read leniently, and what cannot be read is named."""

import pytest
from pipeline_kit import ANNA, BOTH, foreign_job
from platform_core.job_events import TURKIC
from platform_core.json_values import JsonValue, encode_json
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeRedis
from typing_extensions import override

from platform_notify.intent import (
    IntentError,
    load_preferences,
    load_snapshot,
    only_unknown_channels,
    read_intent,
)

KEY = "turkic:job:j1"
PREFERENCES = "user:u1:notification_preferences"


def test_a_foreign_record_needs_a_status_and_the_two_fields_only(redis: RedisClient) -> None:
    foreign_job(redis)
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    assert (snapshot["ours"], snapshot["run"], snapshot["status"]) == (False, 1, "completed")
    assert read_intent(snapshot) == {
        "status": "completed",
        "context": {"email": ANNA},
        "notifications": dict(BOTH),
    }


def test_a_record_that_the_platform_moves_is_ours(redis: RedisClient) -> None:
    fields = {"status": "processing", "run": "3", "transition_id": "t", "payload": "a large one, not read"}
    redis.hset(KEY, fields)
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    assert (snapshot["ours"], snapshot["run"]) == (True, 3)
    assert "payload" not in snapshot["fields"]
    assert read_intent(snapshot) == {"status": "processing", "context": {}}


@pytest.mark.parametrize(
    "fields",
    [{"run": "wandb-7"}, {"run": "3"}, {"run": "wandb-7", "transition_id": "t"}, {"transition_id": "t"}],
)
def test_a_record_with_a_field_run_of_its_own_is_foreign(redis: RedisClient, fields: dict[str, str]) -> None:
    """Its outcome was left to a log that never told of it: no mail."""
    redis.hset(KEY, {"status": "processing", **fields})
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    assert not snapshot["ours"]


@pytest.mark.parametrize("run", ["0", "-1", "x", "1.5", "9" * 30])
def test_a_run_that_is_no_number_counts_as_the_first(redis: RedisClient, run: str) -> None:
    redis.hset(KEY, {"run": run})
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    assert (snapshot["run"], snapshot["status"]) == (1, "")


@pytest.mark.parametrize(
    ("notifications", "names"),
    [
        ('{"mail": {"enabled": true}, "sms": 1}', ["mail", "sms"]),
        ('{"mail": {"enabled": true}, "email": {"enabled": false, "on": []}}', []),
        ("{}", []),
        ('["mail"]', []),
        ("no JSON", []),
        (None, []),
    ],
)
def test_channels_that_nobody_knows_are_named_if_there_are_no_others(
    notifications: str | None, names: list[str]
) -> None:
    fields = {} if notifications is None else {"notifications": notifications}
    assert only_unknown_channels({"ours": True, "run": 1, "status": "failed", "fields": fields}) == names


def test_no_record_is_none_and_so_is_a_key_that_holds_something_else(redis: RedisClient) -> None:
    assert load_snapshot(redis, TURKIC, "j1") is None
    redis.set(KEY, "text")
    assert load_snapshot(redis, TURKIC, "j1") is None


def test_an_outage_is_not_a_missing_job() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        load_snapshot(redis, TURKIC, "j1")
    with pytest.raises(RedisUnavailableError):
        load_preferences(redis, "u1")


class Refusing(FakeRedis):
    """A server that refuses for another reason than a key's type."""

    @override
    def hmget(self, key: str, fields: object) -> dict[str, str]:
        raise RedisCommandError("NOPERM this user has no permissions")

    @override
    def get(self, key: str) -> str | None:
        raise RedisCommandError("NOPERM this user has no permissions")


def test_another_refusal_of_redis_is_passed_on() -> None:
    with pytest.raises(RedisCommandError, match="NOPERM"):
        load_snapshot(Refusing(), TURKIC, "j1")
    with pytest.raises(RedisCommandError, match="NOPERM"):
        load_preferences(Refusing(), "u1")


@pytest.mark.parametrize(
    ("field", "text", "detail"),
    [
        ("context", "no JSON", ": expected JSON text, found text that is not JSON"),
        ("context", "[]", ": expected object, found array"),
        ("context", '{"email":"a@b@c"}', ".email: expected email address, found str"),
        ("context", '{"user_id":5}', ".user_id: expected str, found int"),
        ("notifications", "{", ": expected JSON text, found text that is not JSON"),
        ("notifications", '{"email":{"enabled":true}}', ".email.on: expected array, found missing"),
        ("notifications", '{"email":{"enabled":1,"on":[]}}', ".email.enabled: expected bool, found int"),
    ],
)
def test_a_malformed_field_is_named_and_its_value_is_not_told(
    redis: RedisClient, field: str, text: str, detail: str
) -> None:
    foreign_job(redis)
    redis.hset(KEY, {field: text})
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    with pytest.raises(IntentError) as caught:
        read_intent(snapshot)
    assert (caught.value.reason, caught.value.detail) == (f"invalid_{field}", f"$.{field}{detail}")


@pytest.mark.parametrize("field", ["context", "notifications"])
def test_null_is_as_if_the_field_were_absent(redis: RedisClient, field: str) -> None:
    redis.hset(KEY, {"status": "completed", field: "null"})
    snapshot = load_snapshot(redis, TURKIC, "j1")
    assert snapshot is not None
    assert read_intent(snapshot) == {"status": "completed", "context": {}}


def test_preferences_are_read_and_none_are_empty(redis: RedisClient) -> None:
    assert load_preferences(redis, "u1") == {}
    stored: JsonValue = {"opt_out": True, "domains": {"turkic": {"opt_out": False}}, "later": 1}
    redis.set(PREFERENCES, encode_json(stored))
    assert load_preferences(redis, "u1") == {"opt_out": True, "domains": {"turkic": {"opt_out": False}}}


def test_malformed_preferences_are_named(redis: RedisClient) -> None:
    redis.set(PREFERENCES, '{"opt_out":"yes"}')
    with pytest.raises(IntentError, match=r"invalid_preferences: \$.opt_out: expected bool, found str"):
        load_preferences(redis, "u1")
    redis.delete(PREFERENCES)
    redis.sadd(PREFERENCES, "no text")
    with pytest.raises(IntentError, match="the key holds no text"):
        load_preferences(redis, "u1")
