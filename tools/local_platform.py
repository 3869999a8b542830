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
SECRET_CHARACTERS: Final = 64

PLATFORM_NAMES: Final = (
    "JOBS_", "NOTIFIER_", "MAIL_", "MAILDIR_", "MAILTRAP_", "SMTP_", "OBJECT_STORE_", "UNSUBSCRIBE_",
    "REDIS_",
)  # fmt: skip
"""How the platform's own settings begin; one that was exported for another platform must not get in."""

MAIL_NAMES: Final = ("MAIL_", "MAILTRAP_", "SMTP_")
"""Those that say how mails leave: the only ones that are taken from the environment, beside `REDIS_URL`."""


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
        settings: What each process is given beside its ports; a command in another terminal needs the same.
    """

    folder: Path
    api_url: str
    notifier_url: str
    redis_url: str
    maildir: Path
    settings: dict[str, str]


class Process:
    """One of our processes; its output goes to the end of a file of its own."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        # What an earlier run wrote stays: why it died is read there after the next one has begun.
        with log.open("ab") as output:
            self._log_begins = output.tell()
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

    @property
    def how_ended(self) -> str:
        """How it ended, in words; for one that runs, that it does not answer."""
        code = self._process.poll()
        if code is None:
            return "is not ready"
        return f"was killed (signal {-code})" if code < 0 else f"ended (exit code {code})"

    def log_tail(self) -> str:
        """Return the last lines of what it has written, none of an earlier one's."""
        written = self.log.read_bytes()[self._log_begins :].decode("utf-8", "replace")
        return "\n".join(written.splitlines()[-15:])

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

    Of the platform's settings in the environment only `REDIS_URL` and those of the mail provider count (see
    `MAIL_NAMES`). Without them there is an embedded server, and mails go into a local Maildir.

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
        redis_url = foreign_redis(redis_port)
        if redis_url:
            check_redis(redis_url)
        else:
            data = folder / "redis"
            server = EmbeddedRedis(port=redis_port, folder=data if keep_data else None, append_only=keep_data)
            with interrupts_held_back():
                redis_url = stack.enter_context(server).url
        api_url = f"http://127.0.0.1:{api_port}"
        maildir = folder / "mail"
        place: Place = {
            "folder": folder,
            "api_url": api_url,
            "notifier_url": f"http://127.0.0.1:{notifier_port}",
            "redis_url": redis_url,
            "maildir": maildir,
            "settings": {
                "MAIL_PROVIDER": "maildir",
                "MAIL_FROM_EMAIL": "jobs@example.com",
                "MAIL_FROM_NAME": "Job platform",
                **{name: value for name, value in os.environ.items() if name.startswith(MAIL_NAMES)},
                "MAILDIR_PATH": str(maildir.absolute()),
                "REDIS_URL": redis_url,
                "JOBS_API_URL": api_url,
                "JOBS_PUBLIC_URL": api_url,
                "UNSUBSCRIBE_SECRET": kept_secret(folder / "unsubscribe-secret"),
                "OBJECT_STORE_URL": (folder / "objects").absolute().as_uri(),
            },
        }
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(PLATFORM_NAMES)},
            **place["settings"],
            "JOBS_API_PORT": str(api_port),
            "NOTIFIER_PORT": str(notifier_port),
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


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Start processes in the block that Ctrl-C at the terminal does not reach.

    The embedded server cannot be given a session of its own, and it stops at SIGINT whatever was ignored
    before; but what is blocked here is blocked in it too. SIGTERM still stops it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def foreign_redis(own_port: int | None) -> str:
    """Return the `REDIS_URL` of the environment; empty if there is none or it is our own server's."""
    url = os.environ.get("REDIS_URL", "")
    # A terminal that has read the settings of an earlier run has our own address there.
    return "" if url == f"redis://127.0.0.1:{own_port}/0" else url


def kept_secret(path: Path) -> str:
    """Return the secret in a file, which is made if it is not there: links in old mails go on working."""
    with suppress(FileNotFoundError):
        secret = path.read_text("utf-8").strip()
        if len(secret) == SECRET_CHARACTERS:
            return secret
    secret = secrets.token_hex(SECRET_CHARACTERS // 2)
    write_private(path, secret + "\n")
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    half.replace(path)


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
            return (
                f"{process.name} {process.how_ended}; its log {process.log} ends with:\n{process.log_tail()}"
            )
    return "nothing has ended"
