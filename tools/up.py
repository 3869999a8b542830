"""`make up`: every process on this machine, until Ctrl-C."""

import fcntl
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import httpx
from local_platform import (
    BIN,
    PlatformError,
    Process,
    any_ended,
    foreign_redis,
    running_platform,
    what_ended,
    write_private,
)

API_PORT: Final = int(os.environ.get("JOBS_API_PORT", "8080"))
NOTIFIER_PORT: Final = int(os.environ.get("NOTIFIER_PORT", "9100"))
REDIS_PORT: Final = 6390
ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "var" / "up"


def main() -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code (1 when a process ended by itself)."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    try:
        print("starting", flush=True)
        ports = {"JOBS_API_PORT": API_PORT, "NOTIFIER_PORT": NOTIFIER_PORT}
        if not foreign_redis(REDIS_PORT):
            ports["the Redis"] = REDIS_PORT
        with (
            only_one(FOLDER, ports),
            running_platform(
                FOLDER,
                api_port=API_PORT,
                notifier_port=NOTIFIER_PORT,
                redis_port=REDIS_PORT,
                keep_data=True,
                stop=stop,
            ) as (place, processes),
            settings_in(FOLDER / "env", place["settings"]) as env,
        ):
            print(f"API        {place['api_url']}   (OpenAPI: {place['api_url']}/schema)")
            print(f"pages      {place['api_url']}/jobs/DOMAIN/JOB_ID   (printed when you submit a job)")
            print(f"notifier   {place['notifier_url']}/readyz, /metrics")
            print(f"Redis      {place['redis_url']}")
            print(f"mails      {place['maildir']}")
            print(f"logs       {place['folder'] / 'logs'}")
            print(f"processes  {', '.join(f'{process.name} {process.pid}' for process in processes)}")
            print(f"\nIn another terminal: . {shlex.quote(shown(env))}   (its settings, and all commands)")
            print(what_to_try(place["api_url"]))
            print("Ctrl-C stops everything.", flush=True)
            while not stop.wait(0.5):
                if any_ended(processes):
                    raise PlatformError(what_died(processes))
            print("stopping", flush=True)
        print(f"stopped; jobs and mails are kept in {shown(FOLDER)}", flush=True)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def only_one(folder: Path, ports: Mapping[str, int]) -> Iterator[None]:
    """Keep a second one out while the block runs; a process that is killed lets go of it too.

    Args:
        folder: What only one may use.
        ports: Those that it needs, each with the name that a person knows it by.

    Raises:
        PlatformError: Another one runs, or something else listens on a port. No data and no log was touched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError("`make up` runs already; stop it first (Ctrl-C in its terminal)") from None
        for name, port in ports.items():
            if is_taken(port):
                raise PlatformError(
                    f"the port {port} ({name}) is taken by another process; nothing was started"
                )
        yield


@contextmanager
def settings_in(path: Path, settings: Mapping[str, str]) -> Iterator[Path]:
    """Keep the settings in a file for other terminals while the block runs.

    Nobody else may read it: the key of the mail provider may be among them. Afterwards it is gone.
    """
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    lines.append(f'export PATH={shlex.quote(str(BIN))}:"$PATH"')
    # Bash and zsh have a jobs of their own, which goes before any on the PATH.
    lines += [
        'if [ -n "${BASH_VERSION:-}" ]; then enable -n jobs; fi',
        'if [ -n "${ZSH_VERSION:-}" ]; then disable jobs; fi',
    ]
    write_private(path, "".join(f"{line}\n" for line in lines))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def shown(path: Path) -> str:
    """Return a path as a person types it at the root of the repository."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def what_died(processes: list[Process]) -> str:
    """Say which process has ended and what to do; it is read when everything else is stopped too."""
    then = "everything is stopped; `make up` starts it again and goes on where it was"
    for process in processes:
        if process.how_ended.startswith("was killed"):
            return f"{process.name} {process.how_ended}; {then}. Its log: {shown(process.log)}"
    return f"{what_ended(processes, '')}\n{then}"


def is_taken(port: int) -> bool:
    """Tell whether something listens on a port of this machine."""
    with socket.socket() as probe:
        # Connections that have just ended do not keep a server out, and so must not count here.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def what_to_try(api_url: str) -> str:
    """Return what a person types next, which is another thing once there are API keys."""
    key = os.environ.get("JOBS_API_KEY", "")
    answer = httpx.get(f"{api_url}/v1/job-types", headers={"Authorization": f"Bearer {key}"} if key else {})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return "API keys exist: set JOBS_API_KEY to one of them before you use `jobs`."
    return (
        "Try: .venv/bin/jobs submit csv.column_stats examples/data/penguins.csv \\\n"
        "         --email you@example.com --watch"
    )


if __name__ == "__main__":
    sys.exit(main())
