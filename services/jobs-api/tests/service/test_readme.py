"""The README's `curl` examples are true: each is run as it stands there, against the running platform."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_core.json_values import decode_json
from platform_workers.testing import EmbeddedRedis
from process_kit import Running, running_platform
from service_kit import PATIENCE

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


@pytest.fixture
def platform(server: EmbeddedRedis, tmp_path: Path) -> Iterator[Running]:
    server.client().connection.flushall()
    with running_platform(server, tmp_path) as running:
        yield running


def examples() -> list[str]:
    """Return the `curl` commands of the README, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [
        command
        for block in blocks
        for command in re.split(r"\n(?=curl)", block)
        if command.startswith("curl")
    ]


def test_each_curl_example_works_as_it_stands(platform: Running, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n")
    ids = {"FILE_ID": "FILE_ID", "JOB_ID": "JOB_ID"}
    outputs: list[str] = []
    for example in examples():
        command = example.replace("http://127.0.0.1:8080", platform["url"])
        for placeholder, value in ids.items():
            command = command.replace(placeholder, value)
        done = subprocess.run(
            command.replace("curl ", "curl -sS --fail-with-body --noproxy '*' ", 1),
            shell=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        outputs.append(done.stdout)
        if done.stdout.startswith("{"):
            answer = decode_json(done.stdout)
            assert isinstance(answer, dict)
            ids |= {name.upper(): str(answer[name]) for name in ("file_id", "job_id") if name in answer}
    assert len(outputs) == 11
    assert '"status":"queued"' in outputs[2]
    assert "event: state" in outputs[3]
    assert '"status":"completed"' in outputs[4]
    assert (tmp_path / "orders.column_stats.json").exists()
    assert [output[:9] for output in outputs[7:9]] == ['{"jobs":['] * 2
    assert '"window":"7d"' in outputs[9]
