"""`make up`: every process on this machine, until Ctrl-C."""

import fcntl
import os
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
from local_platform import PlatformError, any_ended, running_platform, what_ended

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
        if not os.environ.get("REDIS_URL"):
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
        ):
            print(f"API        {place['api_url']}   (OpenAPI: {place['api_url']}/schema)")
            print(f"pages      {place['api_url']}/jobs/DOMAIN/JOB_ID   (printed when you submit a job)")
            print(f"notifier   {place['notifier_url']}/readyz, /metrics")
            print(f"Redis      {place['redis_url']}")
            print(f"mails      {place['maildir']}")
            print(f"logs       {place['folder'] / 'logs'}")
            print(f"\n{what_to_try(place['api_url'])}")
            print("Ctrl-C stops everything.", flush=True)
            while not stop.wait(0.5):
                if any_ended(processes):
                    raise PlatformError(what_ended(processes, ""))
            print("stopping", flush=True)
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
