"""Whatever the mail provider does, the notifier goes on hearing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from notifier_kit import complete_job, get, settings_for, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import TURKIC
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.messages import MailMessage
from platform_notify.providers.base import SendResult
from platform_notify.providers.maildir import MaildirProvider
from platform_notify.testing import MailtrapServer
from platform_notify.testing.mailtrap_answers import Answer, error, hang
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

from notifier.settings import read_settings
from notifier.wiring import build_service

JOBS = 20


@contextmanager
def running(environ: dict[str, str]) -> Iterator[int]:
    """Run a notifier in this process; the value is the port of its health page."""
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    try:
        yield service.port
    finally:
        service.stop()


def heard_all(redis: RedisClient) -> Callable[[], bool]:
    store = DeliveryStore(redis, SystemClock())
    return lambda: store.sizes(EMAIL)["waiting"] == JOBS


def mailtrap_settings(server: EmbeddedRedis, folder: Path, mailtrap: MailtrapServer) -> dict[str, str]:
    return {
        **settings_for(server.url, folder),
        "MAIL_PROVIDER": "mailtrap",
        "MAILTRAP_API_KEY": "key",
        "MAILTRAP_INBOX_ID": "1",
        "MAILTRAP_API_HOST": mailtrap.host,
        "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
    }


@pytest.mark.parametrize("answer", [hang(), error(500)], ids=["hangs", "answers 500"])
def test_outcomes_are_heard_while_mailtrap(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, answer: Answer
) -> None:
    mailtrap = MailtrapServer(tmp_path / "ca.pem")
    mailtrap.answer_always(answer)
    # The server is stopped before the notifier, so that nothing hangs when that one stops.
    with running(mailtrap_settings(server, tmp_path, mailtrap)) as port, mailtrap:
        complete_job(redis, "j0")
        # The misbehaviour is met before the other outcomes are published.
        wait_until(lambda: bool(mailtrap.requests))
        for number in range(1, JOBS):
            complete_job(redis, f"j{number}")
        wait_until(heard_all(redis))
        wait_until(lambda: get(port, "/readyz")[0] == 200)


def test_outcomes_are_heard_while_the_provider_raises(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(_provider: MaildirProvider, messages: list[MailMessage]) -> list[SendResult]:
        raise Exception("bare")

    monkeypatch.setattr(MaildirProvider, "send", burst)
    with running(settings_for(server.url, tmp_path)) as port:
        for number in range(JOBS):
            complete_job(redis, f"j{number}")
        wait_until(heard_all(redis))
        wait_until(lambda: get(port, "/readyz")[0] == 200)


@pytest.mark.parametrize(("choice", "waiting", "dead"), [("resend", 1, 0), ("hold", 0, 1)])
def test_a_mail_without_an_answer_is_kept_or_given_up_as_the_operator_chose(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, choice: str, waiting: int, dead: int
) -> None:
    mailtrap = MailtrapServer(tmp_path / "ca.pem")
    mailtrap.answer_always(error(500))
    store = DeliveryStore(redis, SystemClock())
    environ = {**mailtrap_settings(server, tmp_path, mailtrap), "MAIL_WHEN_UNSURE": choice}
    with running(environ), mailtrap:
        complete_job(redis, "j1")
        wait_until(
            lambda: any(note for one in store.of_job(TURKIC, "j1") for note in one.get("attempts", []))
        )
    sizes = store.sizes(EMAIL)
    assert (sizes["waiting"], sizes["dead"]) == (waiting, dead)
