"""The README's terminal session is what the commands really print."""

from pathlib import Path

import pytest
from readme_session import README, comparable, parts_of, run_session, without_progress


def test_the_session_in_the_readme_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REDIS_URL", "MAIL_PROVIDER", "JOBS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    shown = comparable(parts_of(README.read_text("utf-8"))[1])
    printed = comparable(run_session(tmp_path))
    assert printed == shown, "write it anew: .venv/bin/python tools/readme_session.py"


def test_luck_makes_no_difference_and_anything_else_does() -> None:
    one = f"12:00:00  queued\n12:00:01  completed   result of 9 bytes\nfiles/{'a' * 32}  2 s ago\n"
    other = f"12:00:03  progress  3 %\n12:00:07  completed   result of 9 bytes\nfiles/{'b' * 32}  just now\n"

    def seen(session: str) -> str:
        return comparable("\n".join(without_progress(session.splitlines())))

    assert seen(one) == seen(other)
    assert seen(one) != seen(other.replace("9 bytes", "8 bytes"))
