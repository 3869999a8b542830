"""The two optional fields of a submission, and a user's preferences."""

import pytest

from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue
from platform_core.notifications import (
    decode_context,
    decode_notifications,
    decode_preferences,
    preferences_key,
    validate_email,
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
