"""Cancelling and running again while real workers run the job."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from builders import make_record
from plant import PATIENCE, Plant, horse_of, is_gone, wait_until
from platform_core.job_events import JobDomain
from typing_extensions import override

from platform_workers.attempt_run import AttemptRun
from platform_workers.errors import JobCancelledError
from platform_workers.horse import STOP_SIGNAL, die_with_parent, stoppable
from platform_workers.job_context import make_job_context
from platform_workers.job_control import JobControl, make_job_control
from platform_workers.job_queue import AttemptName, RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import read_log
from platform_workers.redis import RedisClient
from platform_workers.rq_harness import make_worker, run_attempt
from platform_workers.testing import FakeClock, FakeLogger


@pytest.fixture
def long_plant(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """The same, with time for handlers that wait."""
    plant.allow_time(600)
    return plant


def stop(control: JobControl, plant: Plant, job_id: str, folder: Path) -> None:
    """Cancel a running job, and wait until its process is gone."""
    horse = horse_of(folder)
    control.cancel(plant.domain, job_id)
    assert plant.record(job_id)["status"] == "cancelled"
    wait_until(lambda: is_gone(horse))


class RecordedTimer:
    """Stands for `threading.Timer`: keeps for how long it was to wait, and does what it was to do at once."""

    waits: ClassVar[list[float]] = []

    def __init__(self, seconds: float, act: Callable[[int, int], None], arguments: tuple[int, int]) -> None:
        self.daemon = False
        self.waits.append(seconds)
        self.start = lambda: act(*arguments)


def test_a_running_job_stops_within_five_seconds(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """At worst: its worker is not told, has just renewed the lease, and the handler swallows everything.

    What the platform adds then is two pauses, and here nothing else is measured: a busy machine adds its own,
    and the tests with real processes show that it stops at all.
    """
    job_id = plant.submit("go well")
    worker, job, execution = plant.taken(job_id)
    plant.store.save({**make_record(job_id, "processing"), "locked_by": f"{worker.name}:1:1"})
    signals: list[int] = []
    monkeypatch.setattr("platform_workers.horse.Timer", RecordedTimer)
    monkeypatch.setattr("platform_workers.horse.os.killpg", lambda _group, number: signals.append(number))
    monkeypatch.setattr(worker, "_horse_pid", 4711)
    RecordedTimer.waits.clear()
    worker.maintain_heartbeats(job, execution)
    assert signals == []
    make_job_control(redis=plant.redis).cancel(plant.domain, job_id)
    # The first look after the cancellation is enough.
    worker.maintain_heartbeats(job, execution)
    assert signals == [STOP_SIGNAL, signal.SIGKILL]
    (grace,) = RecordedTimer.waits
    until_the_next_look: int = worker.job_monitoring_interval
    assert until_the_next_look + grace <= 4, "a second is left for what is done between"


def test_a_running_job_that_is_cancelled_cleans_up_and_stops_at_once(
    long_plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is told: no renewal finds out for it here."""
    monkeypatch.setattr("platform_workers.rq_harness.RENEWAL_SECONDS", 600)
    job_id = long_plant.submit("clean up", folder=str(tmp_path), max_attempts=3)
    with long_plant.worker():
        stop(make_job_control(redis=long_plant.redis), long_plant, job_id, tmp_path)
        after = long_plant.submit("go well")
        assert long_plant.wait_for_outcome(after)["status"] == "completed"
    assert (tmp_path / "told").exists()
    assert not (tmp_path / "scratch").exists()
    record = long_plant.record(job_id)
    assert (record["status"], record["attempt_count"], record["error"]) == ("cancelled", 1, "cancelled")
    assert long_plant.outcomes() == Counter([job_id, after])
    lines = list(read_log(long_plant.redis, long_plant.domain, job_id))
    assert lines[-1]["message"] == "cancelled"
    assert long_plant.redis.keys("shop:jobs:leases:*") == []


class DeafQueue(RqJobQueue):
    """Loses every message to a worker, as pub/sub may."""

    @override
    def withdraw(self, name: AttemptName) -> None:
        """Tell nobody."""


@pytest.mark.parametrize("fate", ["clean up", "be deaf"])
def test_a_cancelled_job_stops_even_if_its_worker_is_not_told(
    long_plant: Plant, tmp_path: Path, fate: str
) -> None:
    """The renewal finds out; a handler that swallows everything is killed when its grace is over."""
    job_id = long_plant.submit(fate, folder=str(tmp_path))
    redis = long_plant.redis
    control = JobControl(
        redis=redis, queue_of=lambda name: DeafQueue(redis=redis, name=name), clock=FakeClock(),
        logger=FakeLogger(),
    )  # fmt: skip
    with long_plant.worker():
        stop(control, long_plant, job_id, tmp_path)
    assert (tmp_path / "told").exists()
    assert long_plant.record(job_id)["status"] == "cancelled"
    assert long_plant.outcomes() == Counter([job_id])


def test_a_handler_that_speaks_after_its_job_was_cancelled_is_stopped_there(
    long_plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no signal reaches it."""
    monkeypatch.setattr("platform_workers.rq_worker.stop_horse", lambda pid: None)
    job_id = long_plant.submit("speak last", folder=str(tmp_path))
    with long_plant.worker():
        horse = horse_of(tmp_path)
        make_job_control(redis=long_plant.redis).cancel(long_plant.domain, job_id)
        (tmp_path / "go on").touch()
        wait_until((tmp_path / "told").exists)
        wait_until(lambda: is_gone(horse))
    assert long_plant.outcomes() == Counter([job_id])


def test_a_job_that_was_cancelled_before_its_turn_never_begins(plant: Plant, tmp_path: Path) -> None:
    """Also where its attempt is still in the queue."""
    job_id = plant.submit("note", folder=str(tmp_path))
    redis = plant.redis
    JobControl(
        redis=redis, queue_of=lambda name: DeafQueue(redis=redis, name=name), clock=FakeClock(),
        logger=FakeLogger(),
    ).cancel(plant.domain, job_id)  # fmt: skip
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
    assert not (tmp_path / "order").exists()
    assert plant.outcomes() == Counter([job_id])


def test_a_failed_and_a_cancelled_job_run_again_as_their_next_run(plant: Plant, tmp_path: Path) -> None:
    control = make_job_control(redis=plant.redis)
    failed = plant.submit("kill once", max_attempts=1)
    cancelled = plant.submit("go well")
    control.cancel(plant.domain, cancelled)
    with plant.worker():
        plant.wait_for_outcome(failed)
        for job_id in (failed, cancelled):
            control.rerun(plant.domain, job_id)
        # It dies once more: the attempts begin anew with the run.
        wait_until(lambda: plant.record(failed)["status"] == "failed")
        wait_until(lambda: plant.record(cancelled)["status"] == "completed")
    for job_id in (failed, cancelled):
        assert (plant.record(job_id)["run"], plant.record(job_id)["attempt_count"]) == (2, 1)
    runs = [
        (entry["fields"]["run"], job_id)
        for entry in plant.redis.xrange("shop:events:log")
        for job_id in (failed, cancelled)
        if job_id in entry["fields"]["event"] and "started" not in entry["fields"]["event"]
    ]
    assert sorted(runs) == sorted((run, job_id) for run in ("1", "2") for job_id in (failed, cancelled))


def test_a_first_attempt_that_is_in_the_queue_twice_begins_once(plant: Plant, tmp_path: Path) -> None:
    """What two requests for one run may leave: the second's script changes nothing, but its attempt waits."""
    job_id = plant.submit("note", folder=str(tmp_path))
    plant.redis.connection.rpush("rq:queue:fates", f"shop-{job_id}-1-1")
    with plant.worker(burst=True) as process:
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert (tmp_path / "order").read_text().splitlines() == [job_id]
    assert plant.outcomes() == Counter([job_id])


def test_a_horse_dies_with_its_worker(long_plant: Plant, tmp_path: Path) -> None:
    """SIGKILL of the worker's parent process alone: nobody is left who would stop the horse."""
    long_plant.submit("wait", folder=str(tmp_path))
    with long_plant.worker() as victim:
        horse = horse_of(tmp_path)
        assert victim.pid is not None
        children = Path(f"/proc/{victim.pid}/task/{victim.pid}/children").read_text("ascii").split()
        os.kill(victim.pid, signal.SIGKILL)
        # Its handler would wait for longer.
        wait_until(lambda: is_gone(horse))
        for child in children:
            if not is_gone(int(child)):
                os.kill(int(child), signal.SIGKILL)  # RQ's scheduler


def test_a_worker_that_comes_back_from_a_long_pause_cannot_complete_the_job(
    long_plant: Plant, tmp_path: Path
) -> None:
    """SIGSTOP of worker and horse until the job was given away and done; then they go on."""
    job_id = long_plant.submit("wait", folder=str(tmp_path), max_attempts=2)
    with long_plant.worker() as sleeper:
        horse = horse_of(tmp_path)
        assert sleeper.pid is not None
        for pid in (sleeper.pid, horse):
            os.kill(pid, signal.SIGSTOP)
        (tmp_path / "go on").touch()
        # Its lease runs out in 45 s; move it into the past instead of waiting.
        long_plant.redis.zadd("shop:jobs:leases:fates", {job_id: 1.0})
        with long_plant.worker():
            assert long_plant.wait_for_outcome(job_id)["status"] == "completed"
        done = long_plant.record(job_id)
        for pid in (horse, sleeper.pid):
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: is_gone(horse))
        assert long_plant.record(job_id) == done
    assert done["attempt_count"] == 2
    assert long_plant.outcomes() == Counter([job_id])


def test_a_horse_whose_worker_died_before_it_could_ask_ends_itself() -> None:
    horse = multiprocessing.get_context("fork").Process(target=die_with_parent, args=(0,))
    horse.start()
    horse.join(PATIENCE)
    assert horse.exitcode == 1


def test_the_signal_raises_once_and_only_while_the_attempt_runs() -> None:
    """Raised in RQ's own code after the attempt, it would make the horse a second worker."""
    before = signal.getsignal(STOP_SIGNAL)
    told = 0
    try:
        with stoppable():
            try:
                os.kill(os.getpid(), STOP_SIGNAL)
            except JobCancelledError:
                told += 1
            os.kill(os.getpid(), STOP_SIGNAL)
        with stoppable():
            pass
        os.kill(os.getpid(), STOP_SIGNAL)
    finally:
        signal.signal(STOP_SIGNAL, before)
    assert told == 1


@pytest.mark.parametrize("where", ["load", "begin"])
def test_a_job_that_is_cancelled_as_it_begins_is_one_line_in_the_log(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What a person does all day; told by RQ it was an error with a traceback."""
    job_id, logger = plant.submit("go well"), FakeLogger()
    make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=logger)

    def be_told(*_: object) -> None:
        os.kill(os.getpid(), STOP_SIGNAL)

    monkeypatch.setattr(f"platform_workers.attempts.AttemptRecords.{where}", be_told)
    before = signal.getsignal(STOP_SIGNAL)
    try:
        run_attempt(plant.domain, job_id, 1, 1)
    finally:
        signal.signal(STOP_SIGNAL, before)
    reason = "the job was cancelled or given to another worker"
    assert logger.lines == [
        {
            "level": "info",
            "event": "worker.attempt_stopped",
            "fields": {"job_id": job_id, "reason": reason},
        }
    ]


@pytest.mark.parametrize("way", ["progress", "log"])
def test_who_was_told_by_a_refusal_cleans_up_without_the_signal(
    way: str, redis: RedisClient, store: JobRecordStore, domain: JobDomain
) -> None:
    """A cancelled job's step is refused and its handler cleans up; the worker's signal comes meanwhile."""
    context = make_job_context(
        redis=redis, domain=domain, events_channel="shop:events", job_id="job-1", user_id=7,
        queue_name="q", lease_token="worker:1:1",
    )  # fmt: skip
    store.save(make_record("job-1", "cancelled"))
    handler = AttemptRun(context, attempt=1, logger=FakeLogger())
    before = signal.getsignal(STOP_SIGNAL)
    try:
        with stoppable():
            with pytest.raises(JobCancelledError, match="refused"):
                handler.publish_progress(50) if way == "progress" else handler.log("on my way")
            os.kill(os.getpid(), STOP_SIGNAL)
    finally:
        signal.signal(STOP_SIGNAL, before)


def test_there_is_not_always_a_horse_to_stop(plant: Plant) -> None:
    """RQ stops it at a command that comes late, too. Process group 0 would be the worker's own."""
    worker = make_worker(plant.config(), redis=plant.redis, clock=FakeClock(), logger=FakeLogger())
    worker.kill_horse()
