"""Settings of the notifier: read once, typed, with all faults in one message."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.settings import SettingsReader
from platform_notify.delivery_store import RETENTION
from platform_notify.digests import DigestPolicy
from platform_notify.providers.base import SenderAddress
from platform_notify.providers.secret import Secret
from platform_notify.providers.smtp_url import SmtpEndpoint, parse_smtp_url
from platform_notify.unsubscribe import read_unsubscribe_secret
from platform_notify.unsure import WhenUnsure

from notifier.digest_settings import read_digest_settings

MailProviderName: TypeAlias = Literal["mailtrap", "smtp", "maildir"]
LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat: TypeAlias = Literal["text", "json"]

MAIL_PROVIDERS: Final[tuple[MailProviderName, ...]] = ("mailtrap", "smtp", "maildir")
WHEN_UNSURE: Final[tuple[WhenUnsure, ...]] = ("resend", "hold")
LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_PORT: Final = 9100

LONGEST_AGE_HOURS: Final = int(RETENTION / timedelta(hours=1))
"""Older outcomes are never told: of these it is no longer known whether a mail was sent."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")


class MailtrapMail(TypedDict):
    """Mail through Mailtrap.

    Attributes:
        api_key: `MAILTRAP_API_KEY`.
        sandbox_inbox_id: `MAILTRAP_INBOX_ID` in sandbox mode (`MAILTRAP_USE_SANDBOX`); None to send for real.
        account_id: `MAILTRAP_ACCOUNT_ID`, whose email log tells what became of a mail that got no answer;
            None if it is not to be asked. The sandbox has no such log.
        api_host: `MAILTRAP_API_HOST`; None for Mailtrap's own.
        ca_bundle: `MAILTRAP_CA_BUNDLE`; None for the usual authorities.
    """

    provider: Literal["mailtrap"]
    api_key: Secret
    sandbox_inbox_id: str | None
    account_id: str | None
    api_host: str | None
    ca_bundle: Path | None


class SmtpMail(TypedDict):
    """Mail through an SMTP server, `SMTP_URL`."""

    provider: Literal["smtp"]
    server: SmtpEndpoint


class MaildirMail(TypedDict):
    """Mail as files below a folder, `MAILDIR_PATH`."""

    provider: Literal["maildir"]
    path: Path


MailSettings: TypeAlias = MailtrapMail | SmtpMail | MaildirMail


class NotifierSettings(TypedDict):
    """What the notifier needs.

    Attributes:
        redis_url: `REDIS_URL`; it may hold a password.
        domains: `NOTIFIER_DOMAINS`; empty for every domain.
        mail: how mails leave, `MAIL_PROVIDER`.
        when_unsure: `MAIL_WHEN_UNSURE`: `resend` (default) sends a mail again that may have been delivered,
            so it may come twice; `hold` gives it up, to be replayed by hand.
        max_age: `NOTIFIER_MAX_AGE_HOURS`; no mail about an outcome that is older when it is heard.
        sender: who they come from, `MAIL_FROM_EMAIL` and `MAIL_FROM_NAME`.
        public_url: `JOBS_PUBLIC_URL`, where people see their jobs; None for no link in the mails.
        unsubscribe_secret: `UNSUBSCRIBE_SECRET`, the same as the API's; None for no link to stop mails. With
            it there is a public address.
        digests: `MAIL_DIGEST` and its kin; see `digest_settings`.
        host: `NOTIFIER_HOST`, the address for health and metrics.
        port: `NOTIFIER_PORT`; 0 takes a free one.
        log_level: `LOG_LEVEL`.
        log_json: `LOG_FORMAT` is `json`.
        without_effect: a sentence for each setting that does nothing beside the others, and is no fault: the
            same environment may be right for another notifier.
    """

    redis_url: Secret
    domains: tuple[JobDomain, ...]
    mail: MailSettings
    when_unsure: WhenUnsure
    max_age: timedelta
    sender: SenderAddress
    public_url: str | None
    unsubscribe_secret: Secret | None
    digests: DigestPolicy
    host: str
    port: int
    log_level: LogLevel
    log_json: bool
    without_effect: tuple[str, ...]


def read_settings(environ: Mapping[str, str]) -> NotifierSettings:
    """Read the settings.

    Raises:
        SettingsError: something is wrong; it lists every fault and quotes no value.
    """
    reader = SettingsReader(environ)
    settings: NotifierSettings = {
        "redis_url": _redis_url(reader),
        "domains": reader.domains("NOTIFIER_DOMAINS"),
        "mail": _mail(reader),
        "when_unsure": reader.choice("MAIL_WHEN_UNSURE", WHEN_UNSURE, "resend"),
        "max_age": _max_age(reader),
        "sender": {"email": reader.email("MAIL_FROM_EMAIL"), "name": reader.text("MAIL_FROM_NAME", "")},
        "public_url": _public_url(reader),
        "unsubscribe_secret": _unsubscribe_secret(reader),
        "digests": read_digest_settings(reader),
        "host": reader.text("NOTIFIER_HOST", "127.0.0.1"),
        "port": reader.integer("NOTIFIER_PORT", DEFAULT_PORT, minimum=0, maximum=65_535),
        "log_level": reader.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
        "log_json": reader.choice("LOG_FORMAT", LOG_FORMATS, "text") == "json",
        "without_effect": (),
    }
    reader.finish()
    settings["without_effect"] = tuple(_without_effect(settings))
    return settings


class OperatorSettings(TypedDict):
    """What `explain`, `replay` and `undecodable` need: they send nothing, so no provider has to be set up.

    Attributes:
        redis_url: `REDIS_URL`; it may hold a password.
        provider: `MAIL_PROVIDER`, whose circuit is told of.
    """

    redis_url: Secret
    provider: MailProviderName


def read_operator_settings(environ: Mapping[str, str]) -> OperatorSettings:
    """Read the settings of the commands that only look.

    Raises:
        SettingsError: something is wrong; it lists every fault and quotes no value.
    """
    reader = SettingsReader(environ)
    settings: OperatorSettings = {
        "redis_url": _redis_url(reader),
        "provider": reader.choice("MAIL_PROVIDER", MAIL_PROVIDERS, "mailtrap"),
    }
    reader.finish()
    return settings


def _redis_url(reader: SettingsReader) -> Secret:
    return Secret(reader.url("REDIS_URL", ("redis", "rediss", "unix"), DEFAULT_REDIS_URL))


def _max_age(reader: SettingsReader) -> timedelta:
    most = LONGEST_AGE_HOURS
    hours = reader.integer("NOTIFIER_MAX_AGE_HOURS", most, minimum=1, maximum=most)
    # What is out of bounds is refused in the end; until then it must not be too much for a timedelta.
    return timedelta(hours=min(max(hours, 1), most))


def _mail(reader: SettingsReader) -> MailSettings:
    name = reader.choice("MAIL_PROVIDER", MAIL_PROVIDERS, "mailtrap")
    if reader.text("MAIL_PROVIDER", "mailtrap") != name:
        # Refused already. Which other settings belong to it nobody knows, so none of them is asked for.
        return {"provider": "maildir", "path": Path()}
    if name == "mailtrap":
        return _mailtrap(reader)
    if name == "smtp":
        return {"provider": "smtp", "server": _smtp_server(reader)}
    return {"provider": "maildir", "path": Path(reader.text("MAILDIR_PATH"))}


def _mailtrap(reader: SettingsReader) -> MailtrapMail:
    return {
        "provider": "mailtrap",
        "api_key": Secret(reader.text("MAILTRAP_API_KEY")),
        "sandbox_inbox_id": _inbox_id(reader),
        "account_id": _account_id(reader),
        "api_host": _api_host(reader),
        "ca_bundle": _ca_bundle(reader),
    }


def _inbox_id(reader: SettingsReader) -> str | None:
    sandbox = reader.boolean("MAILTRAP_USE_SANDBOX", default=True)
    inbox_id = reader.optional_text("MAILTRAP_INBOX_ID")
    if not sandbox:
        if inbox_id is not None:
            reader.fault("MAILTRAP_INBOX_ID must not be set unless MAILTRAP_USE_SANDBOX is true")
        return None
    if inbox_id is None:
        reader.fault("MAILTRAP_INBOX_ID is required while MAILTRAP_USE_SANDBOX is true (the default)")
    elif not (inbox_id.isascii() and inbox_id.isdigit()):
        reader.fault("MAILTRAP_INBOX_ID must be a number")
    return inbox_id


def _account_id(reader: SettingsReader) -> str | None:
    account_id = reader.optional_text("MAILTRAP_ACCOUNT_ID")
    if account_id is not None and not (account_id.isascii() and account_id.isdigit()):
        reader.fault("MAILTRAP_ACCOUNT_ID must be a number")
    return account_id


def _api_host(reader: SettingsReader) -> str | None:
    host = reader.optional_text("MAILTRAP_API_HOST")
    if host is not None and _HOST.fullmatch(host) is None:
        reader.fault("MAILTRAP_API_HOST must be a host, or host:port, without https://")
    return host


def _ca_bundle(reader: SettingsReader) -> Path | None:
    name = reader.optional_text("MAILTRAP_CA_BUNDLE")
    if name is None:
        return None
    if not Path(name).is_file():
        reader.fault("MAILTRAP_CA_BUNDLE must name a file that exists")
    return Path(name)


def _smtp_server(reader: SettingsReader) -> SmtpEndpoint:
    url = reader.text("SMTP_URL")
    server: SmtpEndpoint = {"host": "", "port": 0, "security": "none", "login": None, "ca_bundle": None}
    if url:
        try:
            server = parse_smtp_url(url)
        except DecodeError as error:
            reader.fault(f"SMTP_URL must be a {error.expected}")
    return server


def _unsubscribe_secret(reader: SettingsReader) -> Secret | None:
    secret = read_unsubscribe_secret(reader)
    if secret is not None and reader.optional_text("JOBS_PUBLIC_URL") is None:
        reader.fault(
            "JOBS_PUBLIC_URL is required while UNSUBSCRIBE_SECRET is set: links to stop mails lead there"
        )
    return secret


def _without_effect(settings: NotifierSettings) -> Iterator[str]:
    mail, domains = settings["mail"], settings["domains"]
    if (
        mail["provider"] == "mailtrap"
        and mail["sandbox_inbox_id"] is not None
        and mail["account_id"] is not None
    ):
        yield (
            "MAILTRAP_ACCOUNT_ID does nothing while MAILTRAP_USE_SANDBOX is true: the sandbox has no log"
            " of mails."
        )
    unheard = [name for name in settings["digests"]["domains"] if domains and name not in domains]
    if unheard:
        yield (
            f"MAIL_DIGEST_DOMAINS has rules for {', '.join(unheard)}, which NOTIFIER_DOMAINS does not name:"
            " this notifier does not hear of them."
        )


def _public_url(reader: SettingsReader) -> str | None:
    if reader.optional_text("JOBS_PUBLIC_URL") is None:
        return None
    return reader.url("JOBS_PUBLIC_URL", ("http", "https"))
