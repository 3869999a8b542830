"""The recorders record; the embedded server starts, dies and comes back with its data."""

from pathlib import Path

import pytest
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain

from platform_workers.handlers import JobRun
from platform_workers.testing import (
    EmbeddedRedis,
    FakeClock,
    FakeJobRun,
    FakeLogger,
    FakeQueue,
    FakeRedis,
)


def test_two_fakes_on_one_server_see_the_same_data() -> None:
    first = FakeRedis()
    FakeRedis(first.server).set("k", "v")
    assert first.get("k") == "v"
    assert FakeRedis().get("k") is None


def test_the_clock_stands_until_it_is_moved() -> None:
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(1.5)
    assert (clock.now() - before).total_seconds() == clock.monotonic() == 1.5


def test_the_logger_keeps_lines_by_level() -> None:
    logger = FakeLogger()
    logger.debug("a", n=1)
    logger.info("b")
    logger.warning("c")
    logger.error("d", why="x")
    assert logger.events() == ["a", "b", "c", "d"]
    assert logger.events("warning", "error") == ["c", "d"]
    assert logger.lines[3] == {"level": "error", "event": "d", "fields": {"why": "x"}}


def test_the_run_keeps_what_a_handler_tells_and_refuses_what_a_real_one_refuses() -> None:
    fake = FakeJobRun(JobDomain("shop"), job_id="j", user_id=7, attempt=2)
    run: JobRun = fake
    run.publish_progress(50, "halfway", payload={"rows": 3})
    run.log("a row is odd", "warning")
    with pytest.raises(DecodeError, match="progress"):
        run.publish_progress(101)
    assert fake.progress == [(50, "halfway")]
    assert fake.lines == [("warning", "a row is odd")]
    assert (run.domain, run.job_id, run.user_id, run.attempt) == ("shop", "j", 7, 2)


def test_the_queue_has_a_name() -> None:
    assert FakeQueue(FakeRedis()).name == "default"


def test_an_append_only_server_keeps_its_data_over_a_kill(tmp_path: Path) -> None:
    with EmbeddedRedis(folder=tmp_path, append_only=True) as server:
        server.client().set("k", "v")
        url = server.url
        server.kill()
        assert not server.running
        assert server.url == url
        server.start()
        assert server.url == url
        assert server.client().get("k") == "v"


def test_a_server_can_be_given_its_port() -> None:
    with EmbeddedRedis() as first:
        port = int(first.url.rsplit(":", 1)[1].split("/")[0])
    with EmbeddedRedis(port=port) as second:
        assert second.url == f"redis://127.0.0.1:{port}/0"
