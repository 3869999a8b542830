"""RQ's queue as the platform's worker uses it: several queues in order, and nothing lost on the way out.

With one queue RQ moves an attempt into an intermediate queue, where another worker finds it if this one dies
before it begins. With several queues it takes attempts out with BLPOP, and such a death loses them. Here they
are moved also then, so that a worker can serve its queue of low priority after its own (docs/adr/0006).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final

from redis import Redis
from rq import Queue
from rq.exceptions import DequeueTimeout, StopRequested
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.utils import now
from typing_extensions import override

from platform_workers.errors import RedisCommandError
from platform_workers.redis import translated_errors

MAINTENANCE_SECONDS: Final = 15
"""How long a worker may look for abandoned attempts before another one may, too.

RQ's own quarter of an hour is how long such attempts would lie when a worker is killed while it looks.
"""

TAKEN_SECONDS: Final = 15
"""How long an attempt may lie between two looks without being begun, before it counts as abandoned.

A worker needs a few milliseconds for it. One that was merely slow finds its attempt refused, and the next
attempt in the queue.
"""


class Intake:
    """Whether the worker of this process may take attempts, and whether it has one in hand.

    RQ takes attempts by a class method, which can be given nothing of the worker.
    """

    is_closed: ClassVar[bool] = False
    has_attempt: ClassVar[bool] = False

    @classmethod
    def open(cls) -> None:
        """A new worker begins, with nothing in hand."""
        cls.is_closed = cls.has_attempt = False

    @classmethod
    def raise_if_over(cls) -> None:
        """End the worker if it shall stop and has nothing in hand.

        Raises:
            StopRequested: RQ's word for it; its work loop ends.
        """
        if cls.is_closed and not cls.has_attempt:
            raise StopRequested


class TakenAttempts(IntermediateQueue):
    """The attempts that were taken from a queue and are not begun yet."""

    @override
    def should_be_cleaned_up(self, job_id: str) -> bool:
        """Tell whether an attempt lies here for too long."""
        seen = self.get_first_seen(job_id)
        return seen is not None and now() - seen > timedelta(seconds=TAKEN_SECONDS)


class PlatformQueue(Queue):
    """A queue that loses nothing to a worker that dies while it takes an attempt."""

    @property
    @override
    def intermediate_queue(self) -> TakenAttempts:
        """The attempts that were taken and are not begun yet."""
        key: str = self.key
        return TakenAttempts(key, self._connection())

    @override
    def fetch_job(self, job_id: str) -> Job | None:
        """Return an RQ job; None where there is none.

        Also where another program has put something else under its key: a worker that looks for abandoned
        attempts broke off there, before it had found them.
        """
        try:
            with translated_errors():
                return super().fetch_job(job_id)
        except (RedisCommandError, ValueError):
            return None

    @override
    def acquire_maintenance_lock(self) -> bool:
        """Take the lock, so that one worker looks at a time; False if another one has it."""
        key: str = self.registry_cleaning_key
        return bool(self._connection().set(key, 1, nx=True, ex=MAINTENANCE_SECONDS))

    @classmethod
    @override
    def lpop(
        cls, queue_keys: Sequence[str], timeout: int | None, connection: Redis | None = None
    ) -> tuple[str, bytes | str] | None:
        """Move the first attempt of the first queue that has one into that queue's intermediate queue.

        Redis can wait for one list at a time: an attempt in the first queue is taken at once, one in another
        queue within a second.

        Args:
            queue_keys: The queues, the most important first.
            timeout: How many seconds to wait when all are empty; None for not at all.
            connection: The connection; RQ always gives it.

        Returns:
            The queue and the attempt's id; None when all are empty and there was no waiting.

        Raises:
            DequeueTimeout: Nothing came in time.
            StopRequested: The worker shall stop.
        """
        if connection is None:
            raise ValueError("a connection is needed")
        Intake.has_attempt = False
        seconds_left = timeout or 0
        while True:
            Intake.raise_if_over()
            for key in queue_keys:
                taken = connection.lmove(key, IntermediateQueue.get_intermediate_queue_key(key))
                if taken is not None:
                    Intake.has_attempt = True
                    return key, taken
            if seconds_left == 0:
                break
            first = queue_keys[0]
            came = connection.blmove(first, IntermediateQueue.get_intermediate_queue_key(first), 1)
            if came is not None:
                Intake.has_attempt = True
                return first, came
            seconds_left -= 1
        if timeout is None:
            return None
        raise DequeueTimeout(timeout, queue_keys)

    def _connection(self) -> Redis:
        connection: Redis = self.connection
        return connection
