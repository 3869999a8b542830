"""The command `jobs` as a process, in the places where a person runs it: pipes, terminals, full disks."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from process_kit import BIN, finished
from service_kit import PATIENCE, Service, submit

from jobs_api.client.exit_codes import EXIT_BROKEN_PIPE


@pytest.fixture
def environ(service: Service) -> Mapping[str, str]:
    # Without a buffer a short output is written, or not, before anybody can look.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "JOBS_API_URL": service["url"]}


def shell(command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash, where `jobs` is this program."""
    return subprocess.run(
        ["bash", "--norc", "-c", command.replace("jobs ", f"{BIN / 'jobs'} ")],
        env=environ,
        capture_output=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def at_terminal(words: list[str], environ: Mapping[str, str], columns: int) -> str:
    """Run `jobs` at a terminal so wide; return what it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(BIN / "jobs"), *words],
        env={**environ, "TERM": "xterm-256color", "COLUMNS": str(columns)},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b"".join(parts(master)).decode("utf-8", "replace")
    process.wait(PATIENCE)
    os.close(master)
    return seen


def parts(descriptor: int) -> Iterator[bytes]:
    """Give what is written to a terminal until the other side is closed."""
    while True:
        try:
            yield os.read(descriptor, 65_536)
        except OSError:
            return


def test_who_reads_no_further_is_no_fault(environ: Mapping[str, str]) -> None:
    """`jobs types | head -1` ended with a traceback about a broken pipe."""
    for command in ("jobs types", "jobs completion bash", "jobs list --help"):
        done = shell(f"{command} | true; exit ${{PIPESTATUS[0]}}", environ)
        assert (done.returncode, done.stderr) == (EXIT_BROKEN_PIPE, b"")


@pytest.mark.parametrize("command", ["jobs types", "jobs types --json"])
def test_a_full_disk_is_told(environ: Mapping[str, str], command: str) -> None:
    done = shell(f"{command} > /dev/full", environ)
    told = b"jobs: the output can't be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.parametrize(("before", "code"), [("default_int_handler", -signal.SIGINT), ("SIG_IGN", 7)])
def test_ctrl_c_while_the_program_loads_shows_no_traceback(before: str, code: int) -> None:
    """And where Ctrl-C was set to be ignored it stays so."""
    program = f"""
import signal, sys, types
from jobs_api.client import entry
def load(name):
    signal.raise_signal(signal.SIGINT)
    return types.SimpleNamespace(main=lambda: sys.exit(7))
signal.signal(signal.SIGINT, signal.{before})
entry.import_module = load
entry.main()
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_closed_streams_are_no_fault(environ: Mapping[str, str]) -> None:
    assert shell("jobs types >&-", environ).stderr == b""
    assert shell("jobs types 2>&-", environ).returncode == 0
    assert shell("jobs nope 2>&-", environ).returncode == 2


def test_a_pipe_is_utf8_whatever_the_terminal_is(service: Service, environ: Mapping[str, str]) -> None:
    job_id = submit(service, {"context": {"user_id": "\u00fc"}})
    done = shell(f"jobs show {job_id} --json", {**environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\u00fc".encode() in done.stdout


def test_a_terminal_that_has_only_ascii_is_no_fault(environ: Mapping[str, str]) -> None:
    shown = at_terminal(["types"], {**environ, "PYTHONIOENCODING": "ascii"}, 60)
    assert "csv.row_count" in shown
    assert "Traceback" not in shown
    assert "\ufffd" not in shown


@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_is_wider_than_the_terminal(environ: Mapping[str, str], columns: int) -> None:
    for words in (["types"], ["types", "csv.deduplicate"], ["types", "csv.dedup"]):
        shown = re.sub(r"\x1b\[[0-9;]*m", "", at_terminal(words, environ, columns))
        table = shown.split("Example:", maxsplit=1)[0]
        assert max(len(line.rstrip("\r\n")) for line in table.splitlines()) <= columns
        assert "csv.deduplicate" in table


def test_colours_are_for_terminals_that_want_them(environ: Mapping[str, str]) -> None:
    assert "\x1b[1m" in at_terminal(["types"], environ, 80)
    assert "\x1b[3" not in at_terminal(["types"], {**environ, "NO_COLOR": "1"}, 80)
    assert "\x1b" not in finished("jobs", "types", environ=environ)[1]


def test_a_line_of_a_pipe_is_never_cut(environ: Mapping[str, str]) -> None:
    out = finished("jobs", "types", environ=environ)[1]
    assert "Describes each column of a CSV file: type, nulls, distinct values, range, mean." in out


def test_the_width_that_is_exported_counts_for_pipes_too(environ: Mapping[str, str]) -> None:
    out = finished("jobs", "types", environ={**environ, "COLUMNS": "60"})[1]
    assert max(len(line) for line in out.splitlines()) <= 60
