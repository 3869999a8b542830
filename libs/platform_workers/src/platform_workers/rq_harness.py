"""Runs a domain's jobs on an RQ worker, so that each ends in exactly one outcome.

RQ forks a work horse for every attempt. Inside it `run_attempt` does the work; around it the parent renews
the lease, and whenever a horse has ended it makes sure that the attempt was settled: after an exception, a
timeout, `os._exit` (even with code 0) or a kill. If the whole worker dies, the lease runs out and any other
worker of the domain settles the attempt. A parent that cannot renew, because the job was cancelled or given
away, stops its horse (`horse`).
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from types import FrameType
from typing import Final, NotRequired, Protocol, TypeAlias, TypedDict

from platform_core.clock import Clock, SystemClock
from platform_core.job_events import JobDomain, default_events_channel, job_domain
from platform_core.logging import Logger, get_logger
from platform_core.queues import low_queue_name
from redis.client import Pipeline
from rq import Queue, Worker
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.exceptions import AbandonedJobError
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.timeouts import JobTimeoutException
from rq.worker import WorkerStatus
from typing_extensions import override

from platform_workers.attempts import AttemptRunner, random_jitter
from platform_workers.errors import RedisUnavailableError
from platform_workers.handlers import HandlerRegistry
from platform_workers.horse import die_with_parent, stop_horse, stoppable
from platform_workers.job_context import new_token
from platform_workers.job_queue import RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient, connect, translated_errors
from platform_workers.rq_queue import Intake, PlatformQueue
from platform_workers.rq_scheduler import PlatformScheduler
from platform_workers.server_clock import ServerClock

RENEWAL_SECONDS: Final = 2
"""How often a busy worker renews its lease.

Together with the horse's grace (`horse.STOP_GRACE_SECONDS`) it bounds how soon a cancelled job has stopped
whose worker heard of it in no other way: within five seconds.
"""

IDLE_SECONDS: Final = 5
"""How often an idle worker looks for leases that ran out, and any worker for abandoned attempts."""

ABANDONED_SECONDS: Final = 15
"""How long RQ believes in an attempt whose worker is silent.

At worst another worker waits this long, then for `rq_queue.TAKEN_SECONDS`, and for each until it looks.
"""

HORSE_DIED: Final = "the worker process ended unexpectedly"
"""What a job's failure says when its process gave no reason."""

RESTART_PAUSE_SECONDS: Final = 1.0
"""Pause before a worker that lost Redis begins again."""


class WorkerConfig(TypedDict):
    """What a worker process needs.

    Attributes:
        redis_url: Where Redis is.
        queue_name: The queue to work on; with it goes the one where its jobs of low priority wait.
        events_channel: Where the jobs' events go, `default_events_channel(domain)`.
        registry: The handlers of the domain.
        worker_name: Unique name; a random one when left out.
        burst: True stops when the queue is empty.
    """

    redis_url: str
    queue_name: str
    events_channel: str
    registry: HandlerRegistry
    worker_name: NotRequired[str]
    burst: NotRequired[bool]


class _Process:
    """The runner of this process.

    RQ calls `run_attempt` by its dotted name in the forked horse, which can be given nothing but the
    arguments that lie in the queue; the fork inherits this.
    """

    runner: AttemptRunner


def run_attempt(domain: str, job_id: str, run: int, attempt: int) -> None:
    """Run one attempt in the work horse (RQ calls this; see `job_queue.ATTEMPT_FUNCTION`)."""
    with stoppable():
        runner_for(_Process.runner, job_domain(domain)).run(job_id, run, attempt)


def runner_for(runner: AttemptRunner, domain: JobDomain) -> AttemptRunner:
    """Return the runner for a job of this domain.

    A job of a domain that this worker does not serve lies in its queue by mistake: it is failed as a type
    without a handler, in its own domain, where somebody waits for it.
    """
    env = runner.environment
    if domain == env["registry"].domain:
        return runner
    return AttemptRunner(
        {
            **env,
            "store": JobRecordStore(redis=env["redis"], domain=domain, clock=env["clock"]),
            "registry": HandlerRegistry(domain=domain),
            "events_channel": default_events_channel(domain),
        }
    )


AbandonedHandler: TypeAlias = Callable[[Job, type[BaseException], object, object], None]
"""What RQ calls with a job, and with the class, the value and the traceback of its fault."""


class PlatformWorker(Worker):
    """RQ's worker, which also keeps leases and settles what a dead horse left behind."""

    max_connection_wait_time = 5.0
    """Pause between looks whether Redis is back (seconds); with RQ's own minute nobody works for so long."""

    def attach(self, runner: AttemptRunner, logger: Logger) -> None:
        """Give the worker the runner of its process."""
        self._runner = runner
        self._platform_log = logger
        self._parent = os.getpid()
        Intake.open()
        push: Callable[[AbandonedHandler], None] = self.push_exc_handler
        push(self._settle_abandoned)

    @override
    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Every two seconds while a horse runs: RQ's heartbeats, our lease, and what others left behind."""
        domain, job_id, run, attempt = _arguments(job)
        # RQ would stop the worker at an outage and leave the horse alone; the job may well outlive it.
        with self._enduring_outages():
            super().maintain_heartbeats(job, execution)
            if not runner_for(self._runner, domain).renew(job_id, run, attempt):
                # The job is cancelled or another worker's: what this horse still does can only be in the way.
                self.kill_horse()
            self._runner.reap_expired()
            looking_is_due: bool = self.should_run_maintenance_tasks
            if looking_is_due:
                # With every worker at a long job nobody else would look for abandoned attempts.
                look: Callable[[], None] = self.clean_registries
                look()

    @override
    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Return how long RQ believes in an attempt whose worker is silent; its own minute is too long."""
        return ABANDONED_SECONDS

    @override
    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Mark the attempt as started. RQ leaves it among the taken ones if there are several queues."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    @override
    def setup_work_horse_signals(self) -> None:
        """In the horse: end with the worker."""
        set_up: Callable[[], None] = super().setup_work_horse_signals
        set_up()
        die_with_parent(self._parent)

    @override
    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Stop the horse: RQ does it on a stop command, long after a time limit, and at a second SIGTERM."""
        horse: int = self.horse_pid
        if horse:
            stop_horse(horse)

    @override
    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Wait for the horse, then settle the attempt if the horse did not."""
        started = self._runner.environment["clock"].monotonic()
        super().monitor_work_horse(job, queue, execution)
        limit = job.timeout or inf
        took_too_long = self._runner.environment["clock"].monotonic() - started > limit
        # RQ kills a horse that does not stop at its limit: its handler swallowed the timeout.
        self._settle(
            job, f"it took longer than {limit} seconds and did not stop" if took_too_long else HORSE_DIED
        )

    @override
    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: StartedJobRegistry | None = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """RQ gave an attempt up; one without an execution was taken from the queue and never begun."""
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)
        if execution is None:
            self._settle(job, at_once=True)

    @override
    def _start_scheduler(
        self,
        burst: bool = False,
        logging_level: str | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Begin to look for attempts whose time has come; once only if the worker ends with its queue."""
        if burst:
            once: Callable[[bool, str | None, str, str], None] = super()._start_scheduler
            once(burst, logging_level, date_format, log_format)
            return
        self.scheduler = PlatformScheduler(
            self.queues, connection=self.connection, logging_level=logging_level or "INFO"
        )
        begin: Callable[[bool], object] = self.scheduler.acquire_locks
        begin(True)

    @override
    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """At SIGTERM or SIGINT: take nothing any more."""
        Intake.is_closed = True
        stop: Callable[[int, FrameType | None], None] = super().request_stop
        stop(signum, frame)

    @override
    def _shutdown(self) -> None:
        """Stop where nothing is in hand.

        RQ raises `StopRequested` out of the signal's handler, wherever a worker stands that runs no horse. An
        attempt that it has just taken was left behind, found half a minute later and counted as failed. And
        it may stand in code that passes over any `Exception`, as redis-py's metrics do: then it went on.
        """
        if self.get_state() == WorkerStatus.BUSY:
            finish: Callable[[], None] = super()._shutdown
            finish()
        self._stop_requested = True

    @override
    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Between jobs and every five seconds while idle: RQ's heartbeat, and leases that ran out."""
        if pipeline is None:
            Intake.raise_if_over()
        super().heartbeat(timeout, pipeline)
        if pipeline is None:
            with self._enduring_outages():
                self._runner.reap_expired()

    @property
    def stop_requested(self) -> bool:
        """True after SIGTERM or SIGINT."""
        return self._shutdown_requested_date is not None

    def work_on(self, *, burst: bool) -> None:
        """Work until told to stop, until the queue is empty (`burst`), or until Redis is lost."""
        try:
            self.work(burst=burst, with_scheduler=True, logging_level="WARNING")
        finally:
            # This worker hears nothing any more: whoever waits for Redis after it must end at a signal.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def _enduring_outages(self) -> Iterator[None]:
        try:
            with translated_errors():
                yield
        except RedisUnavailableError as error:
            self._platform_log.warning("worker.redis_away", error=str(error))

    def _settle_abandoned(self, job: Job, kind: type[BaseException], _error: object, _trace: object) -> None:
        """Settle an attempt that RQ is about to give up because its worker is gone.

        Its job may still be `queued`: the worker died after RQ had marked the attempt as started and before
        the horse began it, so no lease tells of it. A fault here leaves it to RQ's next look.
        """
        if issubclass(kind, AbandonedJobError):
            self._settle(job, at_once=True)

    def _settle(self, job: Job, reason: str = HORSE_DIED, *, at_once: bool = False) -> None:
        domain, job_id, run, attempt = _arguments(job)
        runner_for(self._runner, domain).settle_dead(job_id, run, attempt, reason, at_once=at_once)


def _arguments(job: Job) -> tuple[JobDomain, str, int, int]:
    """Domain, job id, run and attempt, as `RqJobQueue` put them into the queue."""
    arguments: Sequence[object] = job.args
    domain, job_id, run, attempt = (str(argument) for argument in arguments)
    return job_domain(domain), job_id, int(run), int(attempt)


def make_worker(config: WorkerConfig, *, redis: RedisClient, clock: Clock, logger: Logger) -> PlatformWorker:
    """Return a worker of this process, ready to work."""
    registry = config["registry"]
    name = config.get("worker_name", f"{config['queue_name']}-{new_token()[:12]}")
    runner = AttemptRunner(
        {
            "redis": redis,
            "store": JobRecordStore(redis=redis, domain=registry.domain, clock=clock),
            "queue": RqJobQueue(redis=redis, name=config["queue_name"]),
            "registry": registry,
            "events_channel": config["events_channel"],
            "worker_name": name,
            "clock": clock,
            "wait": _wait,
            "jitter": random_jitter,
            "logger": logger,
            "timeout_error": JobTimeoutException,
        }
    )
    _Process.runner = runner
    worker = PlatformWorker(
        [
            PlatformQueue(queue_name, connection=redis.connection)
            for queue_name in (config["queue_name"], low_queue_name(config["queue_name"]))
        ],
        name=name,
        queue_class="platform_workers.rq_queue.PlatformQueue",
        connection=redis.connection,
        job_monitoring_interval=RENEWAL_SECONDS,
        maintenance_interval=IDLE_SECONDS,
        worker_ttl=IDLE_SECONDS + 15,
        log_job_description=False,
    )
    worker.attach(runner, logger)
    return worker


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def run_rq_worker(config: WorkerConfig) -> None:
    """Work until told to stop (SIGTERM or SIGINT: the attempt under way is finished first).

    A worker that loses Redis begins again when Redis is back.
    """
    logger = get_logger("platform_workers.rq_harness")
    redis = connect(config["redis_url"])

    def next_worker() -> PlatformWorker:
        wait_for_redis(redis, wait=_wait, logger=logger)
        clock = ServerClock(redis, SystemClock())
        worker = make_worker(config, redis=redis, clock=clock, logger=logger)
        logger.info("worker.started", worker=worker.name, job_types=", ".join(config["registry"].job_types))
        return worker

    work_until_stopped(next_worker, burst=config.get("burst", False), wait=_wait, logger=logger)
    redis.close()


class WorkLoop(Protocol):
    """The part of RQ's worker that `work_until_stopped` drives."""

    @property
    def stop_requested(self) -> bool:
        """True after SIGTERM or SIGINT."""

    def work_on(self, *, burst: bool) -> None:
        """Work until told to stop, until the queue is empty (`burst`), or until Redis is lost."""


def work_until_stopped(
    next_worker: Callable[[], WorkLoop], *, burst: bool, wait: Callable[[float], None], logger: Logger
) -> None:
    """Run one worker after the other until one was told to stop; RQ's worker gives up when Redis is lost."""
    while True:
        worker: WorkLoop | None = None
        try:
            with translated_errors():
                # Redis can be lost here too: a worker makes itself known to it.
                worker = next_worker()
                worker.work_on(burst=burst)
        except RedisUnavailableError as error:
            logger.warning("worker.redis_away", error=str(error))
        if burst or (worker is not None and worker.stop_requested):
            logger.info("worker.stopped")
            return
        # A server that is full or a replica answers a ping: without a pause this would go round and round.
        wait(RESTART_PAUSE_SECONDS)


def wait_for_redis(redis: RedisClient, *, wait: Callable[[float], None], logger: Logger) -> None:
    """Return when Redis answers; says once that it is waiting."""
    told = False
    while True:
        try:
            redis.ping()
        except RedisUnavailableError as error:
            if not told:
                logger.warning("worker.waiting_for_redis", error=str(error))
                told = True
            wait(RESTART_PAUSE_SECONDS)
        else:
            return
