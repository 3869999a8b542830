"""Real processes for tests: the API and the worker as their users start them, and the client in this one."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import httpx
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.embedded_redis import free_port
from service_kit import PATIENCE, wait_until

BIN = Path(sys.executable).parent


class Running(TypedDict):
    """A started platform: what its processes were given, and where the API is."""

    environ: dict[str, str]
    url: str
    folder: Path
    api: subprocess.Popen[str]
    worker: subprocess.Popen[str]


def environment(redis_url: str, folder: Path, port: int) -> dict[str, str]:
    """Return what the processes are given."""
    return {
        **os.environ,
        "REDIS_URL": redis_url,
        "OBJECT_STORE_URL": (folder / "objects").as_uri(),
        "JOBS_WORK_FOLDER": str(folder / "work"),
        "JOBS_API_PORT": str(port),
        "JOBS_API_URL": f"http://127.0.0.1:{port}",
    }


def start(command: str, *arguments: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start one of the service's commands."""
    return subprocess.Popen([str(BIN / command), *arguments], env=environ, stderr=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask a process to end; return its exit code and what it logged."""
    process.terminate()
    _, logged = process.communicate(timeout=PATIENCE)
    return process.returncode, logged


def finished(command: str, *arguments: str, environ: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code, its output and its errors."""
    process = subprocess.run(
        [str(BIN / command), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


@contextmanager
def running_platform(server: EmbeddedRedis, folder: Path) -> Iterator[Running]:
    """Start the API and a worker, and wait until both are ready."""
    port = free_port()
    environ = environment(server.url, folder, port)
    api = start("jobs-api", "serve", environ=environ)
    worker = start("jobs-worker", environ=environ)
    url = environ["JOBS_API_URL"]
    try:
        wait_until(lambda: answers(f"{url}/readyz"))
        yield {"environ": environ, "url": url, "folder": folder, "api": api, "worker": worker}
    finally:
        for process in (worker, api):
            if process.poll() is None:
                stop(process)


def answers(url: str) -> bool:
    """Tell whether a GET is answered with success."""
    try:
        return httpx.get(url, timeout=PATIENCE, trust_env=False).is_success
    except httpx.TransportError:
        return False


def peak_memory(process: subprocess.Popen[str]) -> int:
    """Return the most memory a process has had so far, in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not tell")
