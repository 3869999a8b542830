"""The two optional fields of a submission, and a user's preferences."""

import pytest

from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue
from platform_core.notifications import (
    MAX_DOMAINS,
    check_preferences,
    decode_context,
    decode_notifications,
    decode_preferences,
    preferences_key,
    validate_email,
    validate_user_id,
)


def test_the_fields_of_the_contract_are_read() -> None:
    assert decode_context({"user_id": "user-123", "email": "user@example.com"}) == {
        "user_id": "user-123",
        "email": "user@example.com",
    }
    assert decode_notifications({"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}}) == {
        "email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}
    }


def test_every_field_is_optional_and_extra_keys_are_left_out() -> None:
    assert decode_context({}) == {}
    assert decode_context({"tenant": 5}) == {}
    assert decode_notifications({"sms": {"enabled": True}}) == {}
    assert decode_preferences("{}") == {}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "$.context: expected object, found null"),
        ("user@example.com", "$.context: expected object, found str"),
        ({"user_id": 5}, "$.context.user_id: expected str, found int"),
        ({"email": None}, "$.context.email: expected str, found null"),
        ({"email": "user"}, "$.context.email: expected email address, found str"),
    ],
)
def test_a_context_of_another_shape_is_refused(value: JsonValue, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_context(value)
    assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], "$.notifications: expected object, found array"),
        ({"email": True}, "$.notifications.email: expected object, found bool"),
        ({"email": {"on": []}}, "$.notifications.email.enabled: expected bool, found missing"),
        ({"email": {"enabled": True}}, "$.notifications.email.on: expected array, found missing"),
        ({"email": {"enabled": 1, "on": []}}, "$.notifications.email.enabled: expected bool, found int"),
        (
            {"email": {"enabled": True, "on": ["SUCCESS", "failure"]}},
            "$.notifications.email.on[1]: expected one of 'FAILURE', 'SUCCESS', found str",
        ),
    ],
)
def test_an_intent_of_another_shape_is_refused(value: JsonValue, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_notifications(value)
    assert str(caught.value) == fault


def test_the_caller_names_the_root_of_the_path() -> None:
    with pytest.raises(DecodeError, match=r"^body\.context\.email: expected email address"):
        decode_context({"email": "x"}, "body.context")
    with pytest.raises(DecodeError, match=r"^body: expected object"):
        decode_notifications(1, "body")


@pytest.mark.parametrize(
    ("text", "normal"),
    [("a.b+c@Example.COM", "a.b+c@example.com"), ("jürgen@example.org", "jürgen@example.org")],
)
def test_an_address_comes_back_normalised(text: str, normal: str) -> None:
    assert validate_email(text, "MAIL_FROM_EMAIL") == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "user@",
        "@example.com",
        "a b@example.com",
        "user@example.com\r\nBcc: x@example.com",
        "User <user@example.com>",
        "user@localhost",
        "user@example..com",
        "u@" + "example." * 32 + "com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        validate_email(text, "$.to")
    assert str(caught.value) == "$.to: expected email address, found str"


def test_preferences_hold_general_ones_and_those_of_a_domain() -> None:
    text = '{"opt_out":false,"email":{"enabled":true,"on":["FAILURE"]},"domains":{"turkic":{"opt_out":true}}}'
    assert decode_preferences(text) == {
        "opt_out": False,
        "email": {"enabled": True, "on": ["FAILURE"]},
        "domains": {"turkic": {"opt_out": True}},
    }
    assert preferences_key("user-123") == "user:user-123:notification_preferences"


@pytest.mark.parametrize("text", ["", "[]", '{"opt_out":"yes"}', '{"domains":{"qr":{"email":{"on":[]}}}}'])
def test_preferences_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        decode_preferences(text)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"opt_out": True},
        {"email": {"enabled": True, "on": ["FAILURE"]}, "domains": {}},
        {"domains": {"qr": {"opt_out": False, "email": {"enabled": False, "on": []}}}},
        {"domains": {f"d{number}": {} for number in range(MAX_DOMAINS)}},
    ],
)
def test_preferences_that_are_handed_in_come_back_as_they_are(value: JsonValue) -> None:
    assert check_preferences(value) == value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], "$: expected object, found array"),
        ({"optout": True}, "$.optout: expected only opt_out, email, domains, found an unknown field"),
        ({"opt_out": "yes"}, "$.opt_out: expected bool, found str"),
        (
            {"email": {"enabled": True, "on": [], "off": []}},
            "$.email.off: expected only enabled, on, found an unknown field",
        ),
        (
            {"email": {"enabled": True, "on": ["FAILURE", "FAILURE"]}},
            "$.email.on: expected each word once, found a word twice",
        ),
        (
            {"domains": {"qr": {"mail": {}}}},
            "$.domains.qr.mail: expected only opt_out, email, found an unknown field",
        ),
        (
            {"domains": {"qr": {"email": {"enabled": True, "on": ["SUCCESS", "SUCCESS"]}}}},
            "$.domains.qr.email.on: expected each word once, found a word twice",
        ),
        (
            {"domains": {f"d{number}": {} for number in range(MAX_DOMAINS + 1)}},
            "$.domains: expected at most 100 domains, found 101",
        ),
    ],
)
def test_preferences_that_nobody_would_read_as_meant_are_refused(value: JsonValue, fault: str) -> None:
    with pytest.raises(DecodeError) as caught:
        check_preferences(value)
    assert str(caught.value) == fault


def test_a_domain_that_is_none_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        check_preferences({"domains": {"No Domain": {}}})
    assert str(caught.value).startswith("$.domains: expected domains as names: ")
    assert "No Domain" not in str(caught.value)


@pytest.mark.parametrize("user_id", ["7", "user-123", "anna@example.com", "日本", "x" * 128])
def test_a_user_id_is_any_visible_text(user_id: str) -> None:
    assert validate_user_id(user_id, "user_id") == user_id


@pytest.mark.parametrize("user_id", ["", "a:b", "a b", "a\tb", "a\nb", "\u2028", "\x00", "x" * 129])
def test_what_would_spoil_a_key_is_no_user_id(user_id: str) -> None:
    with pytest.raises(DecodeError) as caught:
        validate_user_id(user_id, "user_id")
    assert str(caught.value).startswith("user_id: expected 1 to 128 visible characters")
