"""Results carry no secret and fit a log line; a secret shows itself to nobody."""

import base64
import pickle
import traceback

import pytest

from platform_notify.messages import MailMessage
from platform_notify.providers.base import (
    MAX_DETAIL,
    extra_headers,
    failed,
    refusal,
    safe_body,
    safe_category,
    safe_subject,
    sent,
    wire_address,
    without_secrets,
)
from platform_notify.providers.secret import Secret
from platform_notify.testing.sample_messages import sample_message

KEY = "k3y-THAT-nobody-sees"


def test_a_failure_is_one_line_without_secrets() -> None:
    encoded = base64.b64encode(KEY.encode()).decode()
    result = failed("server", f"got {KEY}\r\nand {encoded}", secrets=[Secret(KEY)])
    assert result == {
        "outcome": "failed",
        "error_class": "server",
        "detail": "got *** and ***",
        "retry_after": None,
        "ambiguous": False,
    }


def test_a_secret_is_taken_out_before_the_detail_is_cut() -> None:
    detail = failed("server", "x" * (MAX_DETAIL - 5) + KEY, secrets=[Secret(KEY)])["detail"]
    assert KEY[:4] not in detail
    assert len(detail) <= MAX_DETAIL


def test_an_empty_secret_does_no_harm() -> None:
    assert without_secrets("as it was", [Secret("")]) == "as it was"


def test_a_success_keeps_what_the_provider_said_on_one_line() -> None:
    assert sent(("a", "b"), "250 ok\r\nqueued") == {
        "outcome": "sent",
        "message_ids": ["a", "b"],
        "answer": "250 ok queued",
    }


def test_a_secret_is_seen_by_whoever_asks_for_it_and_nobody_else() -> None:
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    config = {"api_key": secret}
    for shown in (repr(secret), str(secret), f"{secret}", repr(config), f"{config!r:>60}"):
        assert KEY not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_a_traceback_with_local_variables_shows_no_secret() -> None:
    def stumble(secret: Secret) -> None:
        raise RuntimeError(f"with {secret}")

    with pytest.raises(RuntimeError) as caught:
        stumble(Secret(KEY))
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [line for line in trace.format() if KEY in line and "KEY" not in line]
    assert shown == []


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        ("a@example.com", "a@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("A@EXAMPLE.com", "A@EXAMPLE.com"),
        # The older rules would send this to strasse.de, somebody else's domain.
        ("a@straße.de", "a@straße.de"),
        (f"a@{'x' * 70}.de", f"a@{'x' * 70}.de"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ],
)
def test_a_domain_is_written_in_ascii_where_that_is_safe(given: str, wire: str) -> None:
    assert wire_address(given).lower() == wire.lower()


def test_a_good_mail_is_not_refused() -> None:
    assert refusal(sample_message()) is None


@pytest.mark.parametrize("trick", ["\r\nBcc: all@example.com", "\n\n", "\x00", "\u2028", "\u202ex", "\t"])
def test_a_category_is_one_line_whatever_a_job_says(trick: str) -> None:
    category = safe_category({**sample_message(), "category": f"a{trick}b"})
    assert category.isprintable()
    assert category == " ".join(f"a{trick}b".replace("\x00", " ").replace("\u202e", "").split())


def test_texts_are_made_safe() -> None:
    message: MailMessage = {**sample_message(), "subject": "\r\n", "category": "\n" + "c" * 300}
    assert safe_subject(message) == "(no subject)"
    assert safe_category(message) == "c" * 254 + "…"
    assert safe_body("\ud800\x00é") == "?é"
    assert extra_headers(message) == {"X-Delivery-Id": "delivery-0", "Auto-Submitted": "auto-generated"}
