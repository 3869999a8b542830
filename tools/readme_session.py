"""The terminal session of the README: run against real processes, and written between its markers.

`python tools/readme_session.py` writes it anew; `tests/test_readme_session.py` runs it and compares. What
differs from run to run (ids, times, how often progress was told) counts as the same.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from local_platform import PlatformError, running_platform
from platform_workers.testing.embedded_redis import free_port

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- session: written by tools/readme_session.py -->\n```console\n"
END: Final = "```\n<!-- end of session -->\n"

COLUMNS: Final = 76
SHOWN_URL: Final = "http://127.0.0.1:8080"
"""Where `make up` puts the API; here it is on any free port."""

SETTING_UP: Final = (
    'export PATH="$PWD/.venv/bin:$PATH"; enable -n jobs   # bash has a jobs of its own (zsh: disable jobs)'
)
"""What a person types first; every command of the session is run by a bash that has done so."""

COMMANDS: Final = (
    "jobs types",
    "jobs submit csv.row_count examples/data/penguins.csv --watch",
    "jobs submit csv.row_count examples/data/broken.csv",
    "jobs log JOB --follow",
    "jobs list",
    "jobs stats",
    "jobs retry JOB",
)
"""In these JOB is the job that was submitted last."""

_EVENT: Final = re.compile(r"\d\d:\d\d:\d\d  (queued|started|processing|progress)\b")
_VARYING: Final = (
    # How often a short job tells its progress is luck as well, and when an hour begins.
    (re.compile(r"^.* INFO +\d+ %: .*\n", re.MULTILINE), ""),
    (re.compile(r"at most \d+ in "), "at most N in "),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d "), ""),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"just now|\d+ \w+ ago"), "AGE"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min)\b( \d+ s\b)?"), "DURATION"),
    (re.compile("[▁▂▃▄▅▆▇█]+"), "BARS"),
    (re.compile(r" +"), " "),
)


def run_session(folder: Path) -> str:
    """Run the commands against a platform of their own, and return what a person would see.

    Args:
        folder: Where the platform keeps its data and its logs.

    Raises:
        PlatformError: A process did not come up.
    """
    shown = [f"$ {SETTING_UP}"]
    job = ""
    with running_platform(folder, api_port=free_port(), notifier_port=free_port(), keep_data=False) as (
        place,
        _,
    ):
        for command in COMMANDS:
            typed = command.replace("JOB", job)
            done = subprocess.run(
                ["bash", "-c", f"{SETTING_UP}\n{typed}"],
                check=False,
                cwd=ROOT,
                env={**os.environ, "JOBS_API_URL": place["api_url"], "COLUMNS": str(COLUMNS)},
                stdin=subprocess.DEVNULL,
                # One stream, so that the lines stand in the order in which they were written.
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            output = done.stdout.replace(place["api_url"], SHOWN_URL)
            found = re.search(r"^files/[0-9a-f]{32}$", output, re.MULTILINE)
            job = found.group() if found else job
            shown += [f"$ {typed}", *without_progress(output.splitlines())]
    return "".join(f"{line}\n" for line in shown)


def without_progress(lines: list[str]) -> Iterator[str]:
    """Yield the lines, with one `...` for all that tells how far a job is: their number depends on luck."""
    left_out = False
    for line in lines:
        if not _EVENT.match(line):
            left_out = False
            yield line
        elif not left_out:
            left_out = True
            yield "..."


def comparable(session: str) -> str:
    """Return a session without what differs from run to run."""
    for pattern, word in _VARYING:
        session = pattern.sub(word, session)
    return session


def parts_of(readme: str) -> tuple[str, str, str]:
    """Return what stands before the session, the session, and what stands after it.

    Raises:
        ValueError: Its markers are not there.
    """
    begin = readme.index(BEGIN) + len(BEGIN)
    end = readme.index(END, begin)
    return readme[:begin], readme[begin:end], readme[end:]


def main() -> int:
    """Write the session into the README."""
    os.environ.pop("REDIS_URL", None)
    with tempfile.TemporaryDirectory() as folder:
        try:
            session = run_session(Path(folder))
        except PlatformError as error:
            print(error, file=sys.stderr)
            return 1
    before, _, after = parts_of(README.read_text("utf-8"))
    README.write_text(before + session + after, "utf-8")
    print(session, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
