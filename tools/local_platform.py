"""Runs the whole platform on this machine, for `make demo` and `make up`: server, API, worker, notifier."""

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

import httpx
from platform_workers.errors import WorkersError
from platform_workers.redis import connect
from platform_workers.testing import EmbeddedRedis

BIN: Final = Path(sys.executable).parent
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0


class PlatformError(Exception):
    """Something did not start; the message says what, and where its log lies."""


class Place(TypedDict):
    """Where everything of a running platform lies.

    Attributes:
        folder: Below it logs, mails, objects and the server's data.
        api_url: The API and the web page.
        notifier_url: The notifier's health and metrics.
        redis_url: The server.
        maildir: The mails, where they are not sent away.
    """

    folder: Path
    api_url: str
    notifier_url: str
    redis_url: str
    maildir: Path


class Process:
    """One of our processes, its output in a file of its own."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C at the terminal must reach us alone, who stop the others in order.
            self._process = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True when it runs no more."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to stop and wait; whatever is left of it after that is killed."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not stop in time and is killed", file=sys.stderr)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return True as soon as the condition holds, False when it does not within so many seconds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return True
        pause.wait(0.05)
    return condition()


def answers(url: str) -> bool:
    """Tell whether a health page answers 200."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


@contextmanager
def running_platform(
    folder: Path,
    *,
    api_port: int,
    notifier_port: int,
    keep_data: bool,
    redis_port: int | None = None,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Place, list[Process]]]:
    """Start everything, give it to the block, and stop everything in the end.

    Settings in the environment are passed on; what is missing gets a value for this machine: an embedded
    server where `REDIS_URL` is not set, mails into a local Maildir where `MAIL_PROVIDER` is not set.

    Args:
        folder: Where everything goes.
        api_port: Where the API listens.
        notifier_port: Where the notifier tells its health.
        keep_data: True keeps the embedded server's data in the folder for the next time.
        redis_port: Where the embedded server listens; any free port by default.
        stop: Set when nobody wants it any more; then it is given up while it starts.

    Raises:
        PlatformError: A process did not come up, or it was given up.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        redis_url = os.environ.get("REDIS_URL", "")
        if redis_url:
            check_redis(redis_url)
        else:
            data = folder / "redis"
            server = EmbeddedRedis(port=redis_port, folder=data if keep_data else None, append_only=keep_data)
            redis_url = stack.enter_context(server).url
        place: Place = {
            "folder": folder,
            "api_url": f"http://127.0.0.1:{api_port}",
            "notifier_url": f"http://127.0.0.1:{notifier_port}",
            "redis_url": redis_url,
            "maildir": folder / "mail",
        }
        environ = {
            "MAIL_PROVIDER": "maildir",
            "MAIL_FROM_EMAIL": "jobs@example.com",
            "MAIL_FROM_NAME": "Job platform",
            "MAILDIR_PATH": str(place["maildir"]),
            "JOBS_PUBLIC_URL": place["api_url"],
            # Links in mails of an earlier run stop working; on this machine nobody minds.
            "UNSUBSCRIBE_SECRET": secrets.token_hex(32),
            "OBJECT_STORE_URL": (folder / "objects").absolute().as_uri(),
            **os.environ,
            "REDIS_URL": redis_url,
            "JOBS_API_PORT": str(api_port),
            "NOTIFIER_PORT": str(notifier_port),
            "JOBS_API_URL": place["api_url"],
        }
        commands = {
            "notifier": [str(BIN / "notifier"), "run"],
            "worker": [str(BIN / "jobs-worker")],
            "api": [str(BIN / "jobs-api"), "serve"],
        }
        processes: list[Process] = []
        for name, command in commands.items():
            process = Process(name, command, environ, logs / f"{name}.log")
            stack.callback(process.stop)
            processes.append(process)
        for name, url in (("api", place["api_url"]), ("notifier", place["notifier_url"])):
            page = f"{url}/readyz"
            came_up = wait_until(partial(answers_or_ended, page, processes, stop), START_SECONDS)
            if stop is not None and stop.is_set():
                raise PlatformError("stopped while it was starting")
            if not came_up or any_ended(processes):
                raise PlatformError(what_ended(processes, name))
        yield place, processes


def answers_or_ended(page: str, processes: list[Process], stop: threading.Event | None) -> bool:
    """Tell whether there is no more to wait for."""
    return (stop is not None and stop.is_set()) or answers(page) or any_ended(processes)


def check_redis(url: str) -> None:
    """Make sure that the Redis of the environment answers.

    Raises:
        PlatformError: It does not.
    """
    try:
        connect(url).ping()
    except (WorkersError, ValueError) as error:
        raise PlatformError(
            f"REDIS_URL is set, and that Redis does not answer ({error}). Unset it to get one of our own."
        ) from None


def any_ended(processes: list[Process]) -> bool:
    """Tell whether one of the processes has ended."""
    return any(process.ended for process in processes)


def what_ended(processes: list[Process], waiting_for: str) -> str:
    """Say in words what went wrong, with the end of the log that tells why."""
    for process in processes:
        if process.ended or process.name == waiting_for:
            tail = "\n".join(process.log.read_text("utf-8", "replace").splitlines()[-15:])
            state = "ended" if process.ended else "is not ready"
            return f"{process.name} {state}; its log {process.log} ends with:\n{tail}"
    return "nothing has ended"
