"""`jobs completion`: a script that a real shell takes, and what it offers then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from client_kit import FakeApi
from process_kit import BIN

from jobs_api.client.cli import run

Captured = pytest.CaptureFixture[str]
BASH = shutil.which("bash")


def offered(words: str, folder: Path) -> list[str]:
    """Return what bash offers for the last of the words, after it read the script as the README says."""
    program = f"""
enable -n jobs
eval "$(jobs completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_jobs jobs "${{COMP_WORDS[COMP_CWORD]}}" 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        check=True,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return sorted(done.stdout.split())


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_bash_offers_commands_options_words_and_files(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").touch()
    assert offered("jobs ca", tmp_path) == ["cancel"]
    assert offered("jobs list --un", tmp_path) == ["--until"]
    assert offered("jobs list --status f", tmp_path) == ["failed"]
    assert offered("jobs completion z", tmp_path) == ["zsh"]
    assert offered("jobs submit csv.row_count ord", tmp_path) == ["orders.csv"]
    assert offered("jobs preferences u --set ord", tmp_path) == ["orders.csv"]


def test_zsh_gets_a_script_of_its_own(capsys: Captured) -> None:
    assert FakeApi().run("completion", "zsh") == 0
    out, err = capsys.readouterr()
    assert out.startswith("#compdef jobs")
    assert err == ""


def test_a_person_is_told_what_to_do_with_it(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert FakeApi().run("completion", "bash") == 0
    assert 'eval "$(jobs completion bash)"' in capsys.readouterr().err


def test_wrong_settings_do_not_stop_a_shell_from_starting() -> None:
    assert run(["completion", "bash"], {"JOBS_API_URL": "nonsense"}) == 0


def test_another_shell_is_refused(capsys: Captured) -> None:
    assert FakeApi().run("completion", "fish") == 2
    assert "invalid choice: 'fish'" in capsys.readouterr().err
