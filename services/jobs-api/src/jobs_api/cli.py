"""`jobs-api serve`: the HTTP API, until SIGTERM or Ctrl-C."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from platform_core.errors import PlatformError

from jobs_api.server import serve
from jobs_api.settings import read_api_settings
from jobs_api.wiring import build_api, set_up_logging

EXIT_SETTINGS: Final = 2


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ, Path.cwd()))


def run(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
    """Run the command; return the exit code.

    Returns:
        0 after SIGTERM or Ctrl-C, 2 when the settings are wrong.

    Raises:
        SystemExit: with code 2 when the arguments are wrong, with code 3 when it can't listen there (the
            port is taken).
    """
    parser = argparse.ArgumentParser(prog="jobs-api", description="The HTTP API of the job platform.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve the API until SIGTERM or Ctrl-C")
    parser.parse_args(arguments)
    try:
        settings = read_api_settings(environ, folder)
        api = build_api(settings)
    except PlatformError as error:
        sys.stderr.write(f"jobs-api: {error}\n")
        return EXIT_SETTINGS
    set_up_logging("jobs-api", settings["log"])
    serve(api["app"], api["hub"], host=settings["host"], port=settings["port"])
    return 0
