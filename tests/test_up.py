"""`make up`: what is in its way is said in one sentence; what it prints is there at once."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_platform import BIN, PlatformError, running_platform, wait_until
from platform_workers.testing.embedded_redis import free_port
from up import is_taken, only_one, what_to_try


def test_a_second_one_is_kept_out_until_the_first_has_ended(tmp_path: Path) -> None:
    with (
        only_one(tmp_path, {}),
        pytest.raises(PlatformError, match="runs already"),
        only_one(tmp_path, {}),
    ):
        pytest.fail("both run")
    with only_one(tmp_path, {}):
        pass


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        with (
            pytest.raises(PlatformError, match=rf"the port {port} \(JOBS_API_PORT\) is taken"),
            only_one(tmp_path, {"JOBS_API_PORT": port}),
        ):
            pytest.fail("it went on")
    assert not is_taken(port)


def test_what_to_try_says_that_there_are_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "MAIL_PROVIDER", "JOBS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with running_platform(tmp_path, api_port=free_port(), notifier_port=free_port(), keep_data=False) as (
        place,
        _,
    ):
        assert what_to_try(place["api_url"]).startswith("Try: .venv/bin/jobs submit")
        made = subprocess.run(
            [str(BIN / "jobs-api"), "keys", "create", "--name", "me", "--scopes", "read,submit"],
            env={**os.environ, "REDIS_URL": place["redis_url"]},
            check=True,
            capture_output=True,
            text=True,
        )
        assert wait_until(lambda: "set JOBS_API_KEY" in what_to_try(place["api_url"]), 20)
        monkeypatch.setenv("JOBS_API_KEY", made.stdout.strip())
        assert what_to_try(place["api_url"]).startswith("Try: .venv/bin/jobs submit")


def test_all_of_it_can_be_read_in_a_file_while_it_runs(tmp_path: Path) -> None:
    """The output is a file here, as with `make up > file`, and was empty until the end."""
    script = (
        "import pathlib, sys, up; up.FOLDER, up.REDIS_PORT = pathlib.Path(sys.argv[1]), int(sys.argv[2]);"
        "sys.exit(up.main())"
    )
    environ = {
        **os.environ, "JOBS_API_PORT": str(free_port()), "NOTIFIER_PORT": str(free_port()),
        "MAIL_PROVIDER": "maildir",
    }  # fmt: skip
    environ.pop("REDIS_URL", None)
    shown = tmp_path / "shown"
    command = [sys.executable, "-c", script, str(tmp_path / "up"), str(free_port())]
    with (
        shown.open("wb") as output,
        subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            assert wait_until(lambda: "Ctrl-C stops everything." in shown.read_text("utf-8"), 40)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
