"""Where the command `jobs` begins: it loads the rest, which takes some tenths of a second.

Ctrl-C in this time would show where in the loading it came; here it ends the program without a word.
"""

import signal
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Final

PROGRAM: Final = "jobs_api.client.cli"


def main() -> None:
    """Load the program and run it."""
    # Whoever started it may have set Ctrl-C to be ignored, as shells do in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        program = import_module(PROGRAM)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        program = import_module(PROGRAM)
    _main_of(program)()


def _main_of(program: ModuleType) -> Callable[[], None]:
    run: Callable[[], None] = program.main
    return run
