"""What a user has chosen about mails, over HTTP, and that it decides about the next mail."""

from datetime import UTC, datetime

import pytest
from fakeredis import FakeServer
from platform_core.clock import SystemClock
from platform_core.job_events import make_failed_event
from platform_core.json_values import JsonObject, JsonValue, decode_json, encode_json
from platform_core.logging import get_logger
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RETENTION, DeliveryStore
from platform_notify.intake import Intake
from platform_notify.unsubscribe import UnsubscribeTokens
from platform_workers.testing import FakeRedis
from service_kit import SIGNING, Service, context_of, json_of, running_api, submit

from jobs_api.object_store import FileStore
from jobs_api.registry import FILES

WISHES: JsonObject = {
    "email": {"enabled": True, "on": ["FAILURE"]},
    "domains": {"files": {"opt_out": False, "email": {"enabled": False, "on": []}}},
}
PATH = "/v1/users/user-7/notification-preferences"


def test_who_has_stored_nothing_has_none(service: Service) -> None:
    answer = service["http"].get(PATH)
    assert (answer.status_code, json_of(answer)) == (200, {})
    assert answer.headers["content-type"] == "application/json"


def test_what_is_put_is_got(service: Service) -> None:
    answer = service["http"].put(PATH, json=WISHES)
    assert (answer.status_code, json_of(answer)) == (200, WISHES)
    assert json_of(service["http"].get(PATH)) == WISHES
    assert service["redis"].keys("*") == ["user:user-7:notification_preferences"]
    assert service["http"].head(PATH).status_code == 200
    # As a whole: what is left out is gone.
    assert json_of(service["http"].put(PATH, json={})) == {}
    assert json_of(service["http"].get(PATH)) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"optout": True}, "optout"),
        ({"opt_out": 1}, "opt_out"),
        ({"email": {"enabled": True}}, "email.on"),
        ({"email": {"enabled": True, "on": ["FAIL"]}}, "email.on[0]"),
        ({"email": {"enabled": True, "on": ["FAILURE"] * 2}}, "email.on"),
        ({"domains": {"Files": {}}}, "domains"),
        ({"domains": {"files": {"mail": True}}}, "domains.files.mail"),
        ({"domains": {f"d{number}": {} for number in range(101)}}, "domains"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(service: Service, body: JsonObject, field: str) -> None:
    answer = service["http"].put(PATH, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    faults = json_of(answer)["errors"]
    assert isinstance(faults, list)
    assert isinstance(faults[0], dict)
    assert faults[0]["field"] == field
    assert service["redis"].keys("*") == []


@pytest.mark.parametrize(("content", "status"), [(b"[]", 400), (b"{", 400), (b" " * 70_000, 413)])
def test_what_is_no_document_is_refused(service: Service, content: bytes, status: int) -> None:
    assert service["http"].put(PATH, content=content).status_code == status


@pytest.mark.parametrize("user", ["a:b", "a%20b", "a%0Ab", "x" * 129])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_id_that_nobody_can_have_is_refused(service: Service, user: str, method: str) -> None:
    answer = service["http"].request(method, f"/v1/users/{user}/notification-preferences", json={})
    assert answer.status_code == 422
    assert json_of(answer)["errors"] == [
        {"field": "user_id", "detail": "expected 1 to 128 visible characters, none of them ':', found str"}
    ]


def test_damaged_preferences_are_our_fault_and_can_be_replaced(service: Service) -> None:
    service["redis"].set("user:user-7:notification_preferences", "[]")
    answer = service["http"].get(PATH)
    assert (answer.status_code, json_of(answer)["type"]) == (500, "urn:jobs-api:damaged-record")
    assert service["http"].put(PATH, json=WISHES).status_code == 200
    assert json_of(service["http"].get(PATH)) == WISHES


def test_a_change_of_what_was_read_does_not_undo_an_opt_out_that_came_meanwhile(service: Service) -> None:
    http = service["http"]
    read = http.get(PATH).headers["etag"]
    token = UnsubscribeTokens(SIGNING).sign(FILES, ["user-7"])
    http.post("/unsubscribe", params={"token": token}, data={"List-Unsubscribe": "One-Click"})
    refused = http.put(PATH, json=WISHES, headers={"If-Match": read})
    assert (refused.status_code, json_of(refused)["type"]) == (412, "urn:jobs-api:changed-meanwhile")
    assert json_of(http.get(PATH)) == {"domains": {"files": {"opt_out": True}}}
    read = http.get(PATH).headers["etag"]
    # A weak one is never the same.
    assert http.put(PATH, json=WISHES, headers={"If-Match": f"W/{read}"}).status_code == 412
    taken = http.put(PATH, json=WISHES, headers={"If-Match": f'"other", {read}'})
    assert (taken.status_code, taken.headers["etag"]) == (200, http.get(PATH).headers["etag"])
    assert http.put(PATH, json={}, headers={"If-Match": "*"}).status_code == 200
    assert json_of(http.get(PATH)) == {}


def test_damaged_preferences_are_not_compared(service: Service) -> None:
    service["redis"].set("user:user-7:notification_preferences", "[]")
    answer = service["http"].put(PATH, json=WISHES, headers={"If-Match": '"x"'})
    assert (answer.status_code, json_of(answer)["type"]) == (500, "urn:jobs-api:damaged-record")


def test_a_change_that_redis_did_not_answer_may_have_been_made(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    with running_api(FakeRedis(memory), files) as service:
        assert service["http"].get(PATH).status_code == 200
        memory.connected = False
        answer = service["http"].put(PATH, json=WISHES)
        assert (answer.status_code, json_of(answer)["type"]) == (503, "urn:jobs-api:change-unknown")
        assert PATH in str(json_of(answer)["detail"])


# -- and the notifier ---------------------------------------------------------------------------------


def fail_and_hear(service: Service, context: JsonValue, *, asks: bool = True) -> JsonObject:
    """Let a job fail and the notifier hear of it; return what became of its mail."""
    body: JsonObject = {"context": context}
    if asks:
        body["notifications"] = {"email": {"enabled": True, "on": ["FAILURE"]}}
    job_id = submit(service, body)
    job = context_of(service, job_id)
    job.publish_started()
    job.publish_failed("user", "bad row")
    event = make_failed_event(domain=FILES, job_id=job_id, user_id=7, error_kind="user", message="bad row")
    intake = Intake(
        redis=service["redis"],
        store=DeliveryStore(service["redis"], SystemClock()),
        clock=SystemClock(),
        logger=get_logger("test"),
        config={
            "channel": EMAIL,
            "provider_configured": True,
            "public_url": None,
            "max_age": RETENTION,
        },
        wake=lambda: None,
    )
    intake.take_logged(
        {"kind": "event", "channel": "files:events", "domain": FILES, "event": event},
        run=1,
        ended_at=datetime.now(UTC),
    )
    answer = service["http"].get(f"/v1/jobs/files/{job_id}/deliveries")
    found = decode_json(answer.content)
    assert isinstance(found, list)
    assert isinstance(found[0], dict)
    return found[0]


ANNA: JsonObject = {"user_id": "user-7", "email": "anna@example.com"}


@pytest.mark.parametrize(
    ("preferences", "state", "reason", "layer"),
    [
        ({}, "waiting", None, "job"),
        ({"opt_out": True}, "skipped", "opted_out", "preferences"),
        ({"domains": {"files": {"opt_out": True}}}, "skipped", "opted_out", "domain_preferences"),
        ({"domains": {"turkic": {"opt_out": True}}}, "waiting", None, "job"),
        (WISHES, "skipped", "opted_out", "domain_preferences"),
    ],
)
def test_what_is_put_decides_about_the_next_mail(
    service: Service, preferences: JsonObject, state: str, reason: str | None, layer: str
) -> None:
    assert service["http"].put(PATH, json=preferences).status_code == 200
    told = fail_and_hear(service, ANNA)
    assert (told["state"], told.get("reason"), told["decided_by"]) == (state, reason, layer)


def test_they_are_asked_where_the_job_says_nothing(service: Service) -> None:
    assert fail_and_hear(service, ANNA, asks=False)["reason"] == "not_requested"
    service["http"].put(PATH, json={"email": {"enabled": True, "on": ["FAILURE"]}})
    told = fail_and_hear(service, ANNA, asks=False)
    assert (told["state"], told["decided_by"]) == ("waiting", "preferences")
    service["http"].put(PATH, json={"email": {"enabled": True, "on": ["SUCCESS"]}})
    told = fail_and_hear(service, ANNA, asks=False)
    assert (told["reason"], told["decided_by"]) == ("event_not_wanted", "preferences")


def test_the_users_id_is_that_of_the_context_and_else_the_number(service: Service) -> None:
    """What is stored under the number does not count for a job whose context says otherwise."""
    service["http"].put("/v1/users/7/notification-preferences", json={"opt_out": True})
    assert fail_and_hear(service, ANNA)["state"] == "waiting"
    assert fail_and_hear(service, {"email": "anna@example.com"})["reason"] == "opted_out"


def test_a_click_in_a_mail_decides_about_the_next_one(service: Service) -> None:
    assert fail_and_hear(service, ANNA)["state"] == "waiting"
    token = UnsubscribeTokens(SIGNING).sign(FILES, ["user-7"])
    service["http"].post("/unsubscribe", params={"token": token}, data={"List-Unsubscribe": "One-Click"})
    told = fail_and_hear(service, ANNA)
    assert (told["reason"], told["decided_by"]) == ("opted_out", "domain_preferences")
    assert encode_json(json_of(service["http"].get(PATH))) == '{"domains":{"files":{"opt_out":true}}}'
