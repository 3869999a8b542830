"""`notifier replay` brings dead mails back and says so in plain words."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from notifier_kit import mails, settings_for, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import TURKIC
from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL, Delivery, NewDelivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.providers.base import ErrorClass
from platform_notify.replay import ReplayReport
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

from notifier.cli import run
from notifier.replay import MAX_LINES, tell_replay
from notifier.settings import read_settings
from notifier.wiring import build_service

SPARED = (
    "left as given up, because the provider refused the mail for itself, such as for a wrong address."
    " --refused takes these too, a DELIVERY_ID the one."
)


def dead_delivery(
    redis: RedisClient, job_id: str = "j1", fault: ErrorClass = "server", *, unsure: bool = False
) -> Delivery:
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
        "detail": "every attempt failed for 2 hours",
        "attempts": [
            {
                "at": now,
                "provider": "mailtrap",
                "result": fault,
                "detail": "it said no",
                "ambiguous": unsure,
                "duration_ms": 1,
            }
        ],
    }
    if unsure:
        settlement["unsure"] = "yes"
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
    told = capsys.readouterr().err
    assert "say which" in told
    assert "--list shows" in told
    assert DeliveryStore(redis, SystemClock()).sizes(EMAIL)["dead"] == 1


def test_what_is_no_domain_is_told(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--domain", "Turkic"], environ) == 1
    assert "domain" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--domain=turkic", "--provider=mailtrap"])
def test_of_many_those_refused_for_themselves_are_left_out_unless_they_are_asked_for(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    dead_delivery(redis)
    refused = dead_delivery(redis, "j2", "refused")
    store = DeliveryStore(redis, SystemClock())
    assert run(["replay", name], environ) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("1 mail is due again.")
    assert told[-1] == f"1 mail is {SPARED}"
    assert store.dead_ids(EMAIL) == [refused["delivery_id"]]
    assert run(["replay", name, "--refused"], environ) == 0
    assert capsys.readouterr().out.startswith("1 mail is due again.")
    assert store.dead_ids(EMAIL) == []


def test_one_that_was_refused_is_brought_back_by_its_id(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused = dead_delivery(redis, "j1", "refused")
    assert run(["replay", refused["delivery_id"]], environ) == 0
    assert capsys.readouterr().out.startswith("1 mail is due again.")


def test_what_is_due_again_waits_while_the_account_is_refused(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead_delivery(redis)
    Circuit(redis, "maildir", SystemClock()).open("535 denied")
    assert run(["replay", "--domain", "turkic"], environ) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("1 mail is due again. The provider maildir refuses the account since 20")
    assert first.endswith(" UTC; what is due waits until it is taken again.")


def test_what_was_given_up_is_listed_and_stays_so(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead = dead_delivery(redis, unsure=True)
    refused = dead_delivery(redis, "j2", "refused")
    assert run(["replay", "--list"], environ) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(", given up at 20")[0] for line in told] == [
        "1 mail is given up and can be sent after all:",
        f"  {dead['delivery_id']} about job j1 of turkic",
        f"1 mail is {SPARED}",
        f"  {refused['delivery_id']} about job j2 of turkic",
    ]
    assert told[1].endswith(
        " UTC: every attempt failed for 2 hours. Last: server, it said no. It may have been delivered before."
    )
    assert told[3].endswith(" UTC: every attempt failed for 2 hours. Last: refused, it said no.")
    assert run(["replay", "--list", "--refused", "--domain", "turkic"], environ) == 0
    assert capsys.readouterr().out.startswith("2 mails are given up and can be sent after all:\n")
    assert run(["replay", "--list", "--provider", "smtp"], environ) == 0
    assert capsys.readouterr().out == "No mail that was given up fits.\n"
    assert DeliveryStore(redis, SystemClock()).sizes(EMAIL) == {"waiting": 0, "dead": 2}


def test_listing_says_what_it_cannot_do(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--list", "--domain", "Turkic"], environ) == 1
    assert "domain" in capsys.readouterr().err


def test_doubts_and_broken_records_are_told(redis: RedisClient) -> None:
    report: ReplayReport = {
        "replayed": [dead_delivery(redis)] * (MAX_LINES + 2),
        "unsure": 3,
        "refused": 2,
        "unreadable": 1,
    }
    report["replayed"][1] = {**report["replayed"][1], "gathered": 17}
    told = list(tell_replay(report, "smtp", {"state": "open"}))
    assert " about 17 jobs of turkic, given up before" in told[2]
    assert told[0] == (
        "22 mails are due again. The provider smtp refuses the account; what is due waits until it is taken"
        " again."
    )
    assert told[-4:] == [
        "  ... and 2 more.",
        "3 of them may have been delivered before; then they come twice.",
        f"2 mails are {SPARED}",
        "1 mail is left as given up, because the record cannot be read.",
    ]


def test_an_id_that_there_is_not_is_told(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command said that nothing fits, and ended as if all was well."""
    dead = dead_delivery(redis)
    assert run(["replay", "0" * 32], environ) == 1
    assert f"there is no delivery {'0' * 32};" in capsys.readouterr().err
    assert run(["replay", dead["delivery_id"], "--domain", "digits"], environ) == 1
    assert "does not fit what else was asked for" in capsys.readouterr().err
    assert run(["replay", dead["delivery_id"]], environ) == 0
    assert run(["replay", dead["delivery_id"]], environ) == 1
    assert capsys.readouterr().err.endswith("was not given up: it is waiting.\n")


def test_a_named_one_whose_record_cannot_be_read_is_told(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead = dead_delivery(redis)
    redis.hset(f"notify:delivery:{dead['delivery_id']}", {"run": "x"})
    assert run(["replay", dead["delivery_id"]], environ) == 1
    told = capsys.readouterr()
    assert "1 mail is left as given up, because the record cannot be read." in told.out
    assert told.err == ""


def test_a_provider_that_wants_to_be_left_alone_is_told(
    redis: RedisClient, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead = dead_delivery(redis)
    Circuit(redis, "maildir", SystemClock()).pause(timedelta(minutes=50))
    assert run(["replay", dead["delivery_id"]], environ) == 0
    assert "The provider maildir has asked to be left alone until " in capsys.readouterr().out
