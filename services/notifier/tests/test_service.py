"""The whole notifier in this process, on a real server: feeds, sender, health page, start and stop."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from statistics import median

import pytest
from notifier_kit import (
    OwnServer,
    complete_job,
    completed,
    foreign_job,
    get,
    mails,
    notifier_keys,
    our_job,
    publish,
    settings_for,
    told_jobs,
    wait_until,
)
from platform_core.clock import SystemClock
from platform_core.job_events import DIGITS, TURKIC
from platform_notify.delivery_store import DeliveryStore
from platform_notify.messages import MailMessage
from platform_notify.providers.base import SENDING_SECONDS, SendResult, sent
from platform_notify.providers.maildir import MaildirProvider
from platform_notify.providers.secret import Secret
from platform_notify.testing import MailtrapServer, SmtpServer
from platform_notify.unsubscribe import UnsubscribeTokens
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger
from typing_extensions import override

from notifier import service as service_module
from notifier.health_server import HealthServer
from notifier.loops import Loop, Outage
from notifier.service import LoopThreads, Service
from notifier.settings import read_settings
from notifier.wiring import build_service


@contextmanager
def running(environ: dict[str, str]) -> Iterator[Service]:
    """Run a notifier in this process while the block runs."""
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def running_ready(environ: dict[str, str]) -> Iterator[Service]:
    with running(environ) as service:
        wait_until(lambda: get(service.port, "/readyz")[0] == 200)
        yield service


def sent_count(redis: RedisClient) -> int:
    keys = redis.keys("notify:delivery:*")
    return sum(redis.hgetall(key)["state"] == "sent" for key in keys)


def has_mails(folder: Path, count: int) -> bool:
    return len(mails(folder)) == count


def unfinished(redis: RedisClient, domain: str) -> int:
    """Return how many entries of a log are not read or not acknowledged."""
    state = redis.xgroup_state(f"{domain}:events:log", "notifier")
    return -1 if state is None else state["pending"] + state.get("lag", 1)


def test_each_outcome_is_told_once_from_both_feeds(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    with running_ready(settings_for(server.url, tmp_path)) as service:
        for number in range(20):
            complete_job(redis, f"j{number:02}")
        our_job(redis, "bad").publish_failed("user", "bad row 3")
        complete_job(redis, "other", domain=DIGITS)
        wait_until(lambda: sent_count(redis) == 22)
        wait_until(lambda: unfinished(redis, "turkic") == unfinished(redis, "digits") == 0)
        metrics = get(service.port, "/metrics")[1]
    assert told_jobs(tmp_path) == sorted([f"j{number:02}" for number in range(20)] + ["bad", "other"])
    assert 'notifier_deliveries_total{reason="",state="sent"} 22.0' in metrics
    assert 'notifier_events_total{feed="live",type="job.completed.v1"} 21.0' in metrics


def test_many_failures_make_an_alert_and_a_digest(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    environ = {
        **settings_for(server.url, tmp_path),
        "MAIL_DIGEST_WINDOW": "2s",
        "UNSUBSCRIBE_SECRET": "s" * 32,
    }
    counts = (
        'notifier_deliveries_total{reason="",state="gathered"} 5.0',
        'notifier_deliveries_total{reason="",state="sent"} 6.0',
        'notifier_digests_total{state="sent"} 1.0',
    )
    with running_ready(environ) as service:
        for number in range(6):
            our_job(redis, f"j{number}").publish_failed("user", "bad row 3")
        wait_until(lambda: has_mails(tmp_path, 2))
        wait_until(lambda: sent_count(redis) == 7)
        # They are counted after they are recorded.
        wait_until(lambda: all(line in get(service.port, "/metrics")[1] for line in counts))
    read = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in mails(tmp_path)]
    assert sorted(str(mail["Subject"]) for mail in read) == [
        "5 more jobs failed in the last minute: turkic",
        "Job failed, please check your input: train",
    ]
    tokens = UnsubscribeTokens(Secret("s" * 32))
    for mail in read:
        url = str(mail["List-Unsubscribe"]).strip("<>")
        assert url.startswith("https://jobs.example.com/unsubscribe?token=")
        assert tokens.verify(url.partition("=")[2]) == {"domain": TURKIC, "users": ["7"]}
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Auto-Submitted"] == "auto-generated"
    assert told_jobs(tmp_path) == [f"j{number}" for number in range(6)]
    assert notifier_keys(server) == []


def test_only_the_domains_of_the_settings_are_told_of(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    with running_ready({**settings_for(server.url, tmp_path), "NOTIFIER_DOMAINS": "digits"}):
        complete_job(redis, "j1", domain=TURKIC)
        complete_job(redis, "j2", domain=DIGITS)
        wait_until(lambda: sent_count(redis) == 1)
    assert told_jobs(tmp_path) == ["j2"]


def test_two_replicas_share_the_work_and_send_nothing_twice(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    class CountingMaildir(MaildirProvider):
        """Remembers what every replica was given to send."""

        @override
        def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
            given.extend(message["delivery_id"] for message in messages)
            return super().send(messages, seconds)

    monkeypatch.setattr("notifier.wiring.MaildirProvider", CountingMaildir)
    environ = settings_for(server.url, tmp_path)
    with running_ready(environ), running_ready(environ):
        for number in range(150):
            complete_job(redis, f"j{number:03}")
        wait_until(lambda: sent_count(redis) == 150)
    assert len(mails(tmp_path)) == 150
    assert len(given) == 150
    assert len(set(given)) == 150


def test_what_was_published_before_the_first_start_is_told(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    for number in range(5):
        complete_job(redis, f"j{number}")
    with running(settings_for(server.url, tmp_path)):
        wait_until(lambda: sent_count(redis) == 5)
    assert told_jobs(tmp_path) == [f"j{number}" for number in range(5)]


def test_it_starts_before_redis_and_waits(own_server: OwnServer, tmp_path: Path) -> None:
    with running(settings_for(own_server.url, tmp_path)) as service:
        status, text = get(service.port, "/readyz")
        assert status == 503
        assert "Redis cannot be asked" in text
        assert get(service.port, "/healthz") == (200, "The notifier runs.\n")
        own_server.start()
        wait_until(lambda: get(service.port, "/readyz")[0] == 200)
        with closing(own_server.client()) as redis:
            foreign_job(redis)
            publish(redis, completed())
            wait_until(lambda: sent_count(redis) == 1)


def test_it_survives_a_restart_of_redis_that_forgets_everything(
    own_server: OwnServer, tmp_path: Path
) -> None:
    own_server.start()
    with running_ready(settings_for(own_server.url, tmp_path)) as service:
        with closing(own_server.client()) as redis:
            complete_job(redis, "j1")
            wait_until(lambda: sent_count(redis) == 1)
        own_server.stop()
        wait_until(lambda: get(service.port, "/readyz")[0] == 503)
        own_server.start()
        wait_until(lambda: get(service.port, "/readyz")[0] == 200)
        with closing(own_server.client()) as redis:
            complete_job(redis, "j2")
            wait_until(lambda: sent_count(redis) == 1)
            # The group is made anew, too.
            wait_until(lambda: unfinished(redis, "turkic") == 0)
    assert told_jobs(tmp_path) == ["j1", "j2"]


def job_state(redis: RedisClient) -> dict[str, object]:
    """Return everything Redis holds about jobs, but for how far the notifier has read the log."""
    keys = [
        key for key in redis.keys("*") if not key.startswith("notify:") and not key.endswith(":events:log")
    ]
    return {key: (redis.connection.dump(key), redis.ttl(key) > 0) for key in keys}


def test_nothing_the_notifier_does_touches_a_job(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    for number in range(3):
        complete_job(redis, f"j{number}")
    our_job(redis, "running")
    foreign_job(redis, "foreign")
    before = job_state(redis)
    with running_ready(settings_for(server.url, tmp_path)):
        publish(redis, completed("foreign"))
        publish(redis, completed("running"))
        redis.publish("turkic:events", b"\xff")
        wait_until(lambda: sent_count(redis) == 4)
        wait_until(lambda: bool(redis.lrange("notify:undecodable", 0, -1)))
    assert job_state(redis) == before
    assert len(redis.xrange("turkic:events:log")) == 7


def test_messages_of_every_broken_kind_are_kept_and_stop_nothing(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    good = '{"type":"turkic.job.completed.v1","domain":"turkic","job_id":"j1","user_id":7,"result_id":"r",'
    broken = [
        b"no JSON", b"\x00\xff\xfe", b"[" * 100_000, b"x" * 10_000_000, b"{}", b'{"type":5}',
        (good + '"result_bytes":true}').encode(),
        (good.replace("j1", "a:b") + '"result_bytes":1}').encode(),
        (good.replace("j1", "a\\nb") + '"result_bytes":1}').encode(),
        (good.replace("turkic", "digits") + '"result_bytes":1}').encode(),
    ]  # fmt: skip
    with running_ready(settings_for(server.url, tmp_path)) as service:
        for data in broken:
            redis.publish("turkic:events", data)
        redis.publish("turkic:events", '{"type":"turkic.job.paused.v9"}')
        foreign_job(redis)
        publish(redis, completed())
        wait_until(lambda: sent_count(redis) == 1)
        metrics = get(service.port, "/metrics")[1]
    assert f'notifier_undecodable_total{{feed="live"}} {len(broken)}.0' in metrics
    assert 'notifier_events_total{feed="live",type="unknown"} 1.0' in metrics
    assert len(redis.lrange("notify:undecodable", 0, -1)) == len(broken)


# -- Mailtrap -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "path"),
    [
        ({"MAILTRAP_USE_SANDBOX": "true", "MAILTRAP_INBOX_ID": "4711"}, "/api/send/4711"),
        ({"MAILTRAP_USE_SANDBOX": "false"}, "/api/send"),
    ],
)
def test_a_mail_leaves_through_mailtrap_in_one_request(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, mode: dict[str, str], path: str
) -> None:
    key = "0123456789abcdef-secret"
    with MailtrapServer(tmp_path / "ca.pem", token=key) as mailtrap:
        environ = {
            "REDIS_URL": server.url,
            "MAIL_FROM_EMAIL": "jobs@example.com",
            "NOTIFIER_PORT": "0",
            "MAILTRAP_API_KEY": key,
            "MAILTRAP_API_HOST": mailtrap.host,
            "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
            **mode,
        }
        with running_ready(environ):
            complete_job(redis)
            wait_until(lambda: sent_count(redis) == 1)
    assert [request["path"] for request in mailtrap.requests] == [path]
    stored = "".join(str(redis.hgetall(name)) for name in redis.keys("notify:delivery:*"))
    assert key not in stored


def test_a_mail_leaves_over_smtp(server: EmbeddedRedis, redis: RedisClient, tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "ca.pem", login=("user", "word")) as smtp:
        environ = {
            **settings_for(server.url, tmp_path),
            "MAIL_PROVIDER": "smtp",
            "SMTP_URL": f"smtp://user:word@127.0.0.1:{smtp.port}?starttls=false",
        }
        with running_ready(environ):
            complete_job(redis)
            wait_until(lambda: sent_count(redis) == 1)
    assert [mail["to"] for mail in smtp.mails] == [["anna@example.com"]]


def test_a_lone_mail_does_not_wait(server: EmbeddedRedis, redis: RedisClient, tmp_path: Path) -> None:
    """Nothing on its way looks only every now and then."""
    clock, took = SystemClock(), list[float]()
    with running_ready(settings_for(server.url, tmp_path)):
        for number in range(11):
            job = our_job(redis, f"j{number}")
            began = clock.monotonic()
            job.publish_completed(result_id="r", result_bytes=1)
            wait_until(partial(has_mails, tmp_path, number + 1))
            took.append(clock.monotonic() - began)
    assert median(took) < 0.25


def test_a_replica_whose_machine_is_ahead_goes_by_the_time_of_redis(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own time it would take over, and send again, what another replica is just sending."""
    machine = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: machine(clock) + timedelta(minutes=5))
    with running_ready(settings_for(server.url, tmp_path)):
        complete_job(redis)
        wait_until(lambda: sent_count(redis) == 1)
    (delivery,) = DeliveryStore(redis, SystemClock()).of_job(TURKIC, "j1")
    for moment in (delivery["created_at"], delivery["attempts"][0]["at"], delivery["settled_at"]):
        assert abs(moment - redis.now()) < timedelta(minutes=1)


# -- start and stop -----------------------------------------------------------------------------------


def test_a_stop_finishes_what_is_being_sent(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, release = threading.Event(), threading.Event()

    class Slow(MaildirProvider):
        @override
        def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
            began.set()
            assert release.wait(30)
            return super().send(messages, seconds)

    monkeypatch.setattr("notifier.wiring.MaildirProvider", Slow)
    service = build_service(read_settings(settings_for(server.url, tmp_path)), threading.Event())
    service.start()
    complete_job(redis)
    assert began.wait(30)
    stopper = threading.Thread(target=service.stop)
    stopper.start()
    release.set()
    stopper.join(30)
    assert not stopper.is_alive()
    assert sent_count(redis) == 1
    assert redis.xgroup_readers("turkic:events:log", "notifier") == []


def test_a_provider_that_hangs_does_not_hold_up_the_stop_and_its_mail_comes_back(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, release = threading.Event(), threading.Event()

    class Hanging(MaildirProvider):
        @override
        def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
            began.set()
            assert release.wait(60)
            return [sent([], "") for _ in messages]

    monkeypatch.setattr("notifier.wiring.MaildirProvider", Hanging)
    monkeypatch.setattr(service_module, "STOP_SECONDS", 0.2)
    service = build_service(read_settings(settings_for(server.url, tmp_path)), threading.Event())
    service.start()
    complete_job(redis)
    assert began.wait(30)
    service.stop()
    (delivery,) = DeliveryStore(redis, SystemClock()).of_job(TURKIC, "j1")
    assert delivery["state"] == "waiting"
    assert "claim" in delivery
    assert redis.zcard("notify:due:email") == 1
    # A process would have ended here; this one lets its threads come to their end.
    release.set()
    wait_until(lambda: sent_count(redis) == 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_part_that_has_ended_makes_the_notifier_ill(logger: FakeLogger) -> None:
    stopping = threading.Event()
    outage = Outage(logger, FakeClock())

    class Ends(BaseException):
        """No loop's frame holds this."""

    def end() -> None:
        raise Ends

    def wait() -> None:
        stopping.wait(30)

    loops = [
        Loop(
            name=name,
            step=step,
            stopping=stopping,
            outage=outage,
            logger=logger,
            clock=SystemClock(),
            patience=60.0,
        )
        for name, step in (("ends", end), ("waits", wait))
    ]
    threads = LoopThreads(loops)
    threads.start()
    wait_until(lambda: not threads.is_alive())
    assert threads.troubles() == ["The part `ends` has ended; only a restart brings it back."]
    stopping.set()
    assert threads.join(30, SystemClock()) == []


def test_a_fault_of_one_clean_up_does_not_keep_from_the_next(
    own_server: OwnServer, tmp_path: Path, logger: FakeLogger
) -> None:
    cleaned: list[str] = []
    with closing(own_server.client()) as redis:
        service = Service(
            threads=LoopThreads([]),
            health=HealthServer(host="127.0.0.1", port=0, pages={}),
            stopping=threading.Event(),
            wakes=[threading.Event()],
            clean_up=[redis.ping, lambda: cleaned.append("second")],
            clock=SystemClock(),
            logger=logger,
        )
        service.start()
        service.stop()
    assert cleaned == ["second"]
    assert logger.events() == ["notifier.started", "notifier.clean_up_failed", "notifier.stopped"]


def test_healthz_tells_of_a_part_that_has_ended(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(running(settings_for(server.url, tmp_path)))
        monkeypatch.setattr(LoopThreads, "is_alive", lambda threads: False)
        assert get(service.port, "/healthz") == (503, "A part of the notifier has ended.\n")
