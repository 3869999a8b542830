"""Runs a domain's jobs on an RQ worker, so that each ends in exactly one outcome.

RQ forks a work horse for every attempt. Inside it `run_attempt` does the work; around it the parent
(`rq_worker`) renews the lease and settles what the horse did not. If the whole worker dies, the lease runs
out and any other worker of the queue settles the attempt.
"""

import threading
from collections.abc import Callable
from typing import Final, NotRequired, Protocol, TypedDict

from platform_core.clock import Clock, SystemClock
from platform_core.job_events import job_domain
from platform_core.logging import Logger, get_logger
from platform_core.queues import low_queue_name
from rq.timeouts import JobTimeoutException

from platform_workers.attempts import AttemptRunner, random_jitter
from platform_workers.errors import JobCancelledError, RedisUnavailableError
from platform_workers.handlers import HandlerRegistry
from platform_workers.horse import stoppable
from platform_workers.job_context import new_token
from platform_workers.job_queue import RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient, connect, translated_errors
from platform_workers.rq_queue import PlatformQueue
from platform_workers.rq_worker import RESTART_PAUSE_SECONDS, PlatformWorker, runner_for, wait_for_redis
from platform_workers.server_clock import ServerClock

__all__ = [
    "IDLE_SECONDS",
    "RENEWAL_SECONDS",
    "PlatformWorker",
    "WorkLoop",
    "WorkerConfig",
    "make_worker",
    "run_attempt",
    "run_rq_worker",
    "runner_for",
    "wait_for_redis",
    "work_until_stopped",
]

RENEWAL_SECONDS: Final = 2
"""How often a busy worker renews its lease.

Together with the horse's grace (`horse.STOP_GRACE_SECONDS`) it bounds how soon a cancelled job has stopped
whose worker heard of it in no other way: within five seconds.
"""

IDLE_SECONDS: Final = 5
"""How often an idle worker looks for leases that ran out, and any worker for abandoned attempts."""


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
    runner = runner_for(_Process.runner, job_domain(domain))
    try:
        with stoppable():
            runner.run(job_id, run, attempt)
    except JobCancelledError as error:
        # Whoever took the job away has written what became of it; there is nothing to settle. The signal may
        # come before the handler begins, too: RQ would log it as an error, with a traceback.
        runner.environment["logger"].info("worker.attempt_stopped", job_id=job_id, reason=str(error))


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
