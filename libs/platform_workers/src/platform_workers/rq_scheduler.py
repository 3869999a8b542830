"""RQ's scheduler as the platform's worker runs it: a dead worker's gives way soon, and does not outlive it.

The scheduler is a process that a worker forks. It puts attempts into the queue whose time has come: first
attempts with `run_after`, and those that follow a failed one after a pause. One for each queue holds a lock.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from redis import Redis
from rq.scheduler import RQScheduler
from typing_extensions import override

from platform_workers.errors import RedisUnavailableError
from platform_workers.horse import die_with_parent
from platform_workers.redis import translated_errors

LOCK_SECONDS: Final = 15
"""How long the lock of a scheduler that is silent lasts; it renews it every second.

With RQ's own minute a job that waited for its next attempt began up to 66 s late after its worker was killed.
"""

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class PlatformScheduler(RQScheduler):
    """A scheduler that ends with its worker, and whose lock ends soon after."""

    _parent = 0

    @override
    def start(self) -> object:
        """In the worker: fork the scheduler's process.

        It begins with the worker's signal handlers. A worker that is told to stop at that moment tells it and
        waits for it: it took the signal for the worker's, and the worker waited for ever.
        """
        self._parent = os.getpid()
        begin: Callable[[], object] = super().start
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            return begin()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @override
    def work(self) -> None:
        """In the scheduler's process: work until told to stop."""
        # RQ's works on as an orphan, one more for each worker that is killed.
        die_with_parent(self._parent)
        install: Callable[[], None] = self._install_signal_handlers
        install()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        go_on: Callable[[], None] = super().work
        go_on()

    @override
    def stop(self) -> None:
        """Give the locks back. Where Redis is away they end by themselves."""
        give_back: Callable[[], None] = super().stop
        with suppress(RedisUnavailableError), translated_errors():
            give_back()

    @override
    def heartbeat(self) -> None:
        """Keep the locks, for a while only."""
        keep: Callable[[], None] = super().heartbeat
        keep()
        connection: Redis = self.connection
        names: set[str] = self.acquired_locks
        for name in names:
            key: str = self.get_locking_key(name)
            connection.expire(key, LOCK_SECONDS)
