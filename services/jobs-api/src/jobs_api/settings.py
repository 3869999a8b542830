"""Settings of the API, the worker and the client: read once, with all faults in one message."""

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


class LogSettings(TypedDict):
    """`LOG_LEVEL` and `LOG_FORMAT`."""

    level: LogLevel
    json: bool


class ApiSettings(TypedDict):
    """What `jobs-api serve` needs.

    Attributes:
        redis_url: `REDIS_URL`.
        host: `JOBS_API_HOST`, the address to listen on.
        port: `JOBS_API_PORT`; 0 takes a free one.
        object_store_url: `OBJECT_STORE_URL`, where uploads and results lie.
        max_upload_bytes: `JOBS_MAX_UPLOAD_BYTES`, the largest file that is taken.
        unsubscribe_secret: `UNSUBSCRIBE_SECRET`, the same as the notifier's; None if mails have no link to
            stop them.
        log: how the logs look.
    """

    redis_url: str
    host: str
    port: int
    object_store_url: str
    max_upload_bytes: int
    unsubscribe_secret: Secret | None
    log: LogSettings


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
        "unsubscribe_secret": read_unsubscribe_secret(reader),
        "log": _log(reader),
    }
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


def _object_store_url(reader: SettingsReader, folder: Path) -> str:
    default = (folder / "var" / "objects").absolute().as_uri()
    return reader.url("OBJECT_STORE_URL", OBJECT_STORE_SCHEMES, default)


def _log(reader: SettingsReader) -> LogSettings:
    return {
        "level": reader.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
        "json": reader.choice("LOG_FORMAT", LOG_FORMATS, "text") == "json",
    }
