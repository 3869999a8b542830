"""Whatever the mail provider does, the notifier goes on hearing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

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


def mailtrap_settings(server: EmbeddedRedis, folder: Path, mailtrap: MailtrapServer) -> dict[str, str]:
    return {
        **settings_for(server.url, folder),
        "MAIL_PROVIDER": "mailtrap",
        "MAILTRAP_API_KEY": "key",
        "MAILTRAP_INBOX_ID": "1",
        "MAILTRAP_API_HOST": mailtrap.host,
        "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
    }


def waits_of(end_job: Callable[[str], None], has_come: Callable[[str], bool], prefix: str) -> list[float]:
    """Return the seconds from the end of a job to what is waited for, for many jobs one by one."""
    waits: list[float] = []
    for number in range(JOBS):
        job_id = f"{prefix}{number}"
        begun = perf_counter()
        end_job(job_id)
        wait_until(partial(has_come, job_id))
        waits.append(perf_counter() - begun)
    return waits


def assert_unchanged(before: list[float], beside: list[float]) -> None:
    """On a machine that is never quiet, tell milliseconds from the 15 s of a call that hangs."""
    assert median(beside) < median(before) + 1
    assert max(beside) < max(before) + 10


@pytest.mark.parametrize("answer", [hang(), error(500)], ids=["hangs", "answers 500"])
def test_outcomes_are_heard_as_fast_as_ever_while_mailtrap(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, answer: Answer
) -> None:
    mailtrap, store = MailtrapServer(tmp_path / "ca.pem"), DeliveryStore(redis, SystemClock())

    def is_recorded(job_id: str) -> bool:
        return bool(store.of_job(TURKIC, job_id))

    # The server is stopped before the notifier, so that nothing hangs when that one stops.
    with running(mailtrap_settings(server, tmp_path, mailtrap)) as port, mailtrap:
        before = waits_of(partial(complete_job, redis), is_recorded, "before")
        wait_until(lambda: store.sizes(EMAIL)["waiting"] == 0)
        mailtrap.answer_always(answer)
        asked = len(mailtrap.requests)
        complete_job(redis, "first")
        # The misbehaviour is met before the other outcomes are published.
        wait_until(lambda: len(mailtrap.requests) > asked)
        beside = waits_of(partial(complete_job, redis), is_recorded, "beside")
        wait_until(lambda: get(port, "/readyz")[0] == 200)
    assert_unchanged(before, beside)


def test_outcomes_are_heard_as_fast_as_ever_while_the_provider_raises(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DeliveryStore(redis, SystemClock())

    def is_recorded(job_id: str) -> bool:
        return bool(store.of_job(TURKIC, job_id))

    def burst(_provider: MaildirProvider, messages: list[MailMessage]) -> list[SendResult]:
        raise Exception("bare")

    with running(settings_for(server.url, tmp_path)) as port:
        before = waits_of(partial(complete_job, redis), is_recorded, "before")
        wait_until(lambda: store.sizes(EMAIL)["waiting"] == 0)
        monkeypatch.setattr(MaildirProvider, "send", burst)
        beside = waits_of(partial(complete_job, redis), is_recorded, "beside")
        wait_until(lambda: get(port, "/readyz")[0] == 200)
    assert store.sizes(EMAIL)["waiting"] == JOBS
    assert_unchanged(before, beside)


def test_a_call_that_hangs_holds_up_no_other_mail_of_the_same_provider(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    """Each sender has a connection of its own; the other one goes on."""
    mailtrap = MailtrapServer(tmp_path / "ca.pem")

    def has_left(job_id: str) -> bool:
        return any(f"/jobs/turkic/{job_id}" in mail["mail"].get("text", "") for mail in mailtrap.mails)

    with running(mailtrap_settings(server, tmp_path, mailtrap)), mailtrap:
        before = waits_of(partial(complete_job, redis), has_left, "before")
        mailtrap.answer_next(hang())
        asked = len(mailtrap.requests)
        complete_job(redis, "hangs")
        wait_until(lambda: len(mailtrap.requests) > asked)
        beside = waits_of(partial(complete_job, redis), has_left, "beside")
    assert not has_left("hangs")
    assert_unchanged(before, beside)


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
