"""The API key and the password are seen in no log, no error, no repr and no traceback.

Each way a provider can end is walked through with every log turned up; then everything that was said is
searched for the secret, as it is, in base64 and in the form a URL would carry it.
"""

import base64
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from platform_workers.testing import FakeClock

from platform_notify.providers.base import MailProvider, ProviderCheckError
from platform_notify.providers.mailtrap import MailtrapConfig, MailtrapProvider
from platform_notify.providers.secret import Secret
from platform_notify.providers.smtp import SmtpConfig, SmtpProvider
from platform_notify.providers.smtp_url import parse_smtp_url
from platform_notify.rate_limit import Unlimited
from platform_notify.testing import MailtrapServer, SmtpServer
from platform_notify.testing.mailtrap_answers import (
    Answer,
    bad_gateway,
    empty,
    error,
    ok,
    reply,
    reset,
    success_false,
)
from platform_notify.testing.sample_messages import sample_message

KEY = "s3cret+k3y/with:signs"
FORMS = (
    KEY,
    quote(KEY, safe=""),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(f"\0user\0{KEY}".encode()).decode(),
)

# Some of these quote the key back, as a careless server may.
ANSWERS: list[Answer] = [
    ok(),
    error(400, f"bad token {KEY}"),
    error(401, f"Incorrect API token: {KEY}"),
    error(403, f"Bearer {KEY} may not send"),
    error(429, KEY),
    error(500, KEY),
    bad_gateway(),
    success_false(f"no mail for {KEY}"),
    reply(200, f'{{"success":true,"responses":[{{"success":false,"errors":["{KEY}"]}},{{"success":true}}]}}'),
    reply(200, KEY),
    empty(),
    reset(),
]


@pytest.fixture(autouse=True)
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield


def exercise(provider: MailProvider) -> list[str]:
    """Send one mail and two, and check; give everything that this said."""
    said = [
        repr(provider.send([sample_message(0)])),
        repr(provider.send([sample_message(0), sample_message(1)])),
        repr(provider),
        str(vars(provider)),
    ]
    try:
        said.append(provider.check())
    except ProviderCheckError as fault:
        said += traceback.TracebackException.from_exception(fault, capture_locals=True).format()
        said += [repr(fault), str(fault), repr(vars(fault)), repr(fault.__cause__), repr(fault.__context__)]
    return said


def assert_unseen(
    said: list[str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = capfd.readouterr()
    for text in (*said, caplog.text, printed.out, printed.err):
        for form in FORMS:
            assert form not in text


@pytest.mark.parametrize("answer", ANSWERS)
def test_mailtrap_shows_its_key_to_nobody(
    answer: Answer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with MailtrapServer(tmp_path / "ca.pem", token=KEY) as server:
        config: MailtrapConfig = {
            "api_key": Secret(KEY),
            "sandbox_inbox_id": None,
            "account_id": "7",
            "api_host": server.host,
            "ca_bundle": server.ca_bundle,
            "sender": {"email": "jobs@example.com", "name": "Jobs"},
            "timeout": 5,
        }
        server.answer_always(answer)
        said = [*exercise(MailtrapProvider(config, FakeClock(), Unlimited(), Unlimited())), repr(config)]
        # The key did go out, so there was something to leak.
        assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert_unseen(said, caplog, capfd)


def test_mailtrap_shows_its_key_to_nobody_when_nobody_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for host in ("127.0.0.1:1", "no such host", "127.0.0.1:99999"):
        for key in (KEY, f"{KEY}\n", f" {KEY}", f"{KEY}\u1234"):
            config: MailtrapConfig = {
                "api_key": Secret(key),
                "sandbox_inbox_id": "1",
                "account_id": None,
                "api_host": host,
                "ca_bundle": None,
                "sender": {"email": "jobs@example.com", "name": "Jobs"},
                "timeout": 5,
            }
            mailtrap = MailtrapProvider(config, FakeClock(), Unlimited(), Unlimited())
            assert_unseen(exercise(mailtrap), caplog, capfd)


@pytest.mark.parametrize("login", [("user", KEY), ("user", "another")])
@pytest.mark.parametrize("reply_to_mail", ["ok", f"550 go away, {KEY}", "reset"])
def test_smtp_shows_its_password_to_nobody(
    login: tuple[str, str],
    reply_to_mail: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with SmtpServer(tmp_path / "ca.pem", security="tls", login=login) as server:
        server.script("MAIL", *[reply_to_mail] * 5)
        url = f"smtps://user:{quote(KEY, safe='')}@127.0.0.1:{server.port}?ca_bundle={server.ca_bundle}"
        config: SmtpConfig = {
            "server": parse_smtp_url(url),
            "sender": {"email": "jobs@example.com", "name": "Jobs"},
            "timeout": 5.0,
        }
        said = [*exercise(SmtpProvider(config, FakeClock())), repr(config)]
    assert_unseen(said, caplog, capfd)
