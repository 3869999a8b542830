"""The processes of a run: what is started, under which settings, and who of them gets a blow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict

from local_platform import BIN, START_SECONDS, PlatformError, answers, wait_until
from platform_workers.testing.embedded_redis import free_port

from chaos.blows import PlannedBlow, Wishes
from chaos.log_trimming import TrimmedLog
from chaos.mail_service import MoodyMailtrap
from chaos.processes import Member, RedisMember, processes_of, stop_all, wait_gone
from chaos.striking import Victim

TOOLS: Final = Path(__file__).parent.parent

FILE_WORKERS: Final = 1
"""How many of the workers work on what comes in over HTTP; the others are of the domain `chaos`."""

SANDBOX: Final = {"MAILTRAP_USE_SANDBOX": "true", "MAILTRAP_INBOX_ID": "1"}
EMAIL_LOG: Final = {"MAILTRAP_USE_SANDBOX": "false", "MAILTRAP_ACCOUNT_ID": "1"}

NO_DIGESTS: Final = {"MAIL_DIGEST": "off"}
DIGESTS: Final = {"MAIL_DIGEST": "all", "MAIL_DIGEST_WINDOW": "5s"}


class Options(TypedDict):
    """What a run is to be.

    Attributes:
        seed: decides the jobs, the blows and the moods of the mail service.
        jobs: how many jobs in all.
        rq_jobs: how many of them are submitted with the library, for real workers.
        http_jobs: how many of them are submitted to the API, for real workers.
        cancels: how many jobs are cancelled.
        retries: how many jobs that failed or were cancelled are to run again.
        wishes: how many blows, and on how many processes.
        well: True for a mail service that never misbehaves.
        email_log: True sends for real, where Mailtrap keeps a log that settles what is in doubt; False uses
            the sandbox, which has none.
        digest: True shares the jobs out among few people and gathers their mails into digests.
        patient: True waits for leases and retries to end by themselves, instead of cutting them short.
        folder: for logs and data.
    """

    seed: int
    jobs: int
    rq_jobs: int
    http_jobs: int
    cancels: int
    retries: int
    wishes: Wishes
    well: bool
    email_log: bool
    digest: bool
    patient: bool
    folder: Path


class Stage:
    """The processes of a run, while they run.

    Attributes:
        url: where Redis is.
        api_url: where the API is.
        key: an API key that may do everything.
    """

    def __init__(self, options: Options, folder: Path, mailtrap: MoodyMailtrap) -> None:
        self.folder = folder
        self.mailtrap = mailtrap
        self.redis = RedisMember(folder / "redis")
        self.redis.start()
        self.url = self.redis.server.url
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}"
        environ = {
            **_environ(self.url, mailtrap, folder),
            **(EMAIL_LOG if options["email_log"] else SANDBOX),
            **(DIGESTS if options["digest"] else NO_DIGESTS),
            "JOBS_API_PORT": str(port),
        }
        self.key = _make_key(environ)
        logs = folder / "logs"
        logs.mkdir()

        def member(name: str, *command: str) -> Member:
            return Member(name, command, environ, logs / f"{name}.log")

        wishes = options["wishes"]
        self.notifiers = [
            member(f"notifier-{n}", str(BIN / "notifier"), "run") for n in range(wishes["notifiers"])
        ]
        self.log = TrimmedLog(self.url, self.redis, self.notifiers)
        self.workers = [
            member(f"worker-{n}", sys.executable, "-m", "chaos.worker", self.url, str(folder))
            for n in range(wishes["workers"] - FILE_WORKERS)
        ]
        self.workers += [
            # The option is for the list of processes alone; the interpreter takes any.
            member(f"files-worker-{n}", sys.executable, "-X", f"run={folder}", str(BIN / "jobs-worker"))
            for n in range(FILE_WORKERS)
        ]
        self.api = member("api", str(BIN / "jobs-api"), "serve")

    @property
    def members(self) -> list[Member]:
        """Every process but Redis."""
        return [*self.notifiers, *self.workers, self.api]

    def start(self) -> None:
        """Start them all; return when the API answers.

        Raises:
            PlatformError: it does not.
        """
        for member in self.members:
            member.start()
        if not wait_until(lambda: answers(f"{self.api_url}/healthz"), START_SECONDS):
            raise PlatformError(f"the API did not start; see {self.folder / 'logs'}")

    def victim(self, blow: PlannedBlow) -> Victim:
        """Return who gets a blow."""
        match blow["victim"]:
            case "notifier":
                return self.notifiers[blow["number"]]
            case "worker":
                return self.workers[blow["number"]]
            case "api":
                return self.api
            case "redis":
                return self.redis
            case "log":
                return self.log

    def is_orphan(self, pid: int) -> bool:
        """Tell whether a process of the folder has outlived its worker; Redis is none."""
        redis = {found["pid"] for found in processes_of(self.folder / "redis")}
        return pid not in redis

    def end(self) -> None:
        """End whatever runs."""
        stop_all(self.members)
        self.redis.stop()


@contextmanager
def running_stage(options: Options, folder: Path, mailtrap: MoodyMailtrap) -> Iterator[Stage]:
    """Start the processes, give them to the block, and leave none running."""
    stage = Stage(options, folder, mailtrap)
    try:
        stage.start()
        yield stage
    finally:
        mailtrap.calm_down()
        stage.end()
        wait_gone(folder, besides=lambda _: False, seconds=0)


def _make_key(environ: Mapping[str, str]) -> str:
    """Make an API key as an operator does; from the first one on a key is needed."""
    words = ["keys", "create", "--name", "chaos", "--scopes", "read,submit,manage"]
    made = subprocess.run(
        [str(BIN / "jobs-api"), *words], check=True, capture_output=True, text=True, env=dict(environ)
    )
    return made.stdout.strip()


def _environ(redis_url: str, mailtrap: MoodyMailtrap, folder: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(TOOLS), os.environ.get("PYTHONPATH", "")]),
        "REDIS_URL": redis_url,
        "OBJECT_STORE_URL": (folder / "objects").as_uri(),
        "JOBS_WORK_FOLDER": str(folder / "work"),
        "MAIL_FROM_EMAIL": "jobs@example.com",
        "MAIL_FROM_NAME": "Chaos",
        "MAILTRAP_API_KEY": "chaos",
        "MAILTRAP_API_HOST": mailtrap.host,
        "MAILTRAP_CA_BUNDLE": str(mailtrap.ca_bundle),
        "NOTIFIER_PORT": "0",
    }
