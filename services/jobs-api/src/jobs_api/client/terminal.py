"""Where a command writes: results to the standard output, everything else to the standard error."""

import os
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO, TypedDict

from platform_core.clock import Clock, SystemClock
from rich.console import Console
from rich.text import Text
from typing_extensions import override

PLAIN_WIDTH: Final = 10_000
"""How wide lines may be when nobody's terminal says: for a program a row is a line, and nothing is cut."""


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


class ReadableConsole(Console):
    """A console that leaves it to the program what to do when nobody reads on."""

    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def this_terminal() -> Terminal:
    """Return the terminal of this process."""
    return {
        "out": _console(sys.stdout),
        "err": _console(sys.stderr),
        "clock": SystemClock(),
        "wait": threading.Event().wait,
    }


def make_streams_safe() -> None:
    """Make sure that whatever is printed can be: where a terminal can't show a character there is a `?`.

    What goes to a file or another program is UTF-8, whatever the terminal's encoding is; and a stream that
    was closed by whoever started the program swallows what is written to it.
    """
    sys.stdout = _safe(sys.stdout)
    sys.stderr = _safe(sys.stderr)


def drop_output() -> None:
    """Let what is still to be written to the standard output vanish: nobody takes it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    out: TextIO = sys.stdout
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)


def say(console: Console, line: str, style: str = "") -> None:
    """Print one line of words; it is never broken."""
    console.print(Text(line, style), soft_wrap=True)


def tell(console: Console, text: Text | str) -> None:
    """Print prose: at a terminal it goes on below at a word's end, in a pipe a line stays one."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=not console.is_terminal)


def write(console: Console, text: str) -> None:
    """Write a text as it is, at once."""
    console.file.write(text)
    console.file.flush()


def write_line(console: Console, text: str) -> None:
    """Write a line as it is, at once."""
    write(console, text + "\n")


def speaks_unicode(console: Console) -> bool:
    """Tell whether the terminal can show more than ASCII."""
    return console.encoding.startswith("utf")


def spinner_name(console: Console) -> str:
    """Return the spinner that the terminal can show."""
    return "dots" if speaks_unicode(console) else "line"


def _safe(stream: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(stream, TextIOWrapper):
        if stream.isatty():
            stream.reconfigure(errors="replace")
        else:
            stream.reconfigure(encoding="utf-8", errors="replace")
    return stream


def _console(stream: TextIO) -> Console:
    # Somebody who exports COLUMNS means it, also for a pipe; rich reads it where no width is given.
    told = os.environ.get("COLUMNS", "").isdigit()
    width = None if stream.isatty() or told else PLAIN_WIDTH
    return ReadableConsole(file=stream, width=width, highlight=False)
