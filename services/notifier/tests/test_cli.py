"""The commands, as processes where it matters."""

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from notifier_kit import (
    NOTIFIER,
    OwnServer,
    RunningNotifier,
    complete_job,
    completed,
    foreign_job,
    get,
    mails,
    notifier_keys,
    publish,
    settings_for,
    told_jobs,
    wait_until,
)
from platform_notify.testing import MailtrapServer
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

from notifier.cli import run
from notifier.redis_advice import read_facts
from notifier.wiring import GROUP

# What a process needs to run at all, and no setting of ours.
PLAIN = {
    name: value for name, value in os.environ.items() if name.startswith(("COV", "PATH", "PYTHON", "HOME"))
}


def test_wrong_settings_are_listed_all_at_once_and_the_exit_code_is_2() -> None:
    done = subprocess.run(
        [NOTIFIER, "run"],
        env={
            **PLAIN,
            "MAILTRAP_USE_SANDBOX": "false",
            "MAILTRAP_INBOX_ID": "1",
            "REDIS_URL": "http://x",
            "NOTIFIER_PORT": "none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "notifier: the settings are wrong.",
        "REDIS_URL must be a URL that starts with redis://, rediss://, unix://",
        "MAILTRAP_API_KEY is required",
        "MAILTRAP_INBOX_ID must not be set unless MAILTRAP_USE_SANDBOX is true",
        "MAIL_FROM_EMAIL is required",
        "NOTIFIER_PORT must be an integer",
    ]


def test_a_foreign_event_sends_one_mail_and_a_second_one_sends_none(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    foreign_job(redis)
    with RunningNotifier(settings_for(server.url, tmp_path), tmp_path) as notifier:
        notifier.wait_until_ready()
        publish(redis, completed())
        wait_until(lambda: len(mails(tmp_path)) == 1)
        publish(redis, completed())
        foreign_job(redis, "j2")
        publish(redis, completed("j2"))
        wait_until(lambda: len(mails(tmp_path)) == 2)
        assert notifier.terminate() == 0
    assert told_jobs(tmp_path) == ["j1", "j2"]


def test_a_hundred_outcomes_missed_by_a_killed_notifier_are_told_once_each(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    environ = settings_for(server.url, tmp_path)
    with RunningNotifier(environ, tmp_path, name="first") as notifier:
        notifier.wait_until_ready()
        complete_job(redis, "before")
        # Recorded, and not only written: killed in between it leaves a lease that outlives the test.
        wait_until(lambda: len(notifier.lines("notifier.delivery_sent")) == 1)
        notifier.kill()
    missed = [f"j{number:03}" for number in range(100)]
    for job_id in missed:
        complete_job(redis, job_id)
    with RunningNotifier(environ, tmp_path, name="second") as notifier:
        wait_until(lambda: len(mails(tmp_path)) == 101)
        wait_until(lambda: len(notifier.lines("notifier.delivery_sent")) == 100)
        assert notifier.terminate() == 0
    assert told_jobs(tmp_path) == sorted(["before", *missed])
    sent = [line["delivery_id"] for line in notifier.lines("notifier.delivery_sent")]
    assert len(set(sent)) == 100
    assert notifier_keys(server) == []


def test_it_starts_before_redis_says_so_once_and_ends_at_sigterm(
    own_server: OwnServer, tmp_path: Path
) -> None:
    with RunningNotifier(settings_for(own_server.url, tmp_path), tmp_path) as notifier:
        assert get(notifier.port(), "/readyz")[0] == 503
        own_server.start()
        notifier.wait_until_ready()
        with closing(own_server.client()) as redis:
            complete_job(redis)
            wait_until(lambda: len(mails(tmp_path)) == 1)
        assert notifier.terminate() == 0
    assert len(notifier.lines("notifier.redis_away")) == 1
    assert len(notifier.lines("notifier.redis_back")) == 1
    assert len(notifier.lines("notifier.stopped")) == 1


def test_without_redis_it_ends_at_sigterm_too(own_server: OwnServer, tmp_path: Path) -> None:
    with RunningNotifier(settings_for(own_server.url, tmp_path), tmp_path) as notifier:
        notifier.port()
        assert notifier.terminate() == 0


def test_a_port_that_is_taken_is_told(
    server: EmbeddedRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = settings_for(server.url, tmp_path)
    with RunningNotifier(environ, tmp_path) as notifier:
        taken = str(notifier.port())
        done = subprocess.run(
            [NOTIFIER, "run"],
            env={**PLAIN, **environ, "NOTIFIER_PORT": taken},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        f"notifier: the health page cannot listen on 127.0.0.1:{taken}: Address already in use\n"
    )


def test_the_doctor_finds_all_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedRedis(append_only=True) as server, closing(server.client()) as redis:
        environ = {**settings_for(server.url, tmp_path), "NOTIFIER_DOMAINS": "turkic,digits"}
        complete_job(redis)
        redis.xgroup_create("turkic:events:log", GROUP, start="0")
        version = read_facts(redis)["valkey_version"]
        assert run(["doctor"], environ) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok     The settings are complete; the notifier will listen to turkic, digits.",
        (
            "ok     Many mails to one address: mails about failures are gathered for 10 min"
            " after the first one (MAIL_DIGEST)."
        ),
        "ok     Outcomes up to 720 hours old are mailed; records of mails are kept for 30 days.",
        "ok     Mails have no link to stop them, because UNSUBSCRIBE_SECRET is not set.",
        "ok     Redis answers; domains with jobs: turkic.",
        f"ok     It is Valkey {version}, writes an append-only file and evicts nothing.",
        f"ok     Maildir {tmp_path / 'mail'} can be written; 0 unread.",
    ]
    assert mails(tmp_path) == []


def test_the_doctor_warns_of_what_does_not_keep_the_notifier_from_working(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor"], settings_for(server.url, tmp_path)) == 0
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("ok     ")]
    assert warning.startswith("warn   It writes no append-only file")


def test_a_setting_that_does_nothing_is_logged_once_at_the_start(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    environ = {
        **settings_for(server.url, tmp_path),
        "NOTIFIER_DOMAINS": "turkic",
        "MAIL_DIGEST_DOMAINS": "qr: off",
    }
    with RunningNotifier(environ, tmp_path) as notifier:
        notifier.wait_until_ready()
        assert notifier.terminate() == 0
        (line,) = notifier.lines("notifier.setting_without_effect")
    assert str(line["why"]).startswith("MAIL_DIGEST_DOMAINS has rules for qr, which NOTIFIER_DOMAINS")


def test_the_doctor_finds_every_fault(
    own_server: OwnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mail").write_text("no folder")
    assert run(["doctor"], settings_for(own_server.url, tmp_path)) == 1
    good, _digests, _age, _link, redis, provider = capsys.readouterr().out.splitlines()
    assert good == "ok     The settings are complete; the notifier will listen to every domain."
    assert redis.startswith("fault  Redis cannot be used. Redis does not answer: ")
    assert redis.endswith("Is REDIS_URL right?")
    assert provider.startswith("fault  The Maildir cannot be written: ")


def test_explain_tells_the_story_of_a_job(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = settings_for(server.url, tmp_path)
    with RunningNotifier(environ, tmp_path) as notifier:
        complete_job(redis)
        wait_until(lambda: bool(notifier.lines("notifier.delivery_sent")))
    assert run(["explain", "turkic", "j1"], environ) == 0
    text = capsys.readouterr().out
    assert text.startswith("Job j1 of turkic:\n\nRun 1 succeeded at ")
    assert "Mail to anna@example.com" in text
    assert "  Sent at " in text
    # As `jobs list` prints it.
    assert run(["explain", "turkic/j1"], environ) == 0
    assert capsys.readouterr().out == text


def test_explain_tells_of_the_digest(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**settings_for(server.url, tmp_path), "MAIL_DIGEST": "all", "MAIL_DIGEST_WINDOW": "1s"}
    with RunningNotifier(environ, tmp_path) as notifier:
        for number in range(3):
            complete_job(redis, f"j{number}")
        wait_until(lambda: len(notifier.lines("notifier.delivery_sent")) == 2)
    assert notifier.lines("notifier.delivery_sent")[1]["gathered"] == 2
    # Which of the two feeds hears first decides which one is the alert, so look for one that was gathered.
    texts: list[str] = []
    for number in range(3):
        assert run(["explain", "turkic", f"j{number}"], environ) == 0
        texts.append(capsys.readouterr().out)
    told = [text for text in texts if "One mail tells of 2 of them: the digest " in text]
    assert len(told) == 2
    assert all("\n  Sent at " in text for text in told)


def test_explain_says_what_it_cannot_do(
    own_server: OwnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "Turkic", "j1"], settings_for(own_server.url, tmp_path)) == 1
    told = capsys.readouterr().err
    assert told.startswith("notifier: domain: ")
    assert "REDIS_URL" not in told


@pytest.mark.parametrize(
    "command",
    ["explain turkic/j1", "replay --domain turkic", "replay --list", "undecodable", "undecodable --clear"],
)
def test_where_redis_does_not_answer_its_address_is_asked_for(
    own_server: OwnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(command.split(), settings_for(own_server.url, tmp_path)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("notifier: Redis does not answer: ")
    assert told.err.endswith("refused. Is REDIS_URL right?\n")


def test_explain_needs_no_provider_and_says_when_there_is_nothing(
    server: EmbeddedRedis, redis: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "turkic", "nobody"], {"REDIS_URL": server.url}) == 1
    assert "nobody" in capsys.readouterr().out
    assert run(["explain", "turkic", "nobody"], {"REDIS_URL": "http://x"}) == 2
    assert "REDIS_URL" in capsys.readouterr().err


def test_the_mails_can_be_looked_at_without_any_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["preview", str(tmp_path / "mails")], {}) == 0
    shown = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "mails" / "user_fault.html") in shown
    assert "Row 1,874" in (tmp_path / "mails" / "user_fault.txt").read_text("utf-8")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["preview", str(tmp_path / "file")], {}) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_key_that_is_refused_opens_the_circuit_and_is_shown_nowhere(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    key = "0123456789abcdef-secret"
    with MailtrapServer(tmp_path / "ca.pem", token="another key") as mailtrap:
        environ = {
            **settings_for(server.url, tmp_path),
            "MAIL_PROVIDER": "mailtrap",
            "MAILTRAP_API_KEY": key,
            "MAILTRAP_INBOX_ID": "4711",
            "MAILTRAP_API_HOST": mailtrap.host,
            "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
            "LOG_LEVEL": "DEBUG",
        }
        with RunningNotifier(environ, tmp_path) as notifier:
            notifier.wait_until_ready()
            complete_job(redis)
            wait_until(lambda: bool(notifier.lines("notifier.circuit_opened")))
            complete_job(redis, "j2")
            wait_until(lambda: get(notifier.port(), "/readyz")[0] == 503)
            status, told = get(notifier.port(), "/readyz")
            wait_until(lambda: redis.zcard("notify:due:email") == 2)
            metrics = get(notifier.port(), "/metrics")[1]
            assert notifier.terminate() == 0
        assert len(mailtrap.requests) == 1
        assert run(["doctor"], environ) == 1
    assert status == 503
    assert "The mail provider mailtrap refuses the account since " in told
    assert 'notifier_circuit_open{provider="mailtrap"} 1.0' in metrics
    stored = "".join(str(redis.hgetall(name)) for name in redis.keys("notify:[dc]*") if "due" not in name)
    assert "waiting" in stored
    assert key not in stored + told + metrics + notifier.log.read_text("utf-8")


@pytest.mark.parametrize("arguments", [[], ["dance"], ["explain", "turkic"], ["explain", "turkic/"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(arguments, {})
    assert caught.value.code == 2
    assert "usage: notifier" in capsys.readouterr().err
