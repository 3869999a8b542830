"""The work horse's side of being stopped: a signal that a handler can clean up after, and no life of its own.

RQ forks one process, the horse, for each attempt. Its worker stops it with `STOP_SIGNAL`, which raises
`JobCancelledError` in the handler's main thread, and kills what is left after a while.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from types import FrameType
from typing import Final

from platform_workers.errors import JobCancelledError

STOP_SIGNAL: Final = signal.SIGUSR1
"""Not SIGTERM: that one comes from outside, too, and handlers' own child processes are ended with it."""

STOP_GRACE_SECONDS: Final = 2.0
"""How long a handler that was told to stop may clean up."""

_PR_SET_PDEATHSIG: Final = 1  # <sys/prctl.h>


def stop_horse(pid: int) -> None:
    """Tell a horse and the processes it started to stop; kill whatever of them is there after the grace."""
    _signal_group(pid, STOP_SIGNAL)
    killing = Timer(STOP_GRACE_SECONDS, _signal_group, (pid, signal.SIGKILL))
    killing.daemon = True
    killing.start()


def _signal_group(pid: int, number: signal.Signals) -> None:
    # The group is the horse's own and bears its id: no other process gets this id while a member lives.
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


class _Handler:
    """Whether the handler of this process knows that it is to stop."""

    knows = False


def handler_knows() -> None:
    """The handler has been told to stop in another way: the signal must not interrupt its cleaning up."""
    _Handler.knows = True


@contextmanager
def stoppable() -> Iterator[None]:
    """While the block runs, `STOP_SIGNAL` raises `JobCancelledError` in the main thread, unless it was told.

    Before the block the signal ends the process: nothing has begun. Afterwards it is ignored: raised where RQ
    ends the horse, it would lead out of the horse's code into the worker's, of which the horse is a copy.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not _Handler.knows:
            # A second one must not interrupt the handler's cleaning up.
            handler_knows()
            raise JobCancelledError("the job was cancelled or given to another worker")

    _Handler.knows = False
    signal.signal(STOP_SIGNAL, stop)
    try:
        yield
    finally:
        signal.signal(STOP_SIGNAL, signal.SIG_IGN)


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when its worker has died, so that it does not work on for nobody.

    Linux alone has this; elsewhere the horse is refused when it next says something about its job.

    Args:
        parent: The worker's process id.
    """
    with suppress(AttributeError):
        libc = ctypes.CDLL(None)
        _done: int = libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the system was told.
        os._exit(1)
