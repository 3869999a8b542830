"""The example a team copies from: it really runs, worker, job and mail."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from platform_workers.testing import EmbeddedRedis

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "examples" / "my_first_service" / "service.py"
BIN = Path(sys.executable).parent


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        pause.wait(0.05)
    pytest.fail("the condition never held")


def test_it_is_as_short_as_the_guide_says() -> None:
    assert len(SERVICE.read_text("utf-8").splitlines()) < 60


def test_a_job_of_the_example_ends_in_a_mail(tmp_path: Path) -> None:
    mails = tmp_path / "mail"
    with EmbeddedRedis() as server:
        environ = {
            **os.environ, "REDIS_URL": server.url, "MAIL_PROVIDER": "maildir", "MAILDIR_PATH": str(mails),
            "MAIL_FROM_EMAIL": "jobs@example.com", "MAIL_FROM_NAME": "Jobs", "NOTIFIER_PORT": "0",
        }  # fmt: skip
        commands = ([sys.executable, str(SERVICE), "worker"], [str(BIN / "notifier"), "run"])
        processes = [subprocess.Popen(command, env=environ) for command in commands]
        try:
            for name in ("Ada", "R2D2"):
                submit = [sys.executable, str(SERVICE), "submit", name, f"{name.lower()}@example.com"]
                subprocess.run(submit, env=environ, check=True, capture_output=True)
            wait_until(lambda: len(list(mails.glob("new/*"))) == 2)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            codes = [process.wait(20) for process in processes]
    assert codes == [0, 0]
    messages = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in mails.glob("new/*")]
    told = {str(message["To"]): str(message.as_bytes()) for message in messages}
    assert set(told) == {"ada@example.com", "r2d2@example.com"}
    assert "a name has no digits in it" in told["r2d2@example.com"]
