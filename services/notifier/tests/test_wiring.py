"""The parts are put together as the settings say."""

from pathlib import Path

import pytest
from notifier_kit import settings_for
from platform_core.clock import SystemClock
from platform_notify.providers.secret import Secret
from platform_notify.rate_limit import mailtrap_rate
from platform_workers.testing import FakeRedis
from test_explain import delivery

from notifier.settings import read_settings
from notifier.wiring import LEASE, LOOK_UP_SECONDS, SEND_SECONDS, make_outlet, make_writer

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
