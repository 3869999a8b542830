"""The command `jobs`."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from platform_core.errors import PlatformError
from rich.console import Console

from jobs_api.client.commands import COMMANDS
from jobs_api.client.connection import open_http
from jobs_api.client.errors import RefusedError, ServerUnreachableError, StoppedError
from jobs_api.client.exit_codes import EXIT_INTERRUPTED, EXIT_UNREACHABLE, EXIT_USAGE
from jobs_api.client.parsing import parse_command
from jobs_api.client.session import Session
from jobs_api.client.terminal import this_terminal

SERVER_FAULT: Final = 500


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code."""
    terminal = this_terminal()
    err = terminal["err"]
    try:
        action = parse_command(COMMANDS, arguments)
        with Session(terminal, environ, lambda settings: open_http(settings["api_url"])) as session:
            return action(session)
    except ServerUnreachableError as error:
        return _fail(err, str(error), EXIT_UNREACHABLE)
    except RefusedError as error:
        return _fail(err, str(error), EXIT_UNREACHABLE if error.status >= SERVER_FAULT else EXIT_USAGE)
    except StoppedError as error:
        return _fail(err, str(error), EXIT_INTERRUPTED)
    except PlatformError as error:
        return _fail(err, str(error), EXIT_USAGE)
    except OSError as error:
        place: object = error.filename
        return _fail(err, f"{place}: {error.strerror}", EXIT_USAGE)
    except KeyboardInterrupt:
        return _fail(err, "stopped", EXIT_INTERRUPTED)


def _fail(err: Console, message: str, code: int) -> int:
    err.print(f"jobs: {message}", markup=False, soft_wrap=True)
    return code
