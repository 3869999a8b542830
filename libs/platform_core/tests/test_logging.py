"""Log lines: an event name, its fields, one renderer for everybody."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from platform_core.json_values import JsonObject, decode_json
from platform_core.logging import Logger, configure_logging, get_logger


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[JsonObject]:
    captured = capsys.readouterr()
    assert captured.out == ""
    values = [decode_json(line) for line in captured.err.splitlines()]
    return [value for value in values if isinstance(value, dict)]


def test_a_line_is_one_json_object_with_name_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="notifier", json=True)
    logger: Logger = get_logger("notifier.intake")
    logger.info("notifier.delivery_sent", delivery_id="d1", attempt=2, share=0.5, to=None, dry=False, by="ə")
    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "notifier.delivery_sent",
        "service": "notifier",
        "logger": "notifier.intake",
        "level": "info",
        "delivery_id": "d1",
        "attempt": 2,
        "share": 0.5,
        "to": None,
        "dry": False,
        "by": "ə",
    }


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="s", json=True, level="WARNING")
    logger = get_logger("x")
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    logger.error("d")
    assert [(line["event"], line["level"]) for line in lines(capsys)] == [("c", "warning"), ("d", "error")]


def test_lines_of_other_libraries_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="s", json=True)
    logging.getLogger("rq.worker").warning("lost %s", "it")
    (line,) = lines(capsys)
    line.pop("timestamp")
    assert line == {"event": "lost it", "logger": "rq.worker", "level": "warning", "service": "s"}


def test_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="first", json=True)
    configure_logging(service="second", json=True)
    get_logger("x").info("once")
    assert [line["service"] for line in lines(capsys)] == ["second"]


def test_a_person_reads_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="s", json=False)
    get_logger("x").info("job.started", job_id="a")
    text = capsys.readouterr().err
    assert "job.started" in text
    assert "job_id=a" in text
    # The stream is no terminal, so there are no colours.
    assert "\x1b" not in text


@pytest.mark.parametrize("json", [True, False])
def test_a_traceback_shows_no_local_variable(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="s", json=json)
    # Put together here, so that the source line in the traceback does not hold it.
    api_key = "hunter" + str(2)
    try:
        raise ValueError(len(api_key))
    except ValueError:
        get_logger("x").error("provider.failed", exc_info=True)
        logging.getLogger("other").exception("failed too")
    text = capsys.readouterr().err
    assert text.count("Traceback") == 2
    assert api_key not in text


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="log level"):
        configure_logging(service="s", json=True, level="LOUD")
