"""RQ's worker as the platform runs it: it keeps leases, and settles what a dead horse left behind.

RQ forks a work horse for every attempt. Around it this parent renews the lease, and whenever a horse has
ended it makes sure that the attempt was settled: after an exception, a timeout, `os._exit` (even with code 0)
or a kill. A parent that cannot renew, because the job was cancelled or given away, stops its horse (`horse`).
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from math import inf
from types import FrameType
from typing import Final, TypeAlias

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, default_events_channel, job_domain
from platform_core.logging import Logger
from redis.client import Pipeline
from rq import Queue, Worker
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.exceptions import AbandonedJobError, DeserializationError
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.worker import WorkerStatus
from typing_extensions import override

from platform_workers.attempts import AttemptRunner
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.handlers import HandlerRegistry
from platform_workers.horse import die_with_parent, stop_horse
from platform_workers.job_queue import ATTEMPT_FUNCTION, AttemptName
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient, translated_errors
from platform_workers.rq_queue import Intake, PlatformQueue
from platform_workers.rq_scheduler import PlatformScheduler

ABANDONED_SECONDS: Final = 15
"""How long RQ believes in an attempt whose worker is silent.

At worst another worker waits this long, then for `rq_queue.TAKEN_SECONDS`, and for each until it looks.
"""

PUT_BACK_SECONDS: Final = 30
"""After how long an attempt that could not be settled comes again."""

HORSE_DIED: Final = "the worker process ended unexpectedly"
"""What a job's failure says when its process gave no reason."""

RESTART_PAUSE_SECONDS: Final = 1.0
"""Pause before a worker that lost Redis begins again."""


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
        # RQ would stop the worker at an outage and leave the horse alone; the job may well outlive it.
        with self._enduring_outages():
            super().maintain_heartbeats(job, execution)
            name = attempt_of(job)
            if name is not None and not self._runner_of(name).renew(
                name["job_id"], name["run"], name["attempt"]
            ):
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
    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run an attempt. Another RQ job lies in the queue by mistake: it fails, and nothing of it is run."""
        if attempt_of(job) is not None:
            super().execute_job(job, queue)
            return
        self._platform_log.error("worker.foreign_rq_job", rq_job=job.id, queue=queue.name)
        self.handle_job_failure(job, queue, exc_string="this queue takes attempts of jobs alone")
        PlatformQueue(queue.name, connection=self.connection).intermediate_queue.remove(job.id)

    @override
    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork the horse, into a process group of its own.

        RQ leaves the second half to the horse. One that comes to stand still before it gets there, as a fork
        does that has copied a lock in another thread's hand, had no group that could be stopped: the worker
        waited for it without end, and passed over SIGTERM.
        """
        fork: Callable[[Job, Queue], None] = super().fork_work_horse
        fork(job, queue)
        horse: int = self.horse_pid
        # One that was faster has ended, or has become another program: it was there, and has its group.
        # Its id is nobody else's until the worker has waited for it.
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(horse, horse)

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
        env = self._runner.environment
        started = env["clock"].monotonic()
        # What RQ cannot write about the attempt then, expires like any attempt's.
        with self._enduring_outages():
            super().monitor_work_horse(job, queue, execution)
        limit = job.timeout or inf
        took_too_long = env["clock"].monotonic() - started > limit
        # Also a worker that is to stop: without it the job would wait until its lease has run out.
        wait_for_redis(env["redis"], wait=env["wait"], logger=self._platform_log)
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
            # RQ notes down that it was told. At an outage the worker broke off, and its job with it.
            with self._enduring_outages():
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
        except RedisCommandError as error:
            self._platform_log.error("worker.redis_refused", error=str(error))

    def _settle_abandoned(self, job: Job, kind: type[BaseException], _error: object, _trace: object) -> None:
        """Settle an attempt that RQ is about to give up because its worker is gone.

        Its job may still be `queued`: the worker died after RQ had marked the attempt as started and before
        the horse began it, so no lease tells of it. A fault here leaves it to RQ's next look.
        """
        if issubclass(kind, AbandonedJobError):
            self._settle(job, at_once=True)

    def _settle(self, job: Job, reason: str = HORSE_DIED, *, at_once: bool = False) -> None:
        name = attempt_of(job)
        if name is None:
            return
        try:
            self._runner_of(name).settle_dead(
                name["job_id"], name["run"], name["attempt"], reason, at_once=at_once
            )
        except RedisCommandError as error:
            # RQ is done with the attempt. In the queue once more it may begin then, if it has not begun yet.
            self._platform_log.error("worker.attempt_not_settled", job_id=name["job_id"], error=str(error))
            queue = PlatformQueue(job.origin, connection=self.connection)
            queue.schedule_job(job, datetime.now(UTC) + timedelta(seconds=PUT_BACK_SECONDS))

    def _runner_of(self, name: AttemptName) -> AttemptRunner:
        return runner_for(self._runner, name["domain"])


def attempt_of(job: Job) -> AttemptName | None:
    """Return which attempt an RQ job is, as `RqJobQueue` put it into the queue; None for any other RQ job."""
    try:
        function: str | None = job.func_name
        arguments: Sequence[object] = job.args
        domain, job_id, run, attempt = (str(argument) for argument in arguments)
        name: AttemptName = {
            "domain": job_domain(domain),
            "job_id": job_id,
            "run": int(run),
            "attempt": int(attempt),
        }
    except (DeserializationError, DecodeError, ValueError):
        return None
    return name if function == ATTEMPT_FUNCTION else None


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
