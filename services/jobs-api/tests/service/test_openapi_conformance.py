"""A property-based tester reads the OpenAPI document and calls the running API: it finds no fault.

It makes requests that the document allows and requests that it forbids, of every operation, and checks that
the first are taken and the second refused, that each answer is one the document tells of in status, type,
headers and shape, that other methods are refused, that a key is needed, and that nothing is a 500.

The streams of events are left out: they do not end, and their answer is no document. Their own tests are in
`test_http_events.py`. It also takes no part in the limits of rate, which are off here.
"""

import os
import subprocess
from pathlib import Path

from platform_workers.redis import RedisClient
from process_kit import BIN
from service_kit import SYSTEM_CLOCK, complete, folder_store, running_api, submit

from jobs_api.access.key_store import KeyStore
from jobs_api.access.keys import SCOPES, make_key

EXAMPLES = "12"
"""Of each operation and phase; with the seed it makes every run the same."""

STREAMS = "/events$"


def test_the_running_api_is_what_its_document_says(vault: RedisClient, tmp_path: Path) -> None:
    made = make_key(name="tester", scopes=SCOPES, domains=[], now=SYSTEM_CLOCK.now())
    KeyStore(vault).save(made.key)
    # A worker is known, so that the API is ready.
    vault.sadd("rq:workers", "rq:worker:w-1")
    vault.sadd("rq:workers:files", "rq:worker:w-1")
    with running_api(vault, folder_store(tmp_path), local=False) as service:
        service["http"].headers["Authorization"] = f"Bearer {made.text}"
        complete(service, submit(service))
        done = run_tester(
            service["url"],
            tmp_path,
            "--header",
            f"Authorization: Bearer {made.text}",
            "--exclude-path-regex",
            STREAMS,
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "Tested: 0" not in done.stdout


def test_the_tester_would_find_a_fault(vault: RedisClient, tmp_path: Path) -> None:
    """Without a worker the API is not ready and says 503, which the tester counts as a fault."""
    with running_api(vault, folder_store(tmp_path)) as service:
        done = subprocess.run(
            [
                str(BIN / "st"),
                "run",
                f"{service['url']}/schema/openapi.json",
                "--include-path",
                "/readyz",
                "--phases",
                "examples,coverage",
            ],
            cwd=tmp_path,
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 1
    assert "Server error" in done.stdout


def run_tester(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tester to its end, with every check it has."""
    return subprocess.run(
        [str(BIN / "st"), "run", f"{url}/schema/openapi.json", "--seed", "1", "--checks", "all", *arguments],
        cwd=folder,
        env={
            # Without what measures this process: the tester is a program of its own.
            **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "NO_PROXY": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
