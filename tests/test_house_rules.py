"""The guard finds what it must; the lock file names no place; every README block that is shown is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted([*(ROOT / "libs").iterdir(), *(ROOT / "services").iterdir()])


def run_guard(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "guard.py"), str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("from typing import Any\n", "Any"),
        ("import typing\nx: typing.Any = 1\n", ".Any"),
        ("from typing import cast\n", "cast"),
        ("from dataclasses import dataclass\n", "dataclass"),
        ("import dataclasses\n", "dataclasses"),
        ("import pydantic.fields\n", "pydantic"),
        ("x = 1  # type: ignore[assignment]\n", "type: ignore"),
        ("x = 1  # noqa: E501\n", "noqa"),
        ("x = 1  # pragma: no cover\n", "pragma"),
        ("from typing import TYPE_CHECKING\n", "TYPE_CHECKING"),
    ],
)
def test_the_guard_finds_each_breach(source: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(source, "utf-8")
    assert rule in run_guard(tmp_path)


def test_the_guard_finds_a_stub_file_and_lets_clean_code_be(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('TEXT = "Any cast noqa"\n', "utf-8")
    assert run_guard(tmp_path) == ""
    (tmp_path / "module.pyi").touch()
    assert "stub file" in run_guard(tmp_path)


def test_a_pragma_does_not_hide_a_line_from_coverage(tmp_path: Path) -> None:
    (tmp_path / "hidden.py").write_text(
        "import sys\nif sys.argv[1:]:  # pragma: no cover\n    print(1)\n", "utf-8"
    )
    run = ("coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", "hidden.py")
    report = ("coverage", "report", f"--rcfile={ROOT / 'pyproject.toml'}")
    environ = {"PYTHONPATH": str(ROOT / "tools"), "PATH": ""}
    for words in (run, ("coverage", "combine", f"--rcfile={ROOT / 'pyproject.toml'}")):
        subprocess.run(
            [sys.executable, "-m", *words], check=True, cwd=tmp_path, env=environ, capture_output=True
        )
    done = subprocess.run(
        [sys.executable, "-m", *report],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert re.search(r"hidden\.py\s+3\s+1", done.stdout)


def test_the_lock_file_pins_with_hashes_and_names_no_place() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "index-url" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all("==" in line and line.endswith("\\") for line in pins)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_has_what_a_package_has(package: Path) -> None:
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "tests"):
        assert (package / name).exists(), name
    makefile = (package / "Makefile").read_text("utf-8").splitlines()
    assert len(makefile) == 2
    assert (package / "src" / package.name.replace("-", "_") / "py.typed").exists()
    assert len((package / "README.md").read_text("utf-8").splitlines()) > 5


def links(page: Path) -> list[str]:
    """The relative links of a Markdown page."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


PAGES = sorted(
    page
    for page in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("libs/*/*.md"),
        *ROOT.glob("services/*/*.md"),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in links(page):
        assert (page.parent / link).exists(), link
