"""`make demo`: the main job from end to end, as its users see it.

Starts everything, hands in a job on a real CSV and one on a broken one, prints the events as they arrive and
the mails as a person reads them, says where everything lies, and leaves nothing running.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import threading
from email import message_from_bytes, policy
from pathlib import Path
from typing import Final

from local_platform import (
    BIN,
    PLATFORM_NAMES,
    Place,
    PlatformError,
    running_platform,
    wait_until,
)
from platform_core.errors import DecodeError
from platform_core.notifications import validate_email
from platform_workers.redis import connect
from platform_workers.testing.embedded_redis import free_port

ROOT: Final = Path(__file__).parent.parent
DATA: Final = Path("examples") / "data"
EMAIL: Final = "ada@example.com"
MAIL_SECONDS: Final = 20.0


def main(arguments: list[str]) -> int:
    """Run the demo; return 0 when everything came as it should."""
    parser = argparse.ArgumentParser(prog="make demo", description="The main job from end to end.")
    # `make demo FILE=... EMAIL=...` comes by the environment, where no shell takes a name apart.
    given = os.environ.get("DEMO_FILE", "")
    parser.add_argument(
        "--file",
        type=Path,
        default=Path(given) if given else None,
        help="your own CSV or JSON file instead of the two examples",
    )
    parser.add_argument(
        "--email",
        default=os.environ.get("DEMO_EMAIL", "") or EMAIL,
        help=f"who gets the mails (default {EMAIL})",
    )
    options = parser.parse_args(arguments)
    file: Path | None = options.file and options.file.absolute()
    email: str = options.email
    fault = fault_of(file, email)
    if fault:
        print(fault, file=sys.stderr)
        return 2
    os.chdir(ROOT)
    # None of another platform's settings: its worker would take the jobs, and the demo sends no real mail.
    for name in [name for name in os.environ if name.startswith(PLATFORM_NAMES)]:
        del os.environ[name]
    folder = Path("var") / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with running_platform(folder, api_port=free_port(), notifier_port=free_port(), keep_data=False) as (
            place,
            _,
        ):
            print(f"Everything is up: server, API ({place['api_url']}), worker, notifier.")
            passed = run_jobs(place, file, email)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    print("\nEverything is stopped. What it left behind:")
    print(f"  mails    {folder / 'mail'}")
    print(f"  results  {folder / 'objects'}")
    print(f"  logs     {folder / 'logs'}")
    return 0 if passed else 1


def fault_of(file: Path | None, email: str) -> str:
    """Say what is wrong with what the user gave; empty if nothing is."""
    if file is not None and file.is_dir():
        return f"FILE: {file} is a folder"
    if file is not None and not file.is_file():
        return f"FILE: there is no file {file}"
    try:
        validate_email(email, "EMAIL")
    except DecodeError:
        return f"EMAIL: {email} is not an email address"
    return ""


def run_jobs(place: Place, file: Path | None, email: str) -> bool:
    """Hand in the jobs and show what comes of them; True when all of it came as it should."""
    with Events(place["redis_url"]):
        if file is None:
            codes = [
                submit(place, "csv.column_stats", DATA / "penguins.csv", email),
                submit(place, "csv.row_count", DATA / "broken.csv", email),
            ]
            passed = codes == [0, 1]
        else:
            job_type = "json.canonicalize" if file.suffix.lower() == ".json" else "csv.column_stats"
            codes = [submit(place, job_type, file, email)]
            passed = codes[0] in {0, 1}
    return show_mails(place["maildir"], len(codes)) and passed


class Events:
    """Prints every event as it arrives, while the block runs."""

    def __init__(self, redis_url: str) -> None:
        self._subscription = connect(redis_url).subscription()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> None:
        self._subscription.listen_to(patterns=["*:events"])
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._subscription.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._subscription.next_message(0.2)
            if message is not None:
                print(f"  {message['channel']}  {message['data'].decode()}", flush=True)


def submit(place: Place, job_type: str, file: Path, email: str) -> int:
    """Run the client as a person would; return its exit code."""
    words = ["submit", job_type, str(file), "--email", email, "--on", "success,failure", "--watch"]
    print(f"\n$ jobs {shlex.join(words)}", flush=True)
    environ = {**os.environ, "JOBS_API_URL": place["api_url"]}
    done = subprocess.run(
        [str(BIN / "jobs"), *words],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    print(done.stderr + done.stdout, end="")
    print(f"(exit code {done.returncode})", flush=True)
    return done.returncode


def show_mails(maildir: Path, expected: int) -> bool:
    """Print every mail as a person reads it; True when the expected number arrived."""

    def arrived() -> list[Path]:
        return sorted((maildir / "new").glob("*"), key=lambda path: path.stat().st_mtime)

    wait_until(lambda: len(arrived()) >= expected, MAIL_SECONDS)
    for path in arrived():
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        body = message.get_body(("plain",))
        print("\n" + "-" * 72)
        for name in ("From", "To", "Subject", "Date"):
            print(f"{name + ':':<9}{message[name]}")
        print()
        print("" if body is None else body.get_content().rstrip())
    print("-" * 72)
    print(f"{len(arrived())} of {expected} mails arrived; the HTML version of each is in the same file.")
    return len(arrived()) == expected


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
