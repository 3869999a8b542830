"""Hands in the jobs of a run whatever happens to Redis meanwhile, and knows which ones it acknowledged."""

from collections.abc import Callable, Sequence

from platform_core.job_events import default_events_channel
from platform_core.job_types import JobRecord
from platform_workers.errors import JobExistsError, RedisUnavailableError, TransitionRefusedError
from platform_workers.job_context import make_job_context
from platform_workers.job_queue import RqJobQueue
from platform_workers.job_record_store import JobRecordStore
from platform_workers.job_store import raise_if_exists
from platform_workers.redis import RedisClient
from platform_workers.submission import JobSubmitter
from typing_extensions import override

from chaos.handing_in import HandsIn
from chaos.jobs import (
    CHAOS,
    JOB_TYPE,
    QUEUE,
    USER_ID,
    PlannedJob,
    context_of,
    make_registry,
    notifications_of,
    payload_of,
)


class Publisher(HandsIn):
    """Hands in the jobs at their time; a step that got no answer is made again under the same id.

    Those that go over HTTP are left to others.

    Attributes:
        acknowledged: the jobs whose last step Redis has acknowledged: the outcome for a plain one, the
            submission for one that a worker runs.
        fault: what ended it early; empty if nothing did.
    """

    def __init__(self, redis: RedisClient, jobs: Sequence[PlannedJob]) -> None:
        super().__init__("publisher", [job for job in jobs if job["way"] != "http"])
        self._redis = redis
        self._store = JobRecordStore(redis=redis, domain=CHAOS)

    @override
    def _hand_in(self, number: int, job: PlannedJob) -> None:
        for step in self._steps(job):
            self._insist(step)
        self.acknowledged.add(job["job_id"])

    def _insist(self, step: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except RedisUnavailableError:
                self._stop.wait(0.1)
            except TransitionRefusedError:
                return  # a person has cancelled it, or has a worker run it again
            else:
                return

    def _submit(self, job: PlannedJob) -> None:
        submitter = JobSubmitter(
            store=self._store,
            queue=RqJobQueue(redis=self._redis, name=QUEUE),
            registry=make_registry(),
            new_id=lambda: job["job_id"],
        )
        try:
            submitter.submit(
                {
                    "job_type": JOB_TYPE,
                    "payload": payload_of(job),
                    "user_id": USER_ID,
                    "priority": job["priority"],
                    "context": context_of(job),
                    "notifications": notifications_of(job),
                }
            )
        except JobExistsError:
            return  # the try before got through, only its answer did not

    def _steps(self, job: PlannedJob) -> list[Callable[[], object]]:
        if job["way"] == "library":
            return [lambda: self._submit(job)]

        def step(name: str) -> Callable[[], object]:
            # A name of its own for each step, the same for each try: so a repeat is recognised.
            context = make_job_context(
                redis=self._redis,
                domain=CHAOS,
                events_channel=default_events_channel(CHAOS),
                job_id=job["job_id"],
                user_id=USER_ID,
                queue_name=QUEUE,
                new_id=lambda: name,
            )
            match name, job["ending"]:
                case "started", _:
                    return context.publish_started
                case _, "complete":
                    return lambda: context.publish_completed(result_id="result", result_bytes=1)
                case _, ending:
                    return lambda: context.publish_failed(
                        "user" if ending == "user_error" else "system", "it was planned so"
                    )

        return [lambda: self._create(job), step("started"), step("outcome")]

    def _create(self, job: PlannedJob) -> None:
        now = self._clock.now()
        record: JobRecord = {
            "job_id": job["job_id"],
            "user_id": USER_ID,
            "status": "queued",
            "progress": 0,
            "message": None,
            "created_at": now,
            "updated_at": now,
            "error": None,
            "job_type": JOB_TYPE,
            "payload": payload_of(job),
            "priority": job["priority"],
            "queue": QUEUE,
            "attempt_count": 0,
            "max_attempts": 1,
            "run": 1,
            "context": context_of(job),
            "notifications": notifications_of(job),
        }
        try:
            raise_if_exists(self._redis.run_script(self._store.create_call(record)), job["job_id"])
        except JobExistsError:
            return  # as above
