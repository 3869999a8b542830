"""The signed link: it says whose mails it stops, and only whoever has the secret can make one."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_core.errors import SettingsError
from platform_core.job_events import TURKIC
from platform_core.settings import SettingsReader

from platform_notify.providers.base import extra_headers
from platform_notify.providers.secret import Secret
from platform_notify.testing.sample_messages import sample_message
from platform_notify.unsubscribe import (
    TokenError,
    UnsubscribeLinks,
    UnsubscribeTokens,
    read_unsubscribe_secret,
)

KEY = "k" * 32
TOKENS = UnsubscribeTokens(Secret(KEY))
USER_IDS = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters=":"), min_size=1, max_size=128
)


def sign(*users: str) -> str:
    token = TOKENS.sign(TURKIC, users)
    assert token is not None
    return token


def forge(payload: object, version: str = "v1", key: str = KEY) -> str:
    """Make a token as somebody would who has the key, or another one."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{version}.{base64.urlsafe_b64encode(text).rstrip(b'=').decode()}"
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_a_token_says_what_it_was_signed_for() -> None:
    assert TOKENS.verify(sign("user-7", "user-8")) == {"domain": TURKIC, "users": ["user-7", "user-8"]}


def test_the_form_of_a_token_is_pinned() -> None:
    """The links in mails that are out already must go on working."""
    assert sign("7") == forge(b'["unsubscribe","turkic",["7"]]')


def test_it_names_no_address() -> None:
    payload = base64.urlsafe_b64decode(sign("user-7").split(".")[1] + "==").decode()
    assert "@" not in payload


@given(st.lists(USER_IDS, min_size=1, max_size=200))
def test_any_users_come_back_and_the_link_fits_into_a_header(users: list[str]) -> None:
    token = sign(*users)
    found = TOKENS.verify(token)["users"]
    assert found == list(dict.fromkeys(users))[: len(found)]
    link = UnsubscribeLinks(TOKENS, "https://" + "j" * 60 + ".example.com/").link(TURKIC, users)
    assert link is not None
    headers = extra_headers({**sample_message(), "unsubscribe_url": link})
    assert len(f"List-Unsubscribe: {headers['List-Unsubscribe']}") <= 998


def test_of_many_users_the_first_are_taken_so_that_the_link_fits() -> None:
    users = [f"{number:060}" for number in range(50)]
    token = sign(*users)
    assert 0 < len(TOKENS.verify(token)["users"]) < 10
    assert len(token) < 820
    assert TOKENS.verify(sign("😀" * 128))["users"] == ["😀" * 128]


@given(st.data())
def test_a_token_with_one_character_changed_is_none(data: st.DataObject) -> None:
    token = sign("user-7")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda one: one != token[at]))
    changed = token[:at] + other + token[at + 1 :]
    # The last character carries two bits that say nothing; the text is compared all the same.
    with pytest.raises(TokenError):
        TOKENS.verify(changed)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "v1",
        "v1..",
        "nonsense",
        "v1.\ud800.x",
        forge(["unsubscribe", "turkic", ["7"]], key="x" * 32),
        forge(["another purpose", "turkic", ["7"]]),
        forge(["unsubscribe", "turkic", ["7"]], version="v2"),
        forge(["unsubscribe", "No Domain", ["7"]]),
        forge(["unsubscribe", "turkic"]),
        forge({"a": 1}),
        forge(b"no json"),
        forge(b"\xff"),
    ],
)
def test_what_was_not_signed_for_this_purpose_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.verify(token)


def test_who_cannot_have_preferences_gets_no_link() -> None:
    for user in ("", "a:b", "a b", "a\nb", "x" * 129, "\u2028"):
        assert TOKENS.sign(TURKIC, [user]) is None
    assert TOKENS.sign(TURKIC, []) is None
    assert TOKENS.verify(sign("a b", "7"))["users"] == ["7"]
    assert UnsubscribeLinks(TOKENS, "https://jobs.example.com").link(TURKIC, []) is None


def test_a_link_leads_to_the_api() -> None:
    link = UnsubscribeLinks(TOKENS, "https://example.com/jobs/").link(TURKIC, ["7"])
    parts = urlsplit(link or "")
    assert (parts.netloc, parts.path) == ("example.com", "/jobs/unsubscribe")
    assert parse_qs(parts.query) == {"token": [sign("7")]}


def test_the_secret_shows_nowhere() -> None:
    assert KEY not in repr(TOKENS.__dict__)


def test_the_secret_is_read_from_the_settings_or_there_is_none() -> None:
    for environ in ({}, {"UNSUBSCRIBE_SECRET": " "}):
        reader = SettingsReader(environ)
        assert read_unsubscribe_secret(reader) is None
        reader.finish()
    secret = read_unsubscribe_secret(SettingsReader({"UNSUBSCRIBE_SECRET": KEY}))
    assert secret is not None
    assert secret.reveal() == KEY


def test_a_short_secret_is_refused_and_not_quoted() -> None:
    reader = SettingsReader({"UNSUBSCRIBE_SECRET": KEY[:-1]})
    read_unsubscribe_secret(reader)
    with pytest.raises(SettingsError) as caught:
        reader.finish()
    assert caught.value.faults == ("UNSUBSCRIBE_SECRET must have at least 32 characters",)
