"""Settings are read once, and every fault is named at once."""

from datetime import timedelta
from pathlib import Path

import pytest
from platform_core.errors import SettingsError
from platform_notify.delivery_store import RETENTION

from notifier.settings import NotifierSettings, read_settings

KEY = "a-very-secret-key"
SIGNING = "s" * 32
SANDBOX = {
    "MAIL_FROM_EMAIL": "jobs@example.com",
    "MAILTRAP_API_KEY": KEY,
    "MAILTRAP_INBOX_ID": "4711",
}
MAILDIR = {
    "MAIL_FROM_EMAIL": "jobs@example.com",
    "MAIL_PROVIDER": "maildir",
    "MAILDIR_PATH": "/var/mail/jobs",
}


def faults(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    return caught.value.faults


def test_mailtraps_sandbox_is_the_default(tmp_path: Path) -> None:
    settings = read_settings(SANDBOX)
    mail = settings["mail"]
    assert mail["provider"] == "mailtrap"
    assert mail["api_key"].reveal() == KEY
    assert mail["sandbox_inbox_id"] == "4711"
    assert (mail["account_id"], mail["api_host"], mail["ca_bundle"]) == (None, None, None)
    assert settings["when_unsure"] == "resend"
    assert settings["max_age"] == RETENTION
    assert settings["redis_url"].reveal() == "redis://127.0.0.1:6379/0"
    assert settings["domains"] == ()
    assert settings["sender"] == {"email": "jobs@example.com", "name": ""}
    assert settings["public_url"] is None
    assert settings["unsubscribe_secret"] is None
    assert settings["digests"] == {
        "general": {"outcomes": "failures", "window": timedelta(minutes=10), "first": 1},
        "domains": {},
    }
    assert (settings["host"], settings["port"]) == ("127.0.0.1", 9100)
    assert (settings["log_level"], settings["log_json"]) == ("INFO", False)


def test_everything_can_be_set(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("a certificate")
    settings = read_settings(
        {
            **SANDBOX,
            "REDIS_URL": "rediss://:password@redis.example.com:6380/1",
            "NOTIFIER_DOMAINS": "turkic, digits",
            "MAIL_FROM_NAME": "Jobs",
            "MAIL_WHEN_UNSURE": "hold",
            "NOTIFIER_MAX_AGE_HOURS": "36",
            "MAILTRAP_ACCOUNT_ID": "815",
            "MAILTRAP_API_HOST": "127.0.0.1:8443",
            "MAILTRAP_CA_BUNDLE": str(bundle),
            "JOBS_PUBLIC_URL": "https://jobs.example.com",
            "UNSUBSCRIBE_SECRET": SIGNING,
            "MAIL_DIGEST": "all",
            "MAIL_DIGEST_WINDOW": "90s",
            "MAIL_DIGEST_FIRST": "3",
            "MAIL_DIGEST_DOMAINS": "turkic: off;digits:first=100 window=24h; qr : successes;",
            "NOTIFIER_HOST": "0.0.0.0",
            "NOTIFIER_PORT": "0",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
        }
    )
    mail = settings["mail"]
    assert mail["provider"] == "mailtrap"
    assert (mail["account_id"], mail["api_host"]) == ("815", "127.0.0.1:8443")
    assert mail["ca_bundle"] == bundle
    assert settings["when_unsure"] == "hold"
    assert settings["max_age"] == timedelta(hours=36)
    assert settings["domains"] == ("turkic", "digits")
    assert settings["sender"]["name"] == "Jobs"
    assert settings["public_url"] == "https://jobs.example.com"
    secret = settings["unsubscribe_secret"]
    assert secret is not None
    assert secret.reveal() == SIGNING
    window = timedelta(seconds=90)
    assert settings["digests"] == {
        "general": {"outcomes": "all", "window": window, "first": 3},
        "domains": {
            "turkic": {"outcomes": "off", "window": window, "first": 3},
            "digits": {"outcomes": "all", "window": timedelta(hours=24), "first": 100},
            "qr": {"outcomes": "successes", "window": window, "first": 3},
        },
    }
    assert (settings["host"], settings["port"]) == ("0.0.0.0", 0)
    assert (settings["log_level"], settings["log_json"]) == ("DEBUG", True)


@pytest.mark.parametrize(("hours", "fault"), [("0", "at least 1"), ("721", "at most 720")])
@pytest.mark.parametrize("more", ["", "0" * 30])
def test_an_age_beyond_what_is_remembered_is_refused(hours: str, fault: str, more: str) -> None:
    environ = {**MAILDIR, "NOTIFIER_MAX_AGE_HOURS": hours + more}
    assert faults(environ) == (f"NOTIFIER_MAX_AGE_HOURS must be {fault}",)


def test_without_the_sandbox_mail_is_for_real() -> None:
    environ = {**SANDBOX, "MAILTRAP_USE_SANDBOX": "false"}
    del environ["MAILTRAP_INBOX_ID"]
    mail = read_settings(environ)["mail"]
    assert mail["provider"] == "mailtrap"
    assert mail["sandbox_inbox_id"] is None


def test_mail_as_files() -> None:
    assert read_settings(MAILDIR)["mail"] == {"provider": "maildir", "path": Path("/var/mail/jobs")}


def test_mail_over_smtp() -> None:
    environ = {
        "MAIL_FROM_EMAIL": "jobs@example.com",
        "MAIL_PROVIDER": "smtp",
        "SMTP_URL": "smtp://user:word@mail.example.com",
    }
    mail = read_settings(environ)["mail"]
    assert mail["provider"] == "smtp"
    assert (mail["server"]["host"], mail["server"]["security"]) == ("mail.example.com", "starttls")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"MAILTRAP_API_KEY": ""}, "MAILTRAP_API_KEY is required"),
        (
            {"MAILTRAP_INBOX_ID": ""},
            "MAILTRAP_INBOX_ID is required while MAILTRAP_USE_SANDBOX is true (the default)",
        ),
        ({"MAILTRAP_INBOX_ID": "my inbox"}, "MAILTRAP_INBOX_ID must be a number"),
        ({"MAILTRAP_INBOX_ID": "١٢"}, "MAILTRAP_INBOX_ID must be a number"),
        (
            {"MAILTRAP_USE_SANDBOX": "no"},
            "MAILTRAP_INBOX_ID must not be set unless MAILTRAP_USE_SANDBOX is true",
        ),
        ({"MAILTRAP_USE_SANDBOX": "perhaps"}, "MAILTRAP_USE_SANDBOX must be true or false"),
        (
            {"MAILTRAP_API_HOST": "https://mailtrap.example.com"},
            "MAILTRAP_API_HOST must be a host, or host:port, without https://",
        ),
        ({"MAILTRAP_CA_BUNDLE": "/nowhere/ca.pem"}, "MAILTRAP_CA_BUNDLE must name a file that exists"),
        ({"MAILTRAP_ACCOUNT_ID": "mine"}, "MAILTRAP_ACCOUNT_ID must be a number"),
        ({"MAIL_WHEN_UNSURE": "guess"}, "MAIL_WHEN_UNSURE must be one of resend, hold"),
        ({"MAIL_FROM_EMAIL": "jobs"}, "MAIL_FROM_EMAIL must be an email address"),
        ({"MAIL_PROVIDER": "pigeon"}, "MAIL_PROVIDER must be one of mailtrap, smtp, maildir"),
        ({"MAIL_PROVIDER": "maildir"}, "MAILDIR_PATH is required"),
        ({"MAIL_PROVIDER": "smtp"}, "SMTP_URL is required"),
        (
            {"MAIL_PROVIDER": "smtp", "SMTP_URL": "http://x"},
            "SMTP_URL must be a smtp://host or smtps://host in ASCII",
        ),
        ({"REDIS_URL": "http://x"}, "REDIS_URL must be a URL that starts with redis://, rediss://, unix://"),
        ({"JOBS_PUBLIC_URL": "jobs.example.com"}, "JOBS_PUBLIC_URL must be a URL that starts with http://"),
        (
            {"UNSUBSCRIBE_SECRET": "too short", "JOBS_PUBLIC_URL": "https://jobs.example.com"},
            "UNSUBSCRIBE_SECRET must have at least 32 characters",
        ),
        ({"UNSUBSCRIBE_SECRET": SIGNING}, "JOBS_PUBLIC_URL is required while UNSUBSCRIBE_SECRET is set"),
        ({"MAIL_DIGEST": "some"}, "MAIL_DIGEST must be one of off, failures, successes, all"),
        *[
            (
                {"MAIL_DIGEST_WINDOW": window},
                "MAIL_DIGEST_WINDOW must be a number with s, m or h, at most 24h, such as 10m",
            )
            for window in ("10", "0m", "-1m", "25h", "1441m", "ten", "10 m", "999999999h")
        ],
        ({"MAIL_DIGEST_FIRST": "0"}, "MAIL_DIGEST_FIRST must be at least 1"),
        ({"MAIL_DIGEST_FIRST": "101"}, "MAIL_DIGEST_FIRST must be at most 100"),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: off; No Domain: off"},
            "MAIL_DIGEST_DOMAINS, entry 2: the domain must be 1 to 32 lower-case letters",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: off; qr: all"},
            "MAIL_DIGEST_DOMAINS, entry 2: the domain was named before",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr"},
            "MAIL_DIGEST_DOMAINS, entry 1: the domain must be followed by ':' and off, failures,",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: on"},
            "MAIL_DIGEST_DOMAINS, entry 1: each word must be one of off, failures, successes, all,",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: window=9"},
            "MAIL_DIGEST_DOMAINS, entry 1: window must be a number with s, m or h",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: off all"},
            "MAIL_DIGEST_DOMAINS, entry 1: outcomes, window and first may each be said once",
        ),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: window=5m window=10m"},
            "MAIL_DIGEST_DOMAINS, entry 1: outcomes, window and first may each be said once",
        ),
        ({"MAIL_DIGEST_DOMAINS": "qr: first=101"}, "MAIL_DIGEST_DOMAINS, entry 1: first must be 1 to 100"),
        ({"MAIL_DIGEST_DOMAINS": "qr: first=0"}, "MAIL_DIGEST_DOMAINS, entry 1: first must be 1 to 100"),
        ({"NOTIFIER_PORT": "70000"}, "NOTIFIER_PORT must be at most 65535"),
        ({"NOTIFIER_PORT": "-1"}, "NOTIFIER_PORT must be at least 0"),
        ({"NOTIFIER_DOMAINS": "Turkic"}, "NOTIFIER_DOMAINS must list domains"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be one of text, json"),
    ],
)
def test_each_fault_is_named(changes: dict[str, str], fault: str) -> None:
    found = faults({**SANDBOX, **changes})
    assert any(line.startswith(fault) for line in found)
    if "MAILTRAP_USE_SANDBOX" not in changes:
        assert len(found) == 1


def test_all_faults_come_at_once_and_no_value_is_shown() -> None:
    environ = {
        "REDIS_URL": "redis:/secret-host",
        "MAIL_FROM_EMAIL": "secret@@example.com",
        "MAILTRAP_API_KEY": KEY,
        "MAILTRAP_USE_SANDBOX": "false",
        "MAILTRAP_INBOX_ID": "secret",
        "NOTIFIER_PORT": "secret",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    assert len(caught.value.faults) == 4
    text = str(caught.value)
    assert len(text.splitlines()) == 4
    assert "secret" not in text
    assert KEY not in text


def test_nothing_at_all_names_what_is_needed() -> None:
    assert faults({}) == (
        "MAILTRAP_API_KEY is required",
        "MAILTRAP_INBOX_ID is required while MAILTRAP_USE_SANDBOX is true (the default)",
        "MAIL_FROM_EMAIL is required",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ()),
        (
            {"MAILTRAP_ACCOUNT_ID": "815"},
            (
                (
                    "MAILTRAP_ACCOUNT_ID does nothing while MAILTRAP_USE_SANDBOX is true: the sandbox has no"
                    " log of"
                    " mails."
                ),
            ),
        ),
        ({"MAILTRAP_ACCOUNT_ID": "815", "MAILTRAP_USE_SANDBOX": "no", "MAILTRAP_INBOX_ID": ""}, ()),
        ({"MAIL_DIGEST_DOMAINS": "qr: off"}, ()),
        ({"MAIL_DIGEST_DOMAINS": "qr: off", "NOTIFIER_DOMAINS": "turkic,qr"}, ()),
        (
            {"MAIL_DIGEST_DOMAINS": "qr: off; digits: off; turkic: off", "NOTIFIER_DOMAINS": "turkic"},
            (
                (
                    "MAIL_DIGEST_DOMAINS has rules for qr, digits, which NOTIFIER_DOMAINS does not name: this"
                    " notifier"
                    " does not hear of them."
                ),
            ),
        ),
    ],
)
def test_what_does_nothing_beside_the_other_settings_is_told(
    changes: dict[str, str], told: tuple[str, ...]
) -> None:
    """It is no fault: one environment may serve several notifiers, or the sandbox before the real thing."""
    assert read_settings({**SANDBOX, **changes})["without_effect"] == told


@pytest.mark.parametrize("provider", ["mailtrap", "smtp"])
def test_the_settings_can_be_printed_without_a_secret(provider: str) -> None:
    settings: NotifierSettings = read_settings(
        {
            **SANDBOX,
            "MAIL_PROVIDER": provider,
            "SMTP_URL": f"smtps://user:{KEY}@mail.example.com",
            "REDIS_URL": f"redis://:{KEY}@127.0.0.1:6379/0",
            "UNSUBSCRIBE_SECRET": KEY * 2,
            "JOBS_PUBLIC_URL": "https://jobs.example.com",
        }
    )
    assert KEY not in repr(settings)
    assert KEY not in f"{settings}"
