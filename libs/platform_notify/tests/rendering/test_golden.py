"""Every kind of mail, word for word: a change to a golden file is a change to what people read.

To accept one: `python -m platform_notify.sample_mails tests/rendering/golden`, look at the difference, and
count `TEMPLATE_VERSION` up.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from platform_notify.sample_mails import DIGESTS, SAMPLES, UNSUBSCRIBE, render_samples, write_samples

GOLDEN = Path(__file__).parent / "golden"


NAMES = sorted({**SAMPLES, **DIGESTS})


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_is_as_it_was(name: str, tmp_path: Path) -> None:
    write_samples(tmp_path)
    for kind in ("txt", "html"):
        file = f"{name}.{kind}"
        assert (tmp_path / file).read_text("utf-8") == (GOLDEN / file).read_text("utf-8")


def test_every_golden_file_has_its_mail(tmp_path: Path) -> None:
    write_samples(tmp_path)
    assert {file.name for file in GOLDEN.iterdir()} == {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_no_mail_asks_the_network_for_anything(name: str) -> None:
    html = render_samples()[name]["html"]
    for word in ("src=", "url(", "<img", "<script", "<link", "@import", "<form", "<iframe"):
        assert word not in html


def test_the_samples_can_be_written_from_the_command_line(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "platform_notify.sample_mails", str(tmp_path)], check=True)
    assert (tmp_path / "success.txt").read_text("utf-8").startswith("Subject: Your result is ready")


def test_both_parts_say_where_to_stop_such_mails() -> None:
    for name, mail in render_samples().items():
        stoppable = name in {"success", "user_fault", "digest"}
        assert (UNSUBSCRIBE in mail["text"]) == stoppable
        assert (f'href="{UNSUBSCRIBE}"' in mail["html"]) == stoppable
