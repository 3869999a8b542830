"""Logs: an event name plus fields, one line each, on the error stream.

Log lines of other libraries (RQ, the web server) go through the same renderer.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Protocol, TypeAlias

import structlog

LogField: TypeAlias = str | int | float | bool | None

_Fields: TypeAlias = MutableMapping[str, object]

_HANDLER_NAME = "platform_core"


class Logger(Protocol):
    """What code may say: a fixed event name such as `notifier.delivery_sent`, and all data as fields."""

    def debug(self, event: str, **fields: LogField) -> object:
        """Tell a detail for whoever looks for a fault."""

    def info(self, event: str, **fields: LogField) -> object:
        """Tell that something happened as it should."""

    def warning(self, event: str, **fields: LogField) -> object:
        """Tell of something that mends itself, or that somebody should look at some day."""

    def error(self, event: str, **fields: LogField) -> object:
        """Tell of something that somebody must look at."""


def get_logger(name: str) -> Logger:
    """Return the logger of a module or a part of a service; `name` becomes the field `logger`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure_logging(*, service: str, json: bool, level: str = "INFO") -> None:
    """Set up the logs of a process, once, from its wiring; a second call replaces the first.

    Args:
        service: the name of the process, the field `service` of its lines.
        json: one JSON object a line (for a log collector) instead of text (for a person).
        level: the lowest level that is written: DEBUG, INFO, WARNING, ERROR.

    Raises:
        ValueError: the level is not one of these.
    """
    threshold = logging.getLevelNamesMapping().get(level)
    if threshold is None:
        raise ValueError("the log level must be DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(_formatter(service, json=json))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.name == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    structlog.configure(
        processors=[_hand_over],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _formatter(service: str, *, json: bool) -> logging.Formatter:
    def add_origin(_logger: object, _method: str, fields: _Fields) -> _Fields:
        record = fields.pop("_record")
        fields.pop("_from_structlog")
        assert isinstance(record, logging.LogRecord)
        fields["level"] = record.levelname.lower()
        fields["logger"] = record.name
        fields["service"] = service
        return fields

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            add_origin,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(json=json),
        ]
    )


def _renderers(*, json: bool) -> list[structlog.typing.Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    in_terminal: bool = sys.stderr.isatty()
    return [
        structlog.dev.ConsoleRenderer(
            colors=in_terminal,
            # The default shows the local variables of each frame when `rich` is installed: keys, addresses.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]


def _hand_over(logger: object, method: str, fields: _Fields) -> tuple[tuple[_Fields], dict[str, object]]:
    """Pass the fields on to the standard library's handler, in the form its formatter looks for."""
    return (fields,), {"extra": {"_logger": logger, "_name": method}}
