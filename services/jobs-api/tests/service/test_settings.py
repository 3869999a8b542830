"""Settings: read once, refused all at once, never quoting a value."""

from pathlib import Path

import pytest
from platform_core.errors import SettingsError

from jobs_api.settings import (
    read_api_settings,
    read_client_settings,
    read_key_settings,
    read_worker_settings,
)

HERE = Path("/somewhere/a project")


def test_the_defaults_serve_this_machine_alone() -> None:
    settings = read_api_settings({}, HERE)
    assert settings == {
        "redis_url": "redis://127.0.0.1:6379/0",
        "host": "127.0.0.1",
        "port": 8080,
        "object_store_url": "file:///somewhere/a%20project/var/objects",
        "max_upload_bytes": 10 * 1024**3,
        "access": {
            "max_requests_per_second": 5_000,
            "max_event_streams": 5_000,
            "max_event_streams_per_key": 2_500,
            "cors_origins": (),
        },
        "trusted_proxies": (),
        "unsubscribe_secret": None,
        "log": {"level": "INFO", "json": False},
    }
    assert read_client_settings({}) == {"api_url": "http://127.0.0.1:8080"}


def test_api_and_worker_look_in_the_same_place() -> None:
    worker = read_worker_settings({}, HERE)
    assert worker["object_store_url"] == read_api_settings({}, HERE)["object_store_url"]
    assert worker["redis_url"] == read_api_settings({}, HERE)["redis_url"]
    assert worker["work_folder"].name == "jobs-worker"


def test_what_is_set_counts() -> None:
    environ = {
        "REDIS_URL": "rediss://cache.example:6380/2",
        "JOBS_API_HOST": "0.0.0.0",
        "JOBS_API_PORT": "9000",
        "OBJECT_STORE_URL": "s3://bucket/prefix",
        "JOBS_MAX_UPLOAD_BYTES": "5",
        "JOBS_WORK_FOLDER": "/scratch",
        "JOBS_API_URL": "https://jobs.example/base/",
        "UNSUBSCRIBE_SECRET": "s" * 32,
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }
    settings = read_api_settings(environ, HERE)
    assert (settings["host"], settings["port"], settings["max_upload_bytes"]) == ("0.0.0.0", 9000, 5)
    secret = settings["unsubscribe_secret"]
    assert secret is not None
    assert secret.reveal() == "s" * 32
    assert "ssss" not in repr(settings)
    assert settings["redis_url"] == "rediss://cache.example:6380/2"
    assert settings["object_store_url"] == "s3://bucket/prefix"
    assert settings["log"] == {"level": "DEBUG", "json": True}
    assert read_worker_settings(environ, HERE)["work_folder"] == Path("/scratch")
    assert read_client_settings(environ) == {"api_url": "https://jobs.example/base"}


def test_every_fault_is_in_one_message_and_no_value_is() -> None:
    environ = {
        "REDIS_URL": "http://secret",
        "JOBS_API_PORT": "99999",
        "OBJECT_STORE_URL": "memory://secret",
        "JOBS_MAX_UPLOAD_BYTES": "secret",
        "LOG_LEVEL": "SECRET",
    }
    with pytest.raises(SettingsError) as caught:
        read_api_settings(environ, HERE)
    assert [fault.split()[0] for fault in caught.value.faults] == [
        "REDIS_URL",
        "JOBS_API_PORT",
        "OBJECT_STORE_URL",
        "JOBS_MAX_UPLOAD_BYTES",
        "LOG_LEVEL",
    ]
    assert "secret" not in str(caught.value).lower()


def test_worker_and_client_refuse_wrong_settings_too() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        read_worker_settings({"REDIS_URL": "x"}, HERE)
    with pytest.raises(SettingsError, match="JOBS_API_URL"):
        read_client_settings({"JOBS_API_URL": "ftp://x"})


def test_who_may_call_and_how_much_can_be_set() -> None:
    environ = {
        "JOBS_MAX_REQUESTS_PER_SECOND": "0",
        "JOBS_MAX_EVENT_STREAMS": "7",
        "JOBS_MAX_EVENT_STREAMS_PER_KEY": "3",
        "JOBS_CORS_ORIGINS": " https://app.example, http://localhost:3000,https://[::1]:8443,",
        "JOBS_TRUSTED_PROXIES": "10.0.0.1, 192.168.0.0/16,::1",
    }
    settings = read_api_settings(environ, HERE)
    assert settings["access"] == {
        "max_requests_per_second": 0,
        "max_event_streams": 7,
        "max_event_streams_per_key": 3,
        "cors_origins": ("https://app.example", "http://localhost:3000", "https://[::1]:8443"),
    }
    assert settings["trusted_proxies"] == ("10.0.0.1", "192.168.0.0/16", "::1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOBS_CORS_ORIGINS", "*"),
        ("JOBS_CORS_ORIGINS", "https://*.example"),
        ("JOBS_CORS_ORIGINS", "https://a.example/"),
        ("JOBS_CORS_ORIGINS", "https://a.example https://b.example"),
        ("JOBS_CORS_ORIGINS", "null"),
        ("JOBS_TRUSTED_PROXIES", "*"),
        ("JOBS_TRUSTED_PROXIES", "proxy.example"),
        ("JOBS_MAX_REQUESTS_PER_SECOND", "-1"),
        ("JOBS_MAX_EVENT_STREAMS", "0"),
        ("JOBS_MAX_EVENT_STREAMS_PER_KEY", "0"),
    ],
)
def test_what_would_let_in_too_many_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_api_settings({name: value}, HERE)


def test_the_key_commands_need_redis_alone() -> None:
    assert read_key_settings({"JOBS_API_PORT": "x"}) == {"redis_url": "redis://127.0.0.1:6379/0"}
