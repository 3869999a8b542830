"""`make up`: every process on this machine, until Ctrl-C."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

from local_platform import PlatformError, any_ended, running_platform, what_ended

API_PORT: Final = int(os.environ.get("JOBS_API_PORT", "8080"))
NOTIFIER_PORT: Final = int(os.environ.get("NOTIFIER_PORT", "9100"))
REDIS_PORT: Final = 6390
ROOT: Final = Path(__file__).parent.parent


def main() -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code (1 when a process ended by itself)."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    try:
        print("starting", flush=True)
        with running_platform(
            ROOT / "var" / "up",
            api_port=API_PORT,
            notifier_port=NOTIFIER_PORT,
            redis_port=REDIS_PORT,
            keep_data=True,
            stop=stop,
        ) as (place, processes):
            print(f"API        {place['api_url']}   (OpenAPI: {place['api_url']}/schema)")
            print(f"pages      {place['api_url']}/jobs/DOMAIN/JOB_ID   (printed when you submit a job)")
            print(f"notifier   {place['notifier_url']}/readyz, /metrics")
            print(f"Redis      {place['redis_url']}")
            print(f"mails      {place['maildir']}")
            print(f"logs       {place['folder'] / 'logs'}")
            print("\nTry: .venv/bin/jobs submit csv.column_stats examples/data/penguins.csv \\")
            print("         --email you@example.com --watch")
            print("Ctrl-C stops everything.")
            while not stop.wait(0.5):
                if any_ended(processes):
                    raise PlatformError(what_ended(processes, ""))
            print("stopping")
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
