"""Where a command writes: results to the standard output, everything else to the standard error."""

import sys
import threading
from collections.abc import Callable
from typing import Final, TextIO, TypedDict

from platform_core.clock import Clock, SystemClock
from rich.console import Console
from rich.text import Text

PLAIN_WIDTH: Final = 120
"""How wide tables are when nobody's terminal says."""


class Terminal(TypedDict):
    """Where a command writes, and what it waits with.

    Attributes:
        out: results: what another program may read.
        err: everything about the way there.
        clock: tells the time.
        wait: waits so many seconds.
    """

    out: Console
    err: Console
    clock: Clock
    wait: Callable[[float], object]


def this_terminal() -> Terminal:
    """Return the terminal of this process."""
    return {
        "out": _console(stderr=False),
        "err": _console(stderr=True),
        "clock": SystemClock(),
        "wait": threading.Event().wait,
    }


def say(console: Console, line: str) -> None:
    """Print one line of words; it is never broken."""
    console.print(Text(line), soft_wrap=True)


def write(console: Console, text: str) -> None:
    """Write a text as it is, at once."""
    console.file.write(text)
    console.file.flush()


def write_line(console: Console, text: str) -> None:
    """Write a line as it is, at once."""
    write(console, text + "\n")


def _console(*, stderr: bool) -> Console:
    stream: TextIO = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PLAIN_WIDTH, highlight=False)
