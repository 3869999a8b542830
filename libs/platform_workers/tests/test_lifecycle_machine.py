"""Random histories of one job, on the real server and in a small model of what is promised.

The model knows nothing of Redis or of how the steps are written: only statuses, runs, attempts, and who holds
the lease until when.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from builders import make_record
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from platform_core.job_events import decode_job_event, job_domain

from platform_workers.attempts import LEASE_DURATION, AttemptRunner
from platform_workers.errors import JobCancelledError, TransitionRefusedError
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_context import JobContext, make_job_context, new_token
from platform_workers.job_control import JobControl
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_transitions import guard_attempt, guard_lease, read_reply
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock, FakeLogger, FakeQueue

DOMAIN: Final = job_domain("shop")
LEASE_SECONDS: Final = 45
MAX_ATTEMPTS: Final = 2
Act: TypeAlias = Callable[[], object]
WORKERS: Final = st.sampled_from(["w1", "w2"])


class Model:
    """What is promised of a job."""

    def __init__(self) -> None:
        self.status = "queued"
        self.run = 1
        self.attempt = 0
        self.holder = ""
        self.lease_ends = 0.0
        self.events: list[str] = []
        self.outcomes: dict[int, str] = {}

    def end(self, status: str, word: str) -> None:
        assert self.run not in self.outcomes, "a run has one outcome"
        self.status, self.holder = status, ""
        self.outcomes[self.run] = status
        self.events.append(word)

    def fail_attempt(self, *, may_retry: bool = True) -> None:
        if may_retry and self.attempt < MAX_ATTEMPTS:
            self.status, self.holder = "queued", ""
        else:
            self.end("failed", "failed")


class LifeOfAJob(RuleBasedStateMachine):
    """Workers begin, speak, fail, fall silent and come back late; a person cancels and asks for more."""

    redis: RedisClient

    def __init__(self) -> None:
        super().__init__()
        self.redis.connection.flushall()
        self.clock = FakeClock()
        self.store = JobRecordStore(redis=self.redis, domain=DOMAIN, clock=self.clock)
        self.queue = FakeQueue(self.redis)
        self.model = Model()
        self.control = JobControl(
            redis=self.redis, queue_of=lambda _: self.queue, clock=self.clock, logger=FakeLogger()
        )

    def runner(self, worker: str) -> AttemptRunner:
        return AttemptRunner(
            {
                "redis": self.redis, "store": self.store, "queue": self.queue,
                "registry": HandlerRegistry(domain=DOMAIN), "events_channel": "shop:events",
                "worker_name": worker, "clock": self.clock, "wait": lambda _: None, "jitter": lambda: 0.5,
                "logger": FakeLogger(), "timeout_error": TimeoutError,
            }
        )  # fmt: skip

    def context(self, worker: str) -> JobContext:
        """As the worker holds it that began the newest attempt; for the other one it is out of date."""
        return make_job_context(
            redis=self.redis, domain=DOMAIN, events_channel="shop:events", job_id="job-1", user_id=7,
            queue_name="default", clock=self.clock, lease_token=self.token(worker),
        )  # fmt: skip

    def token(self, worker: str) -> str:
        return f"{worker}:{self.model.run}:{self.model.attempt}"

    def holds(self, worker: str) -> bool:
        return self.model.status == "processing" and self.model.holder == self.token(worker)

    @initialize()
    def submit(self) -> None:
        self.store.save({**make_record(), "max_attempts": MAX_ATTEMPTS})

    @rule(worker=WORKERS, run=st.integers(-1, 0), attempt=st.integers(0, 1))
    def start(self, worker: str, run: int, attempt: int) -> None:
        """The queue delivers an attempt: the one that is waited for, or a leftover."""
        run, attempt = self.model.run + run, self.model.attempt + attempt
        token = f"{worker}:{run}:{attempt}"
        context = self.context(worker)
        call = context.builder.started(
            guard=guard_attempt(run, attempt), transition_id=new_token(),
            lease={"token": token, "until": self.runner(worker).environment["clock"].now() + LEASE_DURATION},
        )  # fmt: skip
        wanted = self.model.status == "queued" and run == self.model.run and attempt == self.model.attempt + 1
        assert self.applied(lambda: context.apply("started", call)) == wanted
        if wanted:
            self.model.status, self.model.attempt, self.model.holder = "processing", attempt, token
            self.model.lease_ends = self.clock.monotonic() + LEASE_SECONDS
            self.model.events.append("started")

    @rule(worker=WORKERS)
    def progress(self, worker: str) -> None:
        said = self.applied(lambda: self.context(worker).publish_progress(10, "going"))
        assert said == self.holds(worker)

    @rule(worker=WORKERS)
    def log(self, worker: str) -> None:
        written = self.applied(lambda: self.context(worker).write_log("a line"))
        assert written == self.holds(worker)

    @rule(worker=WORKERS)
    def renew(self, worker: str) -> None:
        """Also a lease that has run out, as long as nobody has taken the job away."""
        held = self.holds(worker)
        assert self.runner(worker).renew("job-1", self.model.run, self.model.attempt) == held
        if held:
            self.model.lease_ends = self.clock.monotonic() + LEASE_SECONDS

    @rule(worker=WORKERS)
    def complete(self, worker: str) -> None:
        held = self.holds(worker)
        done = self.applied(lambda: self.context(worker).publish_completed(result_id="r", result_bytes=1))
        assert done == held
        if held:
            self.model.end("completed", "completed")

    @rule(worker=WORKERS)
    def fail_for_good(self, worker: str) -> None:
        held = self.holds(worker)
        assert self.applied(lambda: self.context(worker).publish_failed("user", "bad row")) == held
        if held:
            self.model.end("failed", "failed")

    @rule(worker=WORKERS)
    def fail_an_attempt(self, worker: str) -> None:
        """The horse died: its worker settles the attempt, if it is still its own."""
        held = self.holds(worker)
        if self.model.status == "queued":
            return  # that is `die_before_it_begins`
        self.runner(worker).settle_dead("job-1", self.model.run, self.model.attempt, "died")
        if held:
            self.model.fail_attempt()

    @precondition(lambda self: self.model.status == "queued" and self.model.attempt < MAX_ATTEMPTS)
    @rule(worker=WORKERS)
    def die_before_it_begins(self, worker: str) -> None:
        self.runner(worker).settle_dead("job-1", self.model.run, self.model.attempt + 1, "died", at_once=True)
        self.model.attempt += 1
        self.model.events.append("started")
        self.model.fail_attempt()

    @rule(worker=WORKERS)
    def retry_late(self, worker: str) -> None:
        """A worker that is back after a pause puts the attempt of an older run back."""
        context = make_job_context(
            redis=self.redis, domain=DOMAIN, events_channel="shop:events", job_id="job-1", user_id=7,
            queue_name="default", clock=self.clock,
        )  # fmt: skip
        token = f"{worker}:{self.model.run - 1}:1"
        call = context.builder.retried(
            "late", run_after=self.clock.now(), guard=guard_lease(token), transition_id=new_token()
        )
        assert not self.applied(
            lambda: read_reply(self.redis.run_script(call), step="retried", job_id="job-1")
        )

    @rule(seconds=st.sampled_from([1, 44, 46]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(worker=WORKERS)
    def reap(self, worker: str) -> None:
        """Any worker settles a lease that has run out."""
        silent = self.model.status == "processing" and self.clock.monotonic() > self.model.lease_ends
        assert self.runner(worker).reap_expired() == (1 if silent else 0)
        if silent:
            self.model.fail_attempt()

    @rule()
    def cancel(self) -> None:
        alive = self.model.status in {"queued", "processing"}
        accepted = self.applied(lambda: self.control.cancel(DOMAIN, "job-1"))
        assert accepted == (alive or self.model.status == "cancelled")
        if alive:
            self.model.end("cancelled", "failed")

    @rule()
    def rerun(self) -> None:
        wanted = self.model.status in {"failed", "cancelled"}
        before = len(self.queue.tickets)
        assert self.applied(lambda: self.control.rerun(DOMAIN, "job-1")) == wanted
        assert len(self.queue.tickets) - before == (1 if wanted else 0)
        if wanted:
            self.model.status, self.model.run, self.model.attempt = "queued", self.model.run + 1, 0

    def applied(self, act: Act) -> bool:
        """Whether the step was accepted."""
        try:
            act()
        except (TransitionRefusedError, JobCancelledError):
            return False
        return True

    @invariant()
    def the_record_is_what_the_model_says(self) -> None:
        record = self.store.load("job-1")
        if record is None:
            return  # before it was submitted
        model = self.model
        assert (record["status"], record["run"], record["attempt_count"]) == (
            model.status, model.run, model.attempt,
        )  # fmt: skip
        assert record.get("locked_by", "") == model.holder
        leases = self.redis.zrange("shop:jobs:leases:default", 0, -1)
        assert leases == (["job-1"] if model.status == "processing" else [])
        final = model.status in {"completed", "failed", "cancelled"}
        assert ("finished_at" in record) == final
        for key in ("shop:job:job-1", "shop:job:job-1:log"):
            assert (self.redis.ttl(key) > 0) == final or not self.redis.keys(key)

    @invariant()
    def each_run_has_one_outcome_and_every_event_its_run(self) -> None:
        entries = self.redis.xrange("shop:events:log")
        words = [decode_job_event(entry["fields"]["event"])["type"].split(".")[2] for entry in entries]
        assert words == self.model.events
        runs = [entry["fields"]["run"] for entry in entries]
        ends = [run for run, word in zip(runs, words, strict=True) if word != "started"]
        assert ends == [str(run) for run in self.model.outcomes]

    @invariant()
    def every_index_shows_the_status(self) -> None:
        for status in ("queued", "processing", "completed", "failed", "cancelled"):
            shown = self.store.list_ids(f"status:{status}")
            assert shown == (["job-1"] if status == self.model.status and self.store.count() else [])


def test_random_histories(server: EmbeddedRedis) -> None:
    LifeOfAJob.redis = server.client()
    case = LifeOfAJob.TestCase
    case.settings = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()
    LifeOfAJob.redis.close()
