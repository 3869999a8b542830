"""The chaos run: a short one with real processes, and proof that its count would see a broken promise."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypedDict

import pytest
from chaos.blows import LONG_PAUSE, Wishes, plan_blows
from chaos.counting import Count, count_all
from chaos.jobs import CHAOS, PlannedJob, plan_jobs
from chaos.mail_service import MoodyMailtrap
from chaos.publishing import Publisher
from local_platform import wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import default_events_log
from platform_core.logging import get_logger
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RECORD_PREFIX, DeliveryStore, Settlement
from platform_notify.intake import Intake
from platform_workers.event_log import EventLog
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

ROOT = Path(__file__).parent.parent


def test_a_short_run_keeps_every_promise(tmp_path: Path) -> None:
    """Killed and paused at random: one outcome each, no mail lost, none repeated without a cause."""
    words = {
        "--seed": 7, "--seconds": 10, "--jobs": 500, "--rq-jobs": 12, "--notifier-kills": 5,
        "--worker-kills": 2, "--redis-kills": 1, "--pauses": 2, "--trims": 1, "--folder": tmp_path / "chaos",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "chaos", *(str(part) for pair in words.items() for part in pair)],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SEED=7" in done.stdout
    assert "5  notifier kill" in done.stdout
    assert "1  redis kill" in done.stdout
    assert "1  log trimmed while no notifier ran" in done.stdout
    assert "500  outcomes" in done.stdout
    assert "Every promise was kept" in done.stdout
    processes = subprocess.run(["ps", "-A", "-ww", "-o", "args="], check=True, capture_output=True, text=True)
    assert str(tmp_path) not in processes.stdout


def test_wrong_words_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--jobs", "100001"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--jobs must be 1 to" in done.stderr


class World(TypedDict):
    """A platform after a run in which all went well, to break something in."""

    redis: RedisClient
    store: DeliveryStore
    jobs: list[PlannedJob]
    acknowledged: set[str]
    taken: Counter[str]


@pytest.fixture
def world() -> Iterator[World]:
    jobs = plan_jobs(4, 0, 0.0, Random(1))
    for job in jobs:
        job["on"] = ["SUCCESS", "FAILURE"]
    with EmbeddedRedis() as server:
        redis = server.client()
        publisher = Publisher(redis, jobs)
        publisher.start()
        assert wait_until(lambda: not publisher.is_alive(), 10)
        store = DeliveryStore(redis, SystemClock())
        yield {
            "redis": redis,
            "store": store,
            "jobs": jobs,
            "acknowledged": publisher.acknowledged,
            "taken": Counter(deliver(redis, store)),
        }
        redis.close()


def deliver(redis: RedisClient, store: DeliveryStore) -> list[str]:
    """Take in every outcome and settle its mail as sent; return the deliveries."""
    intake = Intake(
        redis=redis,
        store=store,
        clock=SystemClock(),
        logger=get_logger("test"),
        config={
            "channel": EMAIL,
            "provider_configured": True,
            "public_url": None,
            "max_age": timedelta(days=1),
        },
        wake=lambda: None,
    )
    for entry in EventLog(redis, group="g", consumer="c", idle=lambda _: None, domains=[CHAOS]).next(1.0):
        message = entry["message"]
        assert message["kind"] == "event"
        intake.take_logged(message, run=entry["run"], ended_at=datetime.now(UTC))
    claim = store.claim(EMAIL, "test", limit=10, lease=timedelta(minutes=1), token="t")
    for delivery in claim["deliveries"]:
        sent: Settlement = {
            "delivery_id": delivery["delivery_id"],
            "domain": CHAOS,
            "job_id": delivery["job_id"],
            "state": "sent",
            "counts": True,
        }
        store.settle(EMAIL, "t", [sent])
    return [delivery["delivery_id"] for delivery in claim["deliveries"]]


def count(world: World) -> Count:
    return count_all(
        world["redis"],
        world["store"],
        world["jobs"],
        acknowledged=world["acknowledged"],
        taken=world["taken"],
    )


def test_nothing_is_broken_where_all_went_well(world: World) -> None:
    found = count(world)
    assert found["broken"] == []
    assert (found["jobs"], found["outcomes"], found["expected"], found["arrived"]) == (4, 4, 4, 4)


def test_the_count_sees_a_lost_mail(world: World) -> None:
    lost = world["taken"].popitem()[0]
    assert [line.partition(" of ")[0] for line in count(world)["broken"]] == [f"mail lost: delivery {lost}"]


def test_the_count_sees_a_mail_that_arrived_while_its_record_says_otherwise(world: World) -> None:
    name = min(world["taken"])
    world["redis"].hset(RECORD_PREFIX + name, {"state": "dead"})
    assert "was taken, but its record says dead" in count(world)["broken"][0]


def test_the_count_sees_a_mail_repeated_without_a_cause(world: World) -> None:
    name = min(world["taken"])
    world["taken"][name] = 3
    assert f"repeated without a cause: delivery {name}" in count(world)["broken"][0]
    world["redis"].hset(RECORD_PREFIX + name, {"interrupted": "1"})
    assert "taken 3 times, interrupted 1" in count(world)["broken"][0]
    world["redis"].hset(RECORD_PREFIX + name, {"interrupted": "2"})
    found = count(world)
    assert (found["broken"], len(found["repeats"]), found["in_flight"]) == ([], 1, 1)


def gather(world: World) -> list[str]:
    """Let two of the mails be told in a digest; return their ids."""
    first, second, *_ = names = sorted(world["taken"])
    for name in (first, second):
        del world["taken"][name]
        world["redis"].hset(RECORD_PREFIX + name, {"digest": "d"})
    world["redis"].hset(
        RECORD_PREFIX + "d",
        {**world["redis"].hgetall(RECORD_PREFIX + first), "delivery_id": "d", "gathered": "2"},
    )
    world["redis"].connection.hdel(RECORD_PREFIX + "d", "digest")
    world["redis"].connection.expire(RECORD_PREFIX + "d", 100)
    world["taken"]["d"] = 1
    return names


def test_what_a_digest_told_has_arrived(world: World) -> None:
    gather(world)
    found = count(world)
    assert found["broken"] == []
    assert (found["expected"], found["arrived"], found["digests"], found["gathered"]) == (4, 4, 1, 2)


def test_the_count_sees_a_digest_that_was_lost(world: World) -> None:
    gather(world)
    del world["taken"]["d"]
    assert [line.partition(":")[0] for line in count(world)["broken"]] == ["mail lost"] * 2


def test_the_count_sees_a_mail_that_came_by_itself_and_in_a_digest(world: World) -> None:
    first = gather(world)[0]
    world["taken"][first] = 1
    assert count(world)["broken"] == [f"delivery {first} was mailed by itself and in digest d"]


def test_the_count_sees_a_digest_that_does_not_tell_all(world: World) -> None:
    gather(world)
    world["redis"].hset(RECORD_PREFIX + "d", {"gathered": "3"})
    assert count(world)["broken"] == ["digest d tells of 3 mails, and 2 name it"]


def test_the_count_sees_a_digest_repeated_without_a_cause(world: World) -> None:
    gather(world)
    world["taken"]["d"] = 2
    assert "repeated without a cause: delivery d of job-" in count(world)["broken"][0]


def test_the_count_sees_a_mail_that_nobody_asked_for(world: World) -> None:
    world["jobs"][0]["on"] = []
    assert [line.rpartition(", ")[2] for line in count(world)["broken"]] == ["but nobody asked for it"]


def test_the_count_sees_a_second_outcome(world: World) -> None:
    log = default_events_log(CHAOS)
    world["redis"].xadd(log, world["redis"].xrange(log)[-1]["fields"], max_length=1000)
    assert count(world)["broken"] == ["job job-000003 has 2 outcomes in the log"]


def test_the_count_sees_a_job_without_an_outcome(world: World) -> None:
    world["acknowledged"].add("job-x")
    world["redis"].hset(f"{CHAOS}:job:job-000000", {"status": "processing"})
    assert count(world)["broken"] == [
        "job job-000000 has an outcome in the log, but its record says processing",
        "job job-x has no outcome; its record says no record",
    ]


def test_the_count_sees_a_key_that_lives_for_ever(world: World) -> None:
    world["redis"].set("notify:stray:1", "1")
    world["redis"].set("notify:stray:2", "1", expire_seconds=60)
    assert count(world)["broken"] == ["1 keys like notify:stray:1 live for ever, for instance notify:stray:1"]


def test_a_seed_gives_the_same_plan_again() -> None:
    wishes: Wishes = {
        "seconds": 600.0, "notifiers": 3, "workers": 2, "notifier_kills": 50, "worker_kills": 20,
        "redis_kills": 5, "pauses": 60, "trims": 7,
    }  # fmt: skip
    plan = plan_blows(wishes, Random(5))
    assert plan == plan_blows(wishes, Random(5)) != plan_blows(wishes, Random(6))
    kills = Counter(blow["victim"] for blow in plan if blow["blow"] != "pause")
    assert kills == {"notifier": 50, "worker": 20, "redis": 5, "log": 7}
    assert [blow["at"] for blow in plan] == sorted(blow["at"] for blow in plan)
    assert any(blow["lasts"] >= LONG_PAUSE[0] for blow in plan)
    assert all(blow["lasts"] < LONG_PAUSE[0] for blow in plan if blow["victim"] == "redis")
    jobs = plan_jobs(100, 5, 10.0, Random(5))
    assert sum(job["on_rq"] for job in jobs) == 5
    assert jobs == plan_jobs(100, 5, 10.0, Random(5))


def test_the_mail_service_is_well_once_it_has_calmed_down(tmp_path: Path) -> None:
    with MoodyMailtrap(tmp_path / "ca.pem", random=Random(3), requests_a_spell=2) as server:
        body = (
            b'{"from":{"email":"a@example.com"},"to":[{"email":"b@example.com"}],"subject":"s","text":"t",'
            b'"custom_variables":{"delivery_id":"d"}}'
        )
        headers = {"authorization": "Bearer key"}
        server.calm_down()
        assert server.take("/api/send", headers, body)["status"] == 200
        assert (server.taken, server.treated) == ({"d": 1}, {"well": 1})
