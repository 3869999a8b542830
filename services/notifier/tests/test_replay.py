"""`notifier replay` brings dead mails back and says so in plain words."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from notifier_kit import mails, settings_for, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import TURKIC
from platform_notify.deliveries import EMAIL, Delivery, NewDelivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.replay import ReplayReport
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

from notifier.cli import run
from notifier.replay import MAX_LINES, tell_replay
from notifier.settings import read_settings
from notifier.wiring import build_service


def dead_delivery(redis: RedisClient, job_id: str = "j1") -> Delivery:
    """Make a delivery that was given up by Mailtrap."""
    clock = SystemClock()
    store, now = DeliveryStore(redis, clock), clock.now()
    delivery: NewDelivery = {
        "delivery_id": delivery_id_of(TURKIC, job_id, 1, "SUCCESS", EMAIL, "anna@example.com"),
        "domain": TURKIC,
        "job_id": job_id,
        "run": 1,
        "event": "SUCCESS",
        "channel": EMAIL,
        "recipient": "anna@example.com",
        "user_id": 7,
        "state": "waiting",
        "layer": "job",
        "detail": "",
        "created_at": now,
        "facts": {
            "domain": TURKIC,
            "job_id": job_id,
            "job_type": "train",
            "event": "SUCCESS",
            "error_kind": None,
            "message": None,
            "attempts": 1,
            "created_at": now,
            "started_at": now,
            "finished_at": now,
            "result_id": "r",
            "result_bytes": 5,
            "link": None,
        },
    }
    settlement: Settlement = {
        "delivery_id": delivery["delivery_id"],
        "domain": TURKIC,
        "job_id": job_id,
        "state": "dead",
        "counts": True,
        "detail": "the provider will never take this mail",
    }
    store.add(delivery)
    store.claim(EMAIL, "mailtrap", limit=1, lease=timedelta(seconds=9), token="t")
    store.settle(EMAIL, "t", [settlement])
    found = store.find(delivery["delivery_id"])
    assert found is not None
    return found


@pytest.fixture
def environ(server: EmbeddedRedis, tmp_path: Path) -> dict[str, str]:
    return settings_for(server.url, tmp_path)


def test_one_delivery_is_brought_back_and_the_notifier_sends_it(
    redis: RedisClient, environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, other = dead_delivery(redis), dead_delivery(redis, "j2")
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    capsys.readouterr()
    assert run(["replay", dead["delivery_id"]], environ) == 0
    told = capsys.readouterr().out.splitlines()
    wait_until(lambda: len(mails(tmp_path)) == 1)
    service.stop()
    assert [line for line in told if "notifier." not in line] == [
        "1 mail is due again. A running notifier sends within a few seconds.",
        f"  {dead['delivery_id']} about job j1 of turkic, given up before: {dead['detail']}.",
    ]
    store = DeliveryStore(redis, SystemClock())
    assert store.dead_ids(EMAIL) == [other["delivery_id"]]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--domain", "turkic"], 2),
        (["--provider", "mailtrap"], 2),
        (["--domain", "turkic", "--provider", "smtp"], 0),
    ],
)
def test_all_of_a_domain_or_a_provider_are_brought_back(
    redis: RedisClient,
    environ: dict[str, str],
    arguments: list[str],
    count: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead_delivery(redis)
    dead_delivery(redis, "j2")
    assert run(["replay", *arguments], environ) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("2 mails are due again." if count else "No mail that was given up fits")
    assert DeliveryStore(redis, SystemClock()).sizes(EMAIL)["waiting"] == count


def test_nothing_said_brings_nothing_back(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead_delivery(redis)
    assert run(["replay"], environ) == 2
    assert "say which" in capsys.readouterr().err
    assert DeliveryStore(redis, SystemClock()).sizes(EMAIL)["dead"] == 1


def test_what_is_no_domain_is_told(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--domain", "Turkic"], environ) == 1
    assert "domain" in capsys.readouterr().err


def test_doubts_and_broken_records_are_told(redis: RedisClient) -> None:
    report: ReplayReport = {
        "replayed": [dead_delivery(redis)] * (MAX_LINES + 2),
        "unsure": 3,
        "unreadable": 1,
    }
    report["replayed"][1] = {**report["replayed"][1], "gathered": 17}
    told = list(tell_replay(report))
    assert " about 17 jobs of turkic, given up before" in told[2]
    assert told[0].startswith("22 mails are due again.")
    assert told[-3:] == [
        "  ... and 2 more.",
        "3 of them may have been delivered before; then they come twice.",
        "1 mail is left as given up, because the record cannot be read.",
    ]
