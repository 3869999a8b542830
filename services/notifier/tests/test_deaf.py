"""A notifier whose subscription is dead says so, and hears again by itself."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from notifier_kit import completed, foreign_job, get, mails, publish, settings_for, wait_until
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from relay import Relay

from notifier.settings import read_settings
from notifier.wiring import build_service


@contextmanager
def running(environ: dict[str, str]) -> Iterator[int]:
    """Run a notifier in this process; the value is the port of its health page."""
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    try:
        wait_until(lambda: get(service.port, "/readyz")[0] == 200)
        yield service.port
    finally:
        service.stop()


@pytest.fixture
def relay(server: EmbeddedRedis) -> Iterator[Relay]:
    port = urlsplit(server.url).port
    assert port is not None
    with Relay(port) as relay:
        yield relay


def listeners(redis: RedisClient) -> int:
    """Return how many subscriptions to the live channels Redis knows of."""
    return redis.connection.pubsub_numpat()


@pytest.mark.parametrize("domains", ["", "turkic,digits"])
def test_a_cut_cable_is_noticed_told_and_replaced(
    redis: RedisClient, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domains: str
) -> None:
    """Neither end notices: no error comes, only silence."""
    monkeypatch.setattr("notifier.canary.EVERY_SECONDS", 0.4)
    monkeypatch.setattr("notifier.canary.DEAF_SECONDS", 1.0)
    monkeypatch.setattr("notifier.watch.LOOK_SECONDS", 0.1)
    told: list[str] = []

    def is_red(port: int) -> bool:
        status, text = get(port, "/readyz")
        told.append(text)
        return status == 503

    with running({**settings_for(relay.url, tmp_path), "NOTIFIER_DOMAINS": domains}) as port:
        assert relay.cut_subscriptions() == 1
        wait_until(lambda: is_red(port))
        wait_until(lambda: get(port, "/readyz") == (200, '{"status":"ready","reasons":[]}'))
        metrics = get(port, "/metrics")[1]
        # It hears what is only published and never logged, through the new subscription.
        foreign_job(redis)
        publish(redis, completed())
        wait_until(lambda: len(mails(tmp_path)) == 1)
    assert "live channels" in told[-1]
    assert "notifier_deaf_total 1.0" in metrics
    assert "notifier_ready 1.0" in metrics


def test_a_subscription_that_redis_ends_is_made_again_and_proven(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    with running(settings_for(server.url, tmp_path)) as port:
        redis.connection.client_kill_filter(_type="pubsub")
        wait_until(lambda: listeners(redis) == 1 and get(port, "/readyz")[0] == 200)
        foreign_job(redis)
        publish(redis, completed())
        wait_until(lambda: len(mails(tmp_path)) == 1)
    assert listeners(redis) == 0


def test_the_canary_leaves_no_key(server: EmbeddedRedis, redis: RedisClient, tmp_path: Path) -> None:
    with running(settings_for(server.url, tmp_path)) as port:
        assert 'notifier_canary_round_trip_seconds_bucket{le="+Inf"}' in get(port, "/metrics")[1]
        with closing(server.client()) as other:
            assert other.keys("*") == []
