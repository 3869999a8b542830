"""`make up`: what is in its way is said in one sentence; what it prints is there at once."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_platform import (
    BIN,
    PLATFORM_NAMES,
    PlatformError,
    Process,
    kept_secret,
    running_platform,
    wait_until,
)
from platform_workers.testing.embedded_redis import free_port
from up import is_taken, only_one, what_died, what_to_try

ROOT = Path(__file__).parent.parent


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


class Up:
    """`make up` in a folder of its own, as a process with a group of its own, as a terminal gives it one."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder / "up"
        self.settings = settings
        self._shown = folder / "shown"
        self._ports = [str(free_port()) for _ in range(3)]

    @property
    def redis_url(self) -> str:
        """Its own server."""
        return f"redis://127.0.0.1:{self._ports[0]}/0"

    @property
    def shown(self) -> str:
        """What it has printed. It is a file here, as with `make up > file`, and was empty until the end."""
        return self._shown.read_text("utf-8")

    def pid_of(self, name: str) -> int:
        """The number that it prints for one of its processes."""
        found = re.search(rf"^processes .*\b{name} (\d+)", self.shown, re.MULTILINE)
        assert found is not None, self.shown
        return int(found.group(1))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start it, wait until it is up, and stop it after the block if it still runs."""
        redis_port, api_port, notifier_port = self._ports
        script = (
            "import pathlib, sys, up; up.FOLDER, up.REDIS_PORT = pathlib.Path(sys.argv[1]), int(sys.argv[2]);"
            "sys.exit(up.main())"
        )
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(PLATFORM_NAMES)},
            **self.settings,
            "JOBS_API_PORT": api_port,
            "NOTIFIER_PORT": notifier_port,
        }
        command = [sys.executable, "-c", script, str(self.folder), redis_port]
        with (
            self._shown.open("wb") as output,
            subprocess.Popen(
                command, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            ) as process,
        ):
            try:
                assert wait_until(lambda: "Ctrl-C stops everything." in self.shown, 40), self.shown
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(40)


def in_another_terminal(up: Up, command: str) -> str:
    """Type a command where the settings of `make up` were read first, and nothing else was set."""
    done = subprocess.run(
        ["bash", "-c", f". {up.folder / 'env'}\n{command}"],
        env={"PATH": "/usr/bin:/bin"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_one_interrupt_stops_everything_in_order_and_another_terminal_has_the_settings(
    tmp_path: Path,
) -> None:
    """Ctrl-C reached the server first; the others told of its loss in tracebacks."""
    up = Up(tmp_path, {"JOBS_PUBLIC_URL": "https://elsewhere.example", "MAILDIR_PATH": str(tmp_path / "m")})
    with up.running() as process:
        env = up.folder / "env"
        assert stat.S_IMODE(env.stat().st_mode) == 0o600
        told = in_another_terminal(up, "notifier doctor; jobs list; echo $UNSUBSCRIBE_SECRET")
        assert str(up.folder / "mail") in told
        assert "elsewhere" not in told + env.read_text("utf-8")
        secret = told.splitlines()[-1]
        # As the terminal does it: to each process of the group.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0
    assert up.shown.endswith(f"stopping\nstopped; jobs and mails are kept in {up.folder}\n")
    assert not env.exists()
    logs = {log.name: log.read_text("utf-8") for log in (up.folder / "logs").iterdir()}
    assert "Traceback" not in "".join(logs.values())
    kept = up.folder / "unsubscribe-secret"
    assert (kept.read_text("utf-8").strip(), stat.S_IMODE(kept.stat().st_mode)) == (secret, 0o600)


def test_a_process_that_is_killed_is_named_and_the_next_run_goes_on(tmp_path: Path) -> None:
    up = Up(tmp_path, {})
    with up.running() as process:
        submit = f"jobs submit csv.row_count {ROOT / 'examples' / 'data' / 'penguins.csv'} --watch"
        assert "completed" in in_another_terminal(up, submit)
        os.kill(up.pid_of("worker"), signal.SIGKILL)
        assert process.wait(40) == 1
    says = "worker was killed (signal 9); everything is stopped; `make up` starts it again"
    assert says in up.shown
    log = up.folder / "logs" / "worker.log"
    first = log.read_text("utf-8")
    secret = (up.folder / "unsubscribe-secret").read_text("utf-8")
    # The settings of the first run, still set in this terminal, are no other platform's.
    up.settings["REDIS_URL"] = up.redis_url
    with up.running():
        assert "csv.row_count  completed" in in_another_terminal(up, "jobs list")
    assert log.read_text("utf-8").startswith(first)
    assert len(log.read_text("utf-8")) > len(first)
    assert (up.folder / "unsubscribe-secret").read_text("utf-8") == secret


def test_half_a_secret_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = kept_secret(path)
    assert (len(secret), kept_secret(path)) == (64, secret)
    path.write_text("half")
    assert len(kept_secret(path)) == 64


def test_the_log_of_an_earlier_run_explains_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of old\n")
    process = Process("worker", ["sh", "-c", "echo of now; exit 3"], {}, log)
    assert wait_until(lambda: process.ended, 20)
    assert log.read_text() == "of old\nof now\n"
    assert what_died([process]).startswith(f"worker ended (exit code 3); its log {log} ends with:\nof now\n")
