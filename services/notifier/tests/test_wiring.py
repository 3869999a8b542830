"""The parts are put together as the settings say."""

import threading
from pathlib import Path

import pytest
from notifier_kit import settings_for
from platform_core.clock import Clock, SystemClock
from platform_notify.providers.base import SENDING_SECONDS
from platform_notify.providers.maildir import MaildirConfig, MaildirProvider
from platform_notify.providers.secret import Secret
from platform_notify.rate_limit import mailtrap_rate
from platform_workers.server_clock import UnaskedClock
from platform_workers.testing import FakeRedis
from test_explain import delivery

from notifier.settings import read_settings
from notifier.wiring import (
    LEASE,
    LOOK_UP_SECONDS,
    PROVIDER_TIMEOUT,
    SEND_SECONDS,
    build_service,
    make_outlet,
    make_writer,
)

MAILTRAP = {"MAIL_PROVIDER": "mailtrap", "MAILTRAP_API_KEY": "key"}
SANDBOX = {**MAILTRAP, "MAILTRAP_INBOX_ID": "1"}
PRODUCTION = {**MAILTRAP, "MAILTRAP_USE_SANDBOX": "false"}


@pytest.mark.parametrize(
    ("environ", "limited", "has_log"),
    [
        ({}, False, False),
        ({"MAIL_PROVIDER": "smtp", "SMTP_URL": "smtp://localhost:1025"}, False, False),
        (SANDBOX, True, False),
        ({**SANDBOX, "MAILTRAP_ACCOUNT_ID": "7"}, True, False),
        (PRODUCTION, True, False),
        ({**PRODUCTION, "MAILTRAP_ACCOUNT_ID": "7"}, True, True),
    ],
)
def test_mailtrap_is_limited_and_its_log_is_asked_where_there_is_one(
    environ: dict[str, str], limited: bool, has_log: bool, tmp_path: Path
) -> None:
    settings = read_settings({**settings_for("redis://127.0.0.1:1/0", tmp_path), **environ})
    outlet = make_outlet(settings, FakeRedis(), SystemClock())
    assert outlet.get("rate") == (mailtrap_rate(Secret("key")) if limited else None)
    assert (outlet["log"] is not None) is has_log


def test_a_claim_outlives_a_look_up_and_a_call() -> None:
    assert LEASE.total_seconds() > SEND_SECONDS + LOOK_UP_SECONDS


def test_what_a_provider_begins_last_comes_back_in_time() -> None:
    """Two answers are waited for once a mail is on its way; else all mails of the call would be unsure."""
    assert SENDING_SECONDS + 2 * PROVIDER_TIMEOUT < SEND_SECONDS


@pytest.mark.parametrize(
    ("environ", "linked"),
    [
        ({}, False),
        ({"UNSUBSCRIBE_SECRET": "s" * 32}, True),
    ],
)
def test_a_mail_has_a_link_to_stop_it_where_that_can_lead_somewhere(
    environ: dict[str, str], linked: bool, tmp_path: Path
) -> None:
    settings = read_settings({**settings_for("redis://127.0.0.1:1/0", tmp_path), **environ})
    mail = make_writer(settings, SystemClock()).write({**delivery(), "subscriber": "7"})
    assert ("unsubscribe_url" in mail) is linked


def test_no_provider_asks_redis_for_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent Redis made the Date of a mail wait for 30 s, and the whole batch too late to be believed."""
    clocks: list[Clock] = []

    class Noting(MaildirProvider):
        def __init__(self, config: MaildirConfig, clock: Clock) -> None:
            clocks.append(clock)
            super().__init__(config, clock)

    monkeypatch.setattr("notifier.wiring.MaildirProvider", Noting)
    settings = read_settings(settings_for("redis://127.0.0.1:1/0", tmp_path))
    service = build_service(settings, threading.Event())
    service.start()
    service.stop()
    assert [isinstance(clock, UnaskedClock) for clock in clocks] == [True]
