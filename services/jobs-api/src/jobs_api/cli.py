"""`jobs-api serve`: the HTTP API, until SIGTERM or Ctrl-C; and `jobs-api keys`: who may use it."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from platform_core.clock import SystemClock
from platform_core.errors import PlatformError, SettingsError
from platform_core.logging import get_logger
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import connect

from jobs_api.access.key_ring import KeyRing
from jobs_api.access.key_store import KeyStore, usable_keys
from jobs_api.http.gate import is_loopback
from jobs_api.key_commands import KeyArguments, add_key_commands, run_key_command
from jobs_api.server import serve
from jobs_api.settings import read_api_settings, read_key_settings
from jobs_api.wiring import build_api, set_up_logging

EXIT_SETTINGS: Final = 2
EXIT_REDIS_AWAY: Final = 3

NO_KEY: Final = (
    "JOBS_API_HOST: more than this machine could reach the API, and there is no API key that could be used. "
    "Make one with `jobs-api keys create --name NAME --scopes read,submit,manage`, or listen on 127.0.0.1."
)


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ, Path.cwd()))


def run(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
    """Run the command; return the exit code.

    Returns:
        0 when it is done (`serve`: after SIGTERM or Ctrl-C), 2 when the settings or the command are wrong, 3
        when `keys` can't reach Redis.

    Raises:
        SystemExit: with code 2 when the arguments are wrong, with code 3 when it can't listen there (the
            port is taken).
    """
    parser = argparse.ArgumentParser(prog="jobs-api", description="The HTTP API of the job platform.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve the API until SIGTERM or Ctrl-C")
    add_key_commands(commands.add_parser("keys", help="make, list and revoke API keys"))
    parsed = parser.parse_args(arguments, KeyArguments())
    try:
        if parsed.command == "keys":
            store = KeyStore(connect(read_key_settings(environ)["redis_url"]))
            run_key_command(parsed, store, SystemClock(), sys.stdout, sys.stderr)
        else:
            _serve(environ, folder)
    except RedisUnavailableError as error:
        sys.stderr.write(f"jobs-api: Redis does not answer: {error}. Is REDIS_URL right?\n")
        return EXIT_REDIS_AWAY
    except PlatformError as error:
        sys.stderr.write(f"jobs-api: {error}\n")
        return EXIT_SETTINGS
    return 0


def _serve(environ: Mapping[str, str], folder: Path) -> None:
    settings = read_api_settings(environ, folder)
    api = build_api(settings)
    set_up_logging("jobs-api", settings["log"])
    _look_at_keys(api["ring"], settings["host"])
    serve(
        api["app"],
        api["hub"],
        host=settings["host"],
        port=settings["port"],
        trusted_proxies=settings["trusted_proxies"],
    )


def _look_at_keys(ring: KeyRing, host: str) -> None:
    """Say whether keys are needed; refuse to serve others than this machine while nobody could have a key.

    Without Redis that can't be told. Then it starts all the same, and lets nobody in before it can.
    """
    try:
        table = ring.read()
    except RedisUnavailableError as error:
        get_logger("jobs_api.access").warning("access.not_known_yet", error=str(error))
        return
    if not is_loopback(host) and not usable_keys(table, SystemClock().now()):
        raise SettingsError((NO_KEY,))
