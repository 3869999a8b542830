"""How queues, workers and jobs stand at this moment, for the metrics.

Two questions to Redis, however many jobs there are and however many ask: who asks while an answer is under
way gets that one. Nobody waits longer for it than `PATIENCE_SECONDS`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from platform_core.clock import Clock
from platform_core.logging import Logger
from platform_workers.errors import WorkersError
from platform_workers.job_statistics import JobTotals, read_job_totals
from platform_workers.queue_states import QueueState, read_queue_states
from platform_workers.redis import RedisClient

PATIENCE_SECONDS: Final = 2.0
"""How long the figures are waited for. Whoever collects metrics gives up after ten seconds, as a rule."""


class Figures(TypedDict):
    """How things stand.

    Attributes:
        queues: every queue that was used or that jobs are submitted to here.
        jobs: the totals of each domain that has a job.
    """

    queues: Sequence[QueueState]
    jobs: Mapping[str, JobTotals]


class FigureReader:
    """Reads the figures. Used on one event loop.

    Args:
        redis: the connection.
        queues: queues to tell of even if nobody has used them.
        clock: the time.
        logger: told why there are no figures.
        patience: how long they are waited for, in seconds.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        queues: Sequence[str],
        clock: Clock,
        logger: Logger,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._redis = redis
        self._queues = queues
        self._clock = clock
        self._logger = logger
        self._patience = patience
        self._reading: asyncio.Task[Figures | None] | None = None

    async def read(self) -> Figures | None:
        """Return the figures; None if Redis does not answer, not in time, or answers nonsense."""
        reading = self._reading or asyncio.create_task(self._read_for_all())
        self._reading = reading
        done, _ = await asyncio.wait([reading], timeout=self._patience)
        return reading.result() if done else None

    async def _read_for_all(self) -> Figures | None:
        try:
            return await asyncio.to_thread(self._ask)
        except WorkersError as error:
            self._logger.warning("metrics.no_figures", error=str(error))
            return None
        finally:
            self._reading = None

    def _ask(self) -> Figures:
        now = self._clock.now()
        return {
            "queues": read_queue_states(self._redis, now=now, queues=self._queues),
            "jobs": read_job_totals(self._redis, now=now),
        }
