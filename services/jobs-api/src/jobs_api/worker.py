"""`jobs-worker`: runs the jobs of the domain `files` until it is told to stop."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from platform_core.clock import SystemClock
from platform_core.errors import PlatformError
from platform_workers.rq_harness import run_rq_worker

from jobs_api.file_jobs import remove_leftovers
from jobs_api.registry import LEFTOVER_AGE
from jobs_api.settings import read_worker_settings
from jobs_api.wiring import build_worker, set_up_logging

EXIT_SETTINGS: Final = 2


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ, Path.cwd()))


def run(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
    """Run the worker; return the exit code: 0 after SIGTERM or SIGINT, 2 when the settings are wrong.

    Raises:
        SystemExit: help was asked for (code 0), or the arguments are wrong (code 2): it takes none.
    """
    parser = argparse.ArgumentParser(
        prog="jobs-worker",
        description="Works on the jobs of the domain files until SIGTERM or Ctrl-C. Its settings are in the "
        "environment: REDIS_URL and OBJECT_STORE_URL, the same as for jobs-api; JOBS_WORK_FOLDER, LOG_LEVEL, "
        "LOG_FORMAT.",
    )
    parser.parse_args(arguments)
    try:
        settings = read_worker_settings(environ, folder)
        config = build_worker(settings)
    except PlatformError as error:
        sys.stderr.write(f"jobs-worker: {error}\n")
        return EXIT_SETTINGS
    set_up_logging("jobs-worker", settings["log"])
    remove_leftovers(settings["work_folder"], before=SystemClock().now() - LEFTOVER_AGE)
    run_rq_worker(config)
    return 0
