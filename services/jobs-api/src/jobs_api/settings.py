"""Settings of the API, the worker and the client: read once, with all faults in one message."""

import ipaddress
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict
from urllib.parse import urlsplit

from platform_core.settings import SettingsReader
from platform_notify.providers.secret import Secret
from platform_notify.unsubscribe import read_unsubscribe_secret

LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat: TypeAlias = Literal["text", "json"]

LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")

REDIS_SCHEMES: Final = ("redis", "rediss", "unix")
OBJECT_STORE_SCHEMES: Final = (
    "file", "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss",
)  # fmt: skip

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_API_URL: Final = "http://127.0.0.1:8080"
GIB: Final = 1024**3

_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


class LogSettings(TypedDict):
    """`LOG_LEVEL` and `LOG_FORMAT`."""

    level: LogLevel
    json: bool


class AccessSettings(TypedDict):
    """Who may call the API, and how much.

    Attributes:
        max_requests_per_second: `JOBS_MAX_REQUESTS_PER_SECOND`, of one key or address; 0 for any number.
        max_event_streams: `JOBS_MAX_EVENT_STREAMS`, open at once in this process.
        max_event_streams_per_key: `JOBS_MAX_EVENT_STREAMS_PER_KEY`, of one key or address.
        cors_origins: `JOBS_CORS_ORIGINS`, other web sites whose pages may call the API.
    """

    max_requests_per_second: int
    max_event_streams: int
    max_event_streams_per_key: int
    cors_origins: tuple[str, ...]


class ApiSettings(TypedDict):
    """What `jobs-api serve` needs.

    Attributes:
        redis_url: `REDIS_URL`.
        host: `JOBS_API_HOST`, the address to listen on.
        port: `JOBS_API_PORT`; 0 takes a free one.
        object_store_url: `OBJECT_STORE_URL`, where uploads and results lie.
        max_upload_bytes: `JOBS_MAX_UPLOAD_BYTES`, the largest file that is taken.
        access: who may call it, and how much.
        trusted_proxies: `JOBS_TRUSTED_PROXIES`, addresses of proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.
        unsubscribe_secret: `UNSUBSCRIBE_SECRET`, the same as the notifier's; None if mails have no link to
            stop them.
        log: how the logs look.
    """

    redis_url: str
    host: str
    port: int
    object_store_url: str
    max_upload_bytes: int
    access: AccessSettings
    trusted_proxies: tuple[str, ...]
    unsubscribe_secret: Secret | None
    log: LogSettings


class KeySettings(TypedDict):
    """What `jobs-api keys` needs: `REDIS_URL`, the same as the API's."""

    redis_url: str


class WorkerSettings(TypedDict):
    """What `jobs-worker` needs.

    Attributes:
        redis_url: `REDIS_URL`.
        object_store_url: `OBJECT_STORE_URL`, the same as the API's.
        work_folder: `JOBS_WORK_FOLDER`, where a job's files lie while it runs.
        log: how the logs look.
    """

    redis_url: str
    object_store_url: str
    work_folder: Path
    log: LogSettings


class ClientSettings(TypedDict):
    """What `jobs` needs.

    Attributes:
        api_url: `JOBS_API_URL`, without a slash at its end.
        api_key: `JOBS_API_KEY`, who asks; left out for an API that takes everybody.
    """

    api_url: str
    api_key: NotRequired[str]


def read_api_settings(environ: Mapping[str, str], folder: Path) -> ApiSettings:
    """Read the API's settings.

    Args:
        environ: the environment.
        folder: the current folder; the default object store is below it.

    Raises:
        SettingsError: something is wrong; it lists every fault.
    """
    reader = SettingsReader(environ)
    settings: ApiSettings = {
        "redis_url": _redis_url(reader),
        "host": reader.text("JOBS_API_HOST", "127.0.0.1"),
        "port": reader.integer("JOBS_API_PORT", 8080, minimum=0, maximum=65_535),
        "object_store_url": _object_store_url(reader, folder),
        "max_upload_bytes": reader.integer("JOBS_MAX_UPLOAD_BYTES", 10 * GIB, minimum=1),
        "access": _access(reader),
        "trusted_proxies": _addresses(reader, "JOBS_TRUSTED_PROXIES"),
        "unsubscribe_secret": read_unsubscribe_secret(reader),
        "log": _log(reader),
    }
    reader.finish()
    return settings


def read_key_settings(environ: Mapping[str, str]) -> KeySettings:
    """Read what `jobs-api keys` needs.

    Raises:
        SettingsError: something is wrong; it lists every fault.
    """
    reader = SettingsReader(environ)
    settings: KeySettings = {"redis_url": _redis_url(reader)}
    reader.finish()
    return settings


def read_worker_settings(environ: Mapping[str, str], folder: Path) -> WorkerSettings:
    """Read the worker's settings.

    Args:
        environ: the environment.
        folder: the current folder; the default object store is below it.

    Raises:
        SettingsError: something is wrong; it lists every fault.
    """
    reader = SettingsReader(environ)
    default_work_folder = str(Path(tempfile.gettempdir()) / "jobs-worker")
    settings: WorkerSettings = {
        "redis_url": _redis_url(reader),
        "object_store_url": _object_store_url(reader, folder),
        "work_folder": Path(reader.text("JOBS_WORK_FOLDER", default_work_folder)),
        "log": _log(reader),
    }
    reader.finish()
    return settings


def read_client_settings(environ: Mapping[str, str]) -> ClientSettings:
    """Read the client's settings.

    Raises:
        SettingsError: something is wrong; it lists every fault.
    """
    reader = SettingsReader(environ)
    api_url = reader.url("JOBS_API_URL", ("http", "https"), DEFAULT_API_URL).rstrip("/")
    settings: ClientSettings = {"api_url": api_url}
    api_key = reader.optional_text("JOBS_API_KEY")
    if api_key is not None:
        settings["api_key"] = api_key
        if " " in api_key or not (api_key.isascii() and api_key.isprintable()):
            reader.fault("JOBS_API_KEY must be visible ASCII characters without a space")
        # Both would be sent in the one header there is.
        if "@" in urlsplit(api_url).netloc:
            reader.fault("JOBS_API_URL can't hold a name and a password where JOBS_API_KEY is set")
    reader.finish()
    return settings


def _redis_url(reader: SettingsReader) -> str:
    return reader.url("REDIS_URL", REDIS_SCHEMES, DEFAULT_REDIS_URL)


def _access(reader: SettingsReader) -> AccessSettings:
    return {
        "max_requests_per_second": reader.integer("JOBS_MAX_REQUESTS_PER_SECOND", 5_000, minimum=0),
        "max_event_streams": reader.integer("JOBS_MAX_EVENT_STREAMS", 5_000, minimum=1),
        "max_event_streams_per_key": reader.integer("JOBS_MAX_EVENT_STREAMS_PER_KEY", 2_500, minimum=1),
        "cors_origins": _origins(reader, "JOBS_CORS_ORIGINS"),
    }


def _origins(reader: SettingsReader, name: str) -> tuple[str, ...]:
    """Return exact origins. `*` is none: whoever means every site can't have thought of each."""
    origins = _words(reader, name)
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        reader.fault(
            f"{name} must list origins with commas between, each as https://host or https://host:port"
        )
    return origins


def _addresses(reader: SettingsReader, name: str) -> tuple[str, ...]:
    addresses = _words(reader, name)
    for address in addresses:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            reader.fault(f"{name} must list IP addresses or networks with commas between")
            break
    return addresses


def _words(reader: SettingsReader, name: str) -> tuple[str, ...]:
    parts = (reader.optional_text(name) or "").split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _object_store_url(reader: SettingsReader, folder: Path) -> str:
    default = (folder / "var" / "objects").absolute().as_uri()
    return reader.url("OBJECT_STORE_URL", OBJECT_STORE_SCHEMES, default)


def _log(reader: SettingsReader) -> LogSettings:
    return {
        "level": reader.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
        "json": reader.choice("LOG_FORMAT", LOG_FORMATS, "text") == "json",
    }
