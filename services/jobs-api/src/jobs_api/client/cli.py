"""The command `jobs`."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from platform_core.errors import PlatformError
from rich.console import Console

from jobs_api.client.commands import COMMANDS
from jobs_api.client.connection import open_http
from jobs_api.client.errors import RefusedError, ServerUnreachableError, StoppedError
from jobs_api.client.exit_codes import (
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from jobs_api.client.parsing import parse_command
from jobs_api.client.session import OpenHttp, Session
from jobs_api.client.terminal import Terminal, drop_output, make_streams_safe, tell, this_terminal
from jobs_api.client.words import visible_lines

SERVER_FAULT: Final = 500


def main() -> None:
    """Run the command."""
    make_streams_safe()
    sys.exit(run(sys.argv[1:], os.environ))


def run(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    open_connection: OpenHttp = open_http,
    open_terminal: Callable[[], Terminal] = this_terminal,
) -> int:
    """Run the command; return the exit code.

    Args:
        arguments: the command line, without the program's name.
        environ: the environment.
        open_connection: opens the connection to the API.
        open_terminal: returns the terminal.
    """
    terminal = open_terminal()
    err = terminal["err"]
    try:
        with Session(terminal, environ, open_connection) as session:
            code = _act(arguments, session)
        # What could not be written is told here, and not by the interpreter when all is over.
        terminal["out"].file.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` does.
        drop_output()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return _fail(err, "stopped", EXIT_INTERRUPTED)
    except UnicodeEncodeError:
        return _fail(err, "an argument is no UTF-8 text", EXIT_USAGE)
    except OSError as error:
        place: object = error.filename
        if place is None:
            # The output can't be written; what is left of it would be tried again at the end.
            drop_output()
            return _fail(err, f"the output can't be written: {error.strerror}", EXIT_USAGE)
        return _fail(err, f"{place}: {error.strerror}", EXIT_USAGE)
    except PlatformError as error:
        return _fail(err, str(error), _exit_code(error))


def _act(arguments: Sequence[str], session: Session) -> int:
    try:
        action = parse_command(COMMANDS, arguments)
    except SystemExit as stop:
        # The parser has printed what was to be said: the help, or what is wrong.
        return EXIT_USAGE if stop.code else EXIT_OK
    return action(session)


def _exit_code(error: PlatformError) -> int:
    match error:
        case ServerUnreachableError():
            return EXIT_UNREACHABLE
        case RefusedError():
            return EXIT_UNREACHABLE if error.status >= SERVER_FAULT else EXIT_USAGE
        case StoppedError():
            return EXIT_INTERRUPTED
        case _:
            return EXIT_USAGE


def _fail(err: Console, message: str, code: int) -> int:
    tell(err, f"jobs: {visible_lines(message)}")
    return code
