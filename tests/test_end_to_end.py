"""The whole platform as processes: one job, one request to Mailtrap; wrong settings, one message."""

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from local_platform import BIN, Place, PlatformError, Process, running_platform, wait_until
from platform_core.job_events import TURKIC, encode_job_event, make_completed_event
from platform_notify.testing import MailtrapServer
from platform_workers.redis import connect
from platform_workers.testing.embedded_redis import free_port

ROOT = Path(__file__).parent.parent
PENGUINS = ROOT / "examples" / "data" / "penguins.csv"
KEY = "a-key-that-must-not-be-seen"


def a_platform(folder: Path) -> AbstractContextManager[tuple[Place, list[Process]]]:
    """The platform on ports of its own, its data gone afterwards."""
    return running_platform(folder, api_port=free_port(), notifier_port=free_port(), keep_data=False)


def submit(place: Place, email: str) -> None:
    words = ["submit", "csv.row_count", str(PENGUINS), "--email", email, "--on", "success", "--watch"]
    environ = {**os.environ, "JOBS_API_URL": place["api_url"]}
    subprocess.run([str(BIN / "jobs"), *words], env=environ, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("inbox", "path"), [("4711", "/api/send/4711"), ("", "/api/send")], ids=["sandbox", "production"]
)
def test_one_job_is_one_request_to_mailtrap(
    inbox: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailtrapServer(tmp_path / "ca.pem", token=KEY) as mailtrap:
        settings = {
            "MAIL_PROVIDER": "mailtrap",
            "MAILTRAP_API_KEY": KEY,
            "MAILTRAP_API_HOST": mailtrap.host,
            "MAILTRAP_CA_BUNDLE": str(tmp_path / "ca.pem"),
            "MAILTRAP_USE_SANDBOX": "true" if inbox else "false",
            **({"MAILTRAP_INBOX_ID": inbox} if inbox else {}),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("REDIS_URL", raising=False)
        folder = tmp_path / "platform"
        with a_platform(folder) as (place, _):
            submit(place, "ada@example.com")
            assert wait_until(lambda: bool(mailtrap.requests), 20)
            # Both feeds heard that outcome: a second request for it would come before this one's.
            submit(place, "bob@example.com")
            assert wait_until(lambda: len(mailtrap.requests) >= 2, 20)
        requests = list(mailtrap.requests)
    assert [request["path"] for request in requests] == [path, path]
    told = [str(request["body"]) for request in requests]
    assert "ada@example.com" in told[0]
    assert "bob@example.com" in told[1]
    for log in (folder / "logs").iterdir():
        assert KEY not in log.read_text("utf-8")


def test_a_foreign_event_sends_one_mail_and_its_repeat_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of ours wrote the record or published the event; the contract is enough."""
    for name in ("REDIS_URL", "MAIL_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    with a_platform(tmp_path) as (place, _):
        redis = connect(place["redis_url"])
        intent = '{"email": {"enabled": true, "on": ["SUCCESS"]}}'
        for job_id in ("first", "second"):
            context = f'{{"user_id": "user-1", "email": "{job_id}@example.com"}}'
            redis.hset(
                f"turkic:job:{job_id}", {"status": "completed", "context": context, "notifications": intent}
            )
        before = {key: redis.hgetall(key) for key in redis.keys("turkic:job:*")}
        for job_id in ("first", "first", "second"):
            event = make_completed_event(
                domain=TURKIC, job_id=job_id, user_id=1, result_id="file-1", result_bytes=3
            )
            assert redis.publish("turkic:events", encode_job_event(event)) >= 1
        assert wait_until(lambda: len(mails(place)) >= 2, 20)
        assert sorted(mails(place)) == ["first@example.com", "second@example.com"]
        assert {key: redis.hgetall(key) for key in redis.keys("turkic:job:*")} == before
        redis.close()


def mails(place: Place) -> list[str]:
    """Who got a mail."""
    paths = list(place["maildir"].glob("new/*"))
    return [str(message_from_bytes(path.read_bytes(), policy=policy.default)["To"]) for path in paths]


@pytest.mark.parametrize(
    ("command", "settings", "words"),
    [
        (
            ["notifier", "run"],
            {"MAIL_FROM_EMAIL": "nobody", "REDIS_URL": "http://x", "MAILTRAP_USE_SANDBOX": "true"},
            ["MAIL_FROM_EMAIL", "REDIS_URL", "MAILTRAP_API_KEY", "MAILTRAP_INBOX_ID"],
        ),
        (
            ["notifier", "run"],
            {
                "MAIL_FROM_EMAIL": "a@example.com", "MAILTRAP_API_KEY": KEY, "MAILTRAP_USE_SANDBOX": "false",
                "MAILTRAP_INBOX_ID": "1",
            },
            ["MAILTRAP_INBOX_ID"],
        ),
        (["jobs-api", "serve"], {"REDIS_URL": "x", "JOBS_API_PORT": "x"}, ["REDIS_URL", "JOBS_API_PORT"]),
        (["jobs-worker"], {"REDIS_URL": "x", "OBJECT_STORE_URL": "x"}, ["REDIS_URL", "OBJECT_STORE_URL"]),
    ],
)  # fmt: skip
def test_wrong_settings_stop_a_service_with_every_fault_at_once(
    command: list[str], settings: dict[str, str], words: list[str]
) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        env={"PATH": os.environ["PATH"], **settings},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DEMO_FILE": "no such $file.csv"}, "there is no file"),
        ({"DEMO_FILE": str(ROOT)}, "is a folder"),
        ({"DEMO_EMAIL": "nobody"}, "nobody is not an email address"),
    ],
)
def test_the_demo_says_what_it_cannot_take(settings: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py")],
        env={**os.environ, **settings},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert words in done.stderr


def test_the_demo_sends_no_real_mail_whatever_is_set(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py"), "--file", str(PENGUINS)],
        env={
            **os.environ,
            "MAIL_PROVIDER": "mailtrap",
            "MAILDIR_PATH": str(tmp_path),
            "JOBS_PUBLIC_URL": "https://elsewhere.example",
            "MAIL_FROM_EMAIL": "somebody@elsewhere.example",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 mails arrived" in done.stdout
    assert "elsewhere" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dead_redis_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(PlatformError, match="REDIS_URL is set"), a_platform(tmp_path):
        pytest.fail("it started")
