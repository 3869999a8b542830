"""The processes of a run: started, killed, paused, and at the end gone without a trace."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypedDict

from local_platform import wait_until
from platform_workers.testing import EmbeddedRedis

from chaos.blows import Blow

STOP_SECONDS: Final = 12.0


class RunningProcess(TypedDict):
    """A line of the system's list of processes."""

    pid: int
    parent: int
    command: str


def list_processes() -> list[RunningProcess]:
    """Return every process of this machine."""
    words = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    found: list[RunningProcess] = []
    for line in lines:
        pid, parent, command = line.split(None, 2)
        found.append({"pid": int(pid), "parent": int(parent), "command": command})
    return found


def processes_of(folder: Path) -> list[RunningProcess]:
    """Return the processes whose command line names the folder: workers, what they forked, Redis."""
    return [process for process in list_processes() if str(folder) in process["command"]]


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Member:
    """One process of the platform, started again under the same name after a kill.

    Args:
        name: for the log's name and the report.
        command: what to run.
        environ: its environment.
        log: gets its output.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """True unless it was killed, stopped or ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.running:
            return
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def strike(self, blow: Blow) -> bool:
        """Do it; False if it did not run, so that there was nothing to hit."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        children = [found["pid"] for found in list_processes() if found["parent"] == process.pid]
        match blow:
            case "kill":
                send([process.pid], signal.SIGKILL)
            case "kill_children" if children:
                send(children, signal.SIGKILL)
                return True
            case "kill_with_children" | "kill_children":
                send([process.pid, *children], signal.SIGKILL)
            case "pause":
                send([process.pid, *children], signal.SIGSTOP)
                return True
        process.wait()
        return True

    def recover(self) -> None:
        """End a pause, or start it again."""
        if self.running:
            self._go_on()
        else:
            self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, after ending a pause."""
        if self._process is not None and self.running:
            self._go_on()
            send([self._process.pid], signal.SIGTERM)

    def wait_stopped(self) -> bool:
        """Wait until it has ended, and kill it if it does not; tell whether it ended by itself."""
        process = self._process
        if process is None:
            return True
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True

    def _go_on(self) -> None:
        if self._process is not None:
            pid = self._process.pid
            children = [found["pid"] for found in list_processes() if found["parent"] == pid]
            send([pid, *children], signal.SIGCONT)


class RedisMember:
    """The server, with its data on disk. It is killed and paused like the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = EmbeddedRedis(folder=folder, append_only=True)
        self._up = False
        self._paused = False

    @property
    def answering(self) -> bool:
        """True unless it is down or paused."""
        return self._up and not self._paused

    def start(self) -> None:
        """Start it on the data that is there, unless it runs."""
        if not self._up:
            self.server.start()
            self._up = True

    def strike(self, blow: Blow) -> bool:
        """Kill or pause it; False if it is down already."""
        if not self._up:
            return False
        if blow == "pause":
            send(self._pids(), signal.SIGSTOP)
            self._paused = True
        else:
            self.server.kill()
            self._up = False
        return True

    def recover(self) -> None:
        """End a pause, or start it again."""
        send(self._pids(), signal.SIGCONT)
        self._paused = False
        self.start()

    def stop(self) -> None:
        """End it, paused or not."""
        if self._up:
            send(self._pids(), signal.SIGCONT)
            self._up = False
            self.server.stop()

    def _pids(self) -> list[int]:
        return [found["pid"] for found in processes_of(self._folder)]


def stop_all(members: Sequence[Member]) -> list[str]:
    """Stop them side by side; return the names of those that had to be killed."""
    for member in members:
        member.ask_to_stop()
    return [member.name for member in members if not member.wait_stopped()]


def wait_gone(folder: Path, *, besides: Callable[[RunningProcess], bool], seconds: float) -> list[str]:
    """Wait for orphans of killed workers, then kill what is left; return the commands of those.

    Args:
        folder: whose processes.
        besides: those that may stay.
        seconds: how long to wait.
    """

    def left() -> list[RunningProcess]:
        return [found for found in processes_of(folder) if not besides(found)]

    if wait_until(lambda: not left(), seconds):
        return []
    late = left()
    send([found["pid"] for found in late], signal.SIGKILL)
    return [found["command"] for found in late]
