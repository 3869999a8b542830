"""The command `jobs`."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from platform_core.clock import SystemClock
from platform_core.errors import PlatformError
from platform_core.notifications import EVENT_WORDS
from rich.console import Console

from jobs_api.client import commands
from jobs_api.client.api import JobsApi, RefusedError, ServerUnreachableError, open_http
from jobs_api.client.arguments import Arguments, parse_arguments
from jobs_api.client.commands import NOT_FOUND, Following, Submission, Terminal
from jobs_api.client.results import check_target
from jobs_api.settings import read_client_settings

EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_INTERRUPTED: Final = 130

PLAIN_WIDTH: Final = 120
"""How wide tables are when nobody's terminal says."""

SERVER_FAULT: Final = 500


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code."""
    out, err = _console(stderr=False), _console(stderr=True)
    terminal: Terminal = {
        "out": out,
        "err": err,
        "clock": SystemClock(),
        "wait": threading.Event().wait,
    }
    try:
        parsed = parse_arguments(arguments)
        settings = read_client_settings(environ)
        with open_http(settings["api_url"]) as http:
            return _run_command(parsed, JobsApi(http), terminal)
    except ServerUnreachableError as error:
        return _fail(err, str(error), EXIT_UNREACHABLE)
    except RefusedError as error:
        return _fail(err, str(error), EXIT_UNREACHABLE if error.status >= SERVER_FAULT else EXIT_USAGE)
    except PlatformError as error:
        return _fail(err, str(error), EXIT_USAGE)
    except OSError as error:
        place: object = error.filename
        return _fail(err, f"{place}: {error.strerror}", EXIT_USAGE)
    except KeyboardInterrupt:
        return _fail(err, "stopped watching; the job itself goes on", EXIT_INTERRUPTED)


def _run_command(parsed: Arguments, api: JobsApi, terminal: Terminal) -> int:
    following: Following = {"json": parsed.json}
    if parsed.output is not None:
        check_target(parsed.output)
        following["output"] = parsed.output
    match parsed.command:
        case "submit":
            submitted = commands.submit(api, terminal, _submission(parsed))
            if not parsed.watch:
                return commands.print_submitted(terminal, submitted, json=parsed.json)
            return commands.watch(api, terminal, submitted["domain"], submitted["job_id"], following)
        case _:
            return _look_at_job(parsed, api, terminal, following)


def _look_at_job(parsed: Arguments, api: JobsApi, terminal: Terminal, following: Following) -> int:
    try:
        if parsed.command == "watch":
            return commands.watch(api, terminal, *parsed.job, following)
        return commands.show(api, terminal, *parsed.job, json=parsed.json)
    except RefusedError as error:
        if error.status == NOT_FOUND and not parsed.has_domain:
            hint = "(for another domain: DOMAIN/JOB_ID)"
            raise RefusedError(f"{error} {hint}", status=error.status) from None
        raise


def _submission(parsed: Arguments) -> Submission:
    submission: Submission = {
        "job_type": parsed.job_type,
        "path": parsed.file,
        "options": parsed.options,
        "user_id": parsed.user_id,
        "on": EVENT_WORDS if parsed.on is None else parsed.on,
    }
    if parsed.email is not None:
        submission["email"] = parsed.email
    return submission


def _console(*, stderr: bool) -> Console:
    stream: TextIO = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PLAIN_WIDTH, highlight=False)


def _fail(err: Console, message: str, code: int) -> int:
    err.print(f"jobs: {message}", markup=False, soft_wrap=True)
    return code
