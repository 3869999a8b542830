"""The chaos run: a short one with real processes, and proof that its count would see a broken promise."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypedDict

import httpx
import pytest
from chaos.api_calls import ApiCaller
from chaos.blows import LONG_PAUSE, Wishes, plan_blows
from chaos.counting import Count, count_all
from chaos.deeds import People, PlannedDeed, Told, What, plan_deeds, runs_told
from chaos.jobs import CHAOS, FILES, PlannedJob, plan_jobs
from chaos.listening import GAP, EventClient, read_stream, unheard
from chaos.log_reading import Logged, read_log
from chaos.mail_service import MoodyMailtrap
from chaos.publishing import Publisher
from chaos.submitting import HttpSubmitter
from local_platform import wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import default_events_log
from platform_core.json_values import JsonValue, decode_json, encode_json
from platform_core.logging import get_logger
from platform_notify.deliveries import EMAIL, delivery_id_of
from platform_notify.delivery_store import RECORD_PREFIX, DeliveryStore, Settlement
from platform_notify.intake import Intake
from platform_workers.event_log import EventLog
from platform_workers.job_control import make_job_control
from platform_workers.redis import RedisClient
from platform_workers.submission import idempotent_job_id
from platform_workers.testing import EmbeddedRedis

ROOT = Path(__file__).parent.parent


def test_a_short_run_keeps_every_promise(tmp_path: Path) -> None:
    """Killed and paused at random: one outcome each, no mail lost, none repeated without a cause."""
    words = {
        "--seed": 7, "--seconds": 10, "--jobs": 500, "--rq-jobs": 10, "--http-jobs": 10, "--cancels": 15,
        "--retries": 8, "--notifier-kills": 5, "--worker-kills": 2, "--api-kills": 1, "--redis-kills": 1,
        "--pauses": 2, "--trims": 1, "--folder": tmp_path / "chaos",
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
    assert "1  api kill" in done.stdout
    assert "500  jobs that Redis or the API acknowledged" in done.stdout
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
    told: dict[str, Told]
    taken: Counter[str]
    trimmed: list[Logged]
    unread: set[tuple[str, int]]


FAILED = "job-000001"
"""The one job of the world that fails."""


@pytest.fixture
def world() -> Iterator[World]:
    jobs = plan_jobs(4, 0, 0.0, Random(1))
    for job in jobs:
        job["on"] = ["SUCCESS", "FAILURE"]
        job["ending"] = "user_error" if job["job_id"] == FAILED else "complete"
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
            "told": {},
            "taken": Counter(deliver(redis, store)),
            "trimmed": [],
            "unread": set(),
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
        intake.take_logged(
            message, run=entry["run"], ended_at=datetime.now(UTC), cancelled=entry["cancelled"]
        )
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
        {
            "acknowledged": world["acknowledged"],
            "told": world["told"],
            "taken": world["taken"],
            "trimmed": world["trimmed"],
            "unread": world["unread"],
        },
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
    says = "run 1 of job job-000003 has 2 outcomes in the log ['completed', 'completed']"
    assert says in count(world)["broken"]


def test_the_count_sees_a_job_without_an_outcome(world: World) -> None:
    world["acknowledged"].add("job-x")
    world["redis"].hset(f"{CHAOS}:job:job-000000", {"status": "processing"})
    broken = count(world)["broken"]
    assert broken[:2] == [
        "job job-000000 has no outcome: its record says processing",
        "job job-x has no record",
    ]


def told(world: World, job_id: str) -> Told:
    """Begin to note what the API is said to have answered about a job."""
    world["told"][job_id] = {"cancelled": [], "retried": [], "lost_cancels": 0, "lost_retries": 0}
    return world["told"][job_id]


def run_again(world: World, job_id: str) -> None:
    """Let a job that has failed run once more and be cancelled, to no fault."""
    redis = world["redis"]
    redis.hset(f"{CHAOS}:job:{job_id}", {"queue": "chaos"})
    control = make_job_control(redis=redis)
    control.rerun(CHAOS, job_id)
    control.cancel(CHAOS, job_id)
    deliver(redis, world["store"])


def test_a_run_that_was_asked_for_and_cancelled_is_mailed_to_nobody(world: World) -> None:
    run_again(world, FAILED)
    answered = told(world, FAILED)
    answered["retried"], answered["cancelled"] = [2], [2]
    found = count(world)
    assert found["broken"] == []
    assert (found["outcomes"], found["cancelled"], found["reruns"], found["expected"]) == (5, 1, 1, 4)
    answered["retried"], answered["cancelled"], answered["lost_cancels"], answered["lost_retries"] = (
        [],
        [],
        1,
        1,
    )
    assert count(world)["broken"] == []


def test_the_count_sees_a_mail_about_a_cancelled_run(world: World) -> None:
    run_again(world, FAILED)
    answered = told(world, FAILED)
    answered["retried"], answered["cancelled"] = [2], [2]
    world["taken"][delivery_id_of(CHAOS, FAILED, 2, "FAILURE", EMAIL, "person-000001@example.com")] = 1
    assert [line.rpartition(", ")[2] for line in count(world)["broken"]] == ["but nobody asked for it"]


def test_the_count_sees_what_nobody_has_asked_for(world: World) -> None:
    run_again(world, FAILED)
    text = f"job {FAILED} was cancelled or run again, and nobody has asked for it"
    assert count(world)["broken"] == [text]
    told(world, FAILED)
    assert count(world)["broken"] == [
        f"runs [2] of job {FAILED} were cancelled, and nobody has asked for it",
        f"job {FAILED} is in run 2; answered were [], lost 0",
    ]


def test_the_count_sees_what_was_said_and_not_done(world: World) -> None:
    answered = told(world, FAILED)
    answered["retried"], answered["cancelled"] = [2, 2], [1]
    assert count(world)["broken"] == [
        f"run 1 of job {FAILED} was said to be cancelled, and ended as ['failed']",
        f"job {FAILED} was said to begin the same run twice: [2, 2]",
        f"run 2 of job {FAILED} was said to begin, and its record is in run 1",
    ]


def test_the_count_sees_a_record_that_says_something_else_than_the_log(world: World) -> None:
    world["redis"].hset(f"{CHAOS}:job:{FAILED}", {"status": "completed"})
    assert count(world)["broken"][0] == (
        f"run 1 of job {FAILED} ended as ['failed'] in the log, and its record says completed"
    )
    world["redis"].hset(f"{CHAOS}:job:{FAILED}", {"status": "failed", "run": "0"})
    assert count(world)["broken"][0] == (f"job {FAILED} has an outcome of run 1, and its record is in run 0")


def test_the_count_sees_outcomes_of_a_job_that_nobody_handed_in(world: World) -> None:
    world["acknowledged"].remove(FAILED)
    assert count(world)["broken"] == [f"job {FAILED} has outcomes, and nobody has handed it in"]


def test_a_mail_may_be_missing_that_nothing_tells_of(world: World) -> None:
    """The log was trimmed before it was read, and the record has gone on to the next run."""
    run_again(world, FAILED)
    answered = told(world, FAILED)
    answered["retried"], answered["cancelled"] = [2], [2]
    lost = delivery_id_of(CHAOS, FAILED, 1, "FAILURE", EMAIL, "person-000001@example.com")
    del world["taken"][lost]
    world["redis"].delete(RECORD_PREFIX + lost)
    assert [line.partition(" of ")[0] for line in count(world)["broken"]] == [f"mail lost: delivery {lost}"]
    world["unread"].add((FAILED, 1))
    found = count(world)
    assert (found["broken"], found["untold"]) == ([], 1)


def test_what_was_trimmed_off_the_log_counts(world: World) -> None:
    world["trimmed"] = list(read_log(world["redis"], CHAOS))
    world["redis"].connection.xtrim(default_events_log(CHAOS), maxlen=0, approximate=False)
    assert count(world)["broken"] == []


@pytest.mark.parametrize("name", ["all", "user:7", "status:failed:type:chaos.work"])
def test_the_count_sees_a_job_that_an_index_lacks(world: World, name: str) -> None:
    world["redis"].connection.zrem(f"{CHAOS}:jobs:{name}", FAILED)
    assert count(world)["broken"] == [f"chaos:jobs:{name} lacks: 1, as ['{FAILED}']"]


def test_the_count_sees_a_job_that_is_in_an_index_by_mistake(world: World) -> None:
    redis = world["redis"]
    redis.zadd(f"{CHAOS}:jobs:status:queued", {FAILED: 1})
    redis.zadd(f"{CHAOS}:jobs:leases:chaos", {FAILED: 1})
    redis.zadd(f"{CHAOS}:jobs:all", {FAILED: 1})
    redis.zadd(f"{CHAOS}:jobs:finished", {"job-x - -": 1})
    redis.sadd(f"{CHAOS}:jobs:types", "chaos.other")
    assert count(world)["broken"] == [
        "chaos:jobs:all has 1 jobs at another time than their records, as ['job-000001']",
        "chaos:jobs:leases:chaos has too many: 1, as ['job-000001']",
        "chaos:jobs:status:queued has too many: 1, as ['job-000001']",
        "chaos:jobs:finished has too many: 1, as ['job-x - -']",
        "chaos:jobs:types has too many: 1, as ['chaos.other']",
    ]


def test_the_count_sees_a_domain_that_is_not_known(world: World) -> None:
    world["redis"].delete("platform:domains")
    assert count(world)["broken"] == ["chaos has 4 jobs, and platform:domains says otherwise"]


def test_the_count_sees_a_counter_that_is_wrong(world: World) -> None:
    [hour] = world["redis"].keys(f"{CHAOS}:jobs:hour:*")[:1]
    world["redis"].connection.hincrby(hour, "failed", 1)
    assert count(world)["broken"] == ["the hours of chaos count 2 failed, and it were 1"]


def test_the_count_sees_a_key_that_lives_for_ever(world: World) -> None:
    world["redis"].set("notify:stray:1", "1")
    world["redis"].set("notify:stray:2", "1", expire_seconds=60)
    assert count(world)["broken"] == ["1 keys like notify:stray:1 live for ever, for instance notify:stray:1"]


def logged(entry_id: str) -> Logged:
    return {"domain": CHAOS, "entry_id": entry_id, "job_id": "a", "run": 1, "word": "started"}


def test_a_client_that_missed_an_event_is_seen() -> None:
    kept = [logged("3-0"), logged("4-0")]
    assert list(unheard(["3-0", "4-0"], kept, [])) == []
    assert list(unheard(["3-0"], kept, [])) == [
        "the client missed `started` of run 1 of a (4-0), which the log still has"
    ]
    # No gap excuses what the log still has.
    assert len(list(unheard(["3-0", GAP], kept, []))) == 1


@pytest.mark.parametrize(
    ("heard", "missed"),
    [
        (["1-0", "2-0", "3-0"], 0),
        (["1-0", GAP, "3-0"], 0),
        ([GAP, "3-0"], 0),
        (["1-0", GAP], 0),
        (["1-0", "3-0"], 1),
        (["1-0", "3-0", GAP], 1),
        ([GAP, "1-0", "3-0"], 1),
    ],
)
def test_what_was_trimmed_may_be_missed_where_a_gap_was_told(heard: list[str], missed: int) -> None:
    assert len(list(unheard(heard, [], [logged("1-0"), logged("2-0")]))) == missed


def test_half_an_event_is_none() -> None:
    lines = ["retry: 2000", "", ": here", "id: chaos=1-0", "", "id: chaos=2-0", "event: started", "data: {}"]
    assert list(read_stream([*lines, "", "id: chaos=3-0"])) == [
        ("", "", ""), ("chaos=1-0", "", ""), ("chaos=2-0", "started", "{}"),
    ]  # fmt: skip


PROBLEM = b'{"type":"urn:jobs-api:%s","title":"t","status":503,"detail":"d"}'


@pytest.mark.parametrize(
    ("status", "body", "fate", "faults"),
    [
        (200, b'{"job_id":"a","status":"cancelled","run":2,"more":1}', "answered", 0),
        (409, PROBLEM % b"job-finished", "answered", 0),
        (503, PROBLEM % b"change-unknown", "lost", 0),
        (503, PROBLEM % b"redis-away", "not_done", 0),
        (429, PROBLEM % b"request", "not_done", 0),
        (500, PROBLEM % b"unexpected", "lost", 1),
        (401, PROBLEM % b"unauthorized", "lost", 1),
        (200, b"[]", "lost", 1),
    ],
)
def test_an_answer_is_read_for_what_it_promises(status: int, body: bytes, fate: str, faults: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    caller = ApiCaller("http://api.example", "key", transport)
    answer = caller.post("/v1/jobs")
    assert (answer["fate"], len(caller.faults)) == (fate, faults)
    assert ("job" in answer) == (fate == "answered" and status == 200)


@pytest.mark.parametrize(
    ("error", "fate"), [(httpx.ConnectError("no"), "not_done"), (httpx.ReadError("broken"), "lost")]
)
def test_a_request_that_breaks_off_may_have_been_carried_out(error: Exception, fate: str) -> None:
    def break_off(_: httpx.Request) -> httpx.Response:
        raise error

    answer = ApiCaller("http://api.example", "key", httpx.MockTransport(break_off)).post("/v1/jobs")
    assert answer["fate"] == fate


def test_the_client_sees_an_event_that_comes_twice_or_without_an_id() -> None:
    client = EventClient("http://api.example", "key")
    client._take("chaos=2-0", "started", '{"domain":"chaos"}')
    client._take("chaos=2-0", "gap", '{"domain":"chaos","reason":"trimmed"}')
    client._take("", "progress", '{"domain":"chaos"}')
    assert (client.heard, client.broken, client.count) == ({CHAOS: ["2-0", GAP]}, [], 1)
    client._take("chaos=2-0", "started", '{"domain":"chaos"}')
    client._take("", "failed", '{"domain":"chaos"}')
    assert client.broken == [
        "entry 2-0 of chaos was heard after 2-0",
        """an event that the log has was heard without an id: {"domain":"chaos"}""",
    ]


def test_people_keep_what_they_were_told() -> None:
    """Asked again until there is an answer, a cancel always, a retry only while it surely was not begun."""
    job = b'{"job_id":"job-000000","status":"%s","run":%d}'
    answers = iter(
        [
            (404, PROBLEM % b"job-not-found"), (503, PROBLEM % b"change-unknown"),
            (200, job % (b"cancelled", 1)),
            (409, (PROBLEM % b"not-retryable").replace(b'"d"', b'"this one is queued."')),
            (503, PROBLEM % b"redis-away"), (200, job % (b"queued", 2)),
            (503, PROBLEM % b"change-unknown"),
            (200, job % (b"queued", 3)), (200, job % (b"cancelled", 3)),
            (409, PROBLEM % b"not-retryable"), (409, PROBLEM % b"job-finished"),
        ]
    )  # fmt: skip

    def answer(_: httpx.Request) -> httpx.Response:
        status, body = next(answers)
        return httpx.Response(status, content=body)

    words: tuple[What, ...] = ("cancel", "retry", "retry", "cancel", "retry", "cancel")
    deeds: list[PlannedDeed] = [
        {"at": 0.0, "domain": CHAOS, "job_id": "job-000000", "what": what} for what in words
    ]
    people = People(ApiCaller("http://api.example", "key", httpx.MockTransport(answer)), deeds)
    people.start()
    assert wait_until(lambda: not people.is_alive(), 20)
    assert next(answers, None) is None
    assert people.told["job-000000"] == {
        "cancelled": [1, 3], "retried": [2], "lost_cancels": 2, "lost_retries": 1,
    }  # fmt: skip
    assert (people.broken, people.fault) == ([], "")
    assert runs_told(people.told) == (2, 1)


class FakeApi:
    """Takes jobs under their keys; loses every second answer, after or before it has taken the job."""

    def __init__(self) -> None:
        self.jobs: dict[str, JsonValue] = {}
        self.forgets = False
        self.count = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/files":
            return httpx.Response(201, content=b'{"file_id":"f"}')
        key, body = request.headers["Idempotency-Key"], decode_json(request.content)
        self.count += 1
        if self.count % 4 == 1:
            raise httpx.ReadError("it was killed before")
        is_new = key not in self.jobs or self.forgets
        kept = self.jobs.setdefault(key, body)
        if self.count % 4 == 3:
            raise httpx.ReadError("it was killed after")
        if kept != body:
            return httpx.Response(409, content=PROBLEM % b"idempotency-conflict")
        headers = {} if is_new else {"Idempotency-Replayed": "true"}
        text = encode_json({"job_id": idempotent_job_id(FILES, key), "status": "queued", "run": 1})
        return httpx.Response(201 if is_new else 200, content=text.encode(), headers=headers)


@pytest.mark.parametrize("forgets", [False, True])
def test_a_submission_is_repeated_under_its_key_until_it_is_answered(forgets: bool) -> None:
    api = FakeApi()
    api.forgets = forgets
    jobs = plan_jobs(6, 0, 0.0, Random(1), http_count=6)
    submitter = HttpSubmitter(ApiCaller("http://api.example", "key", httpx.MockTransport(api.answer)), jobs)
    submitter.upload()
    submitter.start()
    assert wait_until(lambda: not submitter.is_alive(), 20)
    assert (len(api.jobs), len(submitter.acknowledged), submitter.fault) == (6, 6, "")
    assert submitter.repeated > 6
    # A repeat that is told as new is one: the API has forgotten what it was asked before.
    assert bool(submitter.broken) is forgets


def test_a_seed_gives_the_same_plan_again() -> None:
    wishes: Wishes = {
        "seconds": 600.0, "notifiers": 3, "workers": 2, "notifier_kills": 50, "worker_kills": 20,
        "api_kills": 6, "redis_kills": 5, "pauses": 60, "trims": 7,
    }  # fmt: skip
    plan = plan_blows(wishes, Random(5))
    assert plan == plan_blows(wishes, Random(5)) != plan_blows(wishes, Random(6))
    kills = Counter(blow["victim"] for blow in plan if blow["blow"] != "pause")
    assert kills == {"notifier": 50, "worker": 20, "api": 6, "redis": 5, "log": 7}
    assert [blow["at"] for blow in plan] == sorted(blow["at"] for blow in plan)
    assert any(blow["lasts"] >= LONG_PAUSE[0] for blow in plan)
    assert all(blow["lasts"] < LONG_PAUSE[0] for blow in plan if blow["victim"] == "redis")
    jobs = plan_jobs(100, 5, 10.0, Random(5), http_count=4)
    assert Counter(job["way"] for job in jobs) == {"context": 91, "library": 5, "http": 4}
    assert all((job["domain"] == FILES) == (job["way"] == "http") for job in jobs)
    assert jobs == plan_jobs(100, 5, 10.0, Random(5), http_count=4)
    deeds = plan_deeds(jobs, 12, 8, Random(5))
    assert deeds == plan_deeds(jobs, 12, 8, Random(5)) != plan_deeds(jobs, 12, 8, Random(6))
    assert [deed["at"] for deed in deeds] == sorted(deed["at"] for deed in deeds)
    assert len({deed["job_id"] for deed in deeds if deed["what"] == "retry"}) == 8


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
