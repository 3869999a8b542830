"""`jobs-api keys`, and what `jobs-api serve` does about keys when it starts."""

from pathlib import Path

import pytest
from access_kit import Keys
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock
from platform_workers.testing.embedded_redis import free_port
from process_kit import answers, environment, finished, start, stop
from service_kit import wait_until

from jobs_api.access.key_store import KEYS, KeyStore
from jobs_api.cli import run

HERE = Path("/somewhere")


@pytest.fixture
def environ(server: EmbeddedRedis, vault: RedisClient) -> dict[str, str]:
    return {"REDIS_URL": server.url.rpartition("/")[0] + "/1"}


def keys_command(environ: dict[str, str], *arguments: str) -> int:
    return run(["keys", *arguments], environ, HERE)


def test_a_key_is_made_listed_and_revoked(
    environ: dict[str, str], vault: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys_command(environ, "create", "--name", "report", "--scopes", "submit,read") == 0
    out, err = capsys.readouterr()
    key_id, secret = out.strip().split("_", 2)[1:]
    assert "this is the only time it is shown" in err
    assert secret not in err
    assert keys_command(environ, "create", "--name", "ops", "--scopes", "manage", "--domains", "qr, files",
                        "--expires-days", "30") == 0  # fmt: skip
    KeyStore(vault).note_use(key_id, FakeClock().now())
    capsys.readouterr()
    assert keys_command(environ, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CREATED", "KEY", "ID", "NAME", "SCOPES", "DOMAINS", "LAST", "USED", "STATE"]
    assert lines[1].split()[2:] == [key_id, "report", "read,submit", "all", "2026-01-02", "12:00", "good"]
    assert lines[2].split()[3:9] == ["ops", "manage", "files,qr", "never", "good", "until"]
    assert secret not in "".join(lines)
    assert keys_command(environ, "revoke", key_id) == 0
    assert "refused within two seconds" in capsys.readouterr().err
    keys_command(environ, "list")
    assert " revoked 20" in capsys.readouterr().out.splitlines()[1]


def test_a_key_that_expired_or_is_damaged_is_listed_as_such(
    environ: dict[str, str], vault: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    keys_command(environ, "create", "--name", "old", "--scopes", "read", "--expires-days", "1")
    [(key_id, text)] = vault.hgetall(KEYS).items()
    vault.hset(KEYS, {key_id: text.replace('expires_at":"20', 'expires_at":"19'), "0123456789ab": "{"})
    capsys.readouterr()
    keys_command(environ, "list")
    _, old, damaged = capsys.readouterr().out.splitlines()
    assert " expired 19" in old
    assert damaged.split() == ["?", "0123456789ab", "damaged"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["revoke", "nope"], "there is no key 'nope'"),
        (["create", "--name", "a\nb", "--scopes", "read"], "visible characters"),
    ],
)
def test_what_cannot_be_done_is_said(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert keys_command(environ, *arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "x"], "--scopes"),
        (["--name", "x", "--scopes", "read,write"], "read, submit, manage"),
        (["--name", "x", "--scopes", ""], "read, submit, manage"),
        (["--name", "x", "--scopes", "read", "--domains", "Files"], "expected domains"),
        (["--name", "x", "--scopes", "read", "--expires-days", "0"], "1 to 3650"),
        (["--name", "x", "--scopes", "read", "--expires-days", "many"], "1 to 3650"),
    ],
)
def test_a_wrong_command_line_is_refused(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        keys_command(environ, "create", *arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_without_redis_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys_command({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, "list") == 3
    told = capsys.readouterr().err
    assert "Redis does not answer" in told
    assert told.endswith(". Is REDIS_URL right?\n")
    assert keys_command({"REDIS_URL": "x"}, "list") == 2


def test_more_than_this_machine_is_not_served_without_a_key(
    server: EmbeddedRedis, vault: RedisClient, environ: dict[str, str], tmp_path: Path
) -> None:
    given = {**environment(environ["REDIS_URL"], tmp_path, free_port()), "JOBS_API_HOST": "0.0.0.0"}
    code, _, err = finished("jobs-api", "serve", environ=given)
    assert code == 2
    assert "JOBS_API_HOST" in err
    assert "jobs-api keys create" in err
    text = Keys(vault, FakeClock()).new("read")
    api = start("jobs-api", "serve", environ=given)
    try:
        wait_until(lambda: answers(f"{given['JOBS_API_URL']}/healthz"))
        assert not answers(f"{given['JOBS_API_URL']}/schema/openapi.json")
    finally:
        code, logged = stop(api)
    assert code == 0
    assert "access.keys_required" in logged
    assert text.split("_", 2)[2] not in logged
    # A key that is good no longer is none.
    Keys(vault, FakeClock()).revoke(text)
    assert finished("jobs-api", "serve", environ=given)[0] == 2


@pytest.mark.parametrize(
    ("host", "line"), [("127.0.0.1", "access.open"), ("0.0.0.0", "access.keys_required")]
)
def test_it_starts_without_redis_and_lets_nobody_in_before_it_is_there(
    tmp_path: Path, host: str, line: str
) -> None:
    redis_port = free_port()
    given = {
        **environment(f"redis://127.0.0.1:{redis_port}/0", tmp_path, free_port()),
        "JOBS_API_HOST": host,
    }
    api = start("jobs-api", "serve", environ=given)
    try:
        wait_until(lambda: answers(f"{given['JOBS_API_URL']}/healthz"))
        assert not answers(f"{given['JOBS_API_URL']}/schema/openapi.json")
        with EmbeddedRedis(port=redis_port):
            if host == "127.0.0.1":
                wait_until(lambda: answers(f"{given['JOBS_API_URL']}/schema/openapi.json"))
            else:
                assert not answers(f"{given['JOBS_API_URL']}/schema/openapi.json")
    finally:
        _, logged = stop(api)
    assert "access.not_known_yet" in logged
    assert line in logged
