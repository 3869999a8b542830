"""The commands as their users start them: end to end, settings, signals, memory."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from platform_core.json_values import JsonObject, decode_json
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.embedded_redis import free_port
from process_kit import (
    BIN,
    Running,
    answers,
    environment,
    finished,
    peak_memory,
    running_platform,
    start,
    stop,
)
from service_kit import PATIENCE, wait_until

CSV = "name,amount\nAda,1\nGrace,2.5\nAda,\n"


@pytest.fixture(scope="module")
def platform(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """API and worker as processes, for all tests of this file."""
    server.client().connection.flushall()
    with running_platform(server, tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(CSV)
    return path


def test_a_file_goes_in_and_its_statistics_come_out(platform: Running, csv_file: Path) -> None:
    code, out, err = finished(
        "jobs", "submit", "csv.column_stats", str(csv_file),
        "--email", "ada@example.com", "--on", "failure", "--watch",
        environ=platform["environ"],
    )  # fmt: skip
    assert code == 0, err
    assert out.startswith("3 rows\n")
    assert ["amount", "float", "1", "2", "1", "2.5", "1.75"] in [line.split() for line in out.splitlines()]
    words = [line.split()[1] for line in err.splitlines() if line[2:3] == ":"]
    assert words[0] in {"queued", "started", "processing"}
    assert "progress" in words
    assert words[-1] == "completed"
    job_id = next(line.split()[-1] for line in err.splitlines() if line.startswith("submitted"))
    record = decode_json(finished("jobs", "show", job_id, "--json", environ=platform["environ"])[1])
    assert isinstance(record, dict)
    assert record["context"] == {"user_id": "1", "email": "ada@example.com"}
    assert record["notifications"] == {"email": {"enabled": True, "on": ["FAILURE"]}}
    assert list((platform["folder"] / "work").iterdir()) == []


def test_a_bad_file_says_why_and_exits_1(platform: Running, csv_file: Path) -> None:
    csv_file.write_text("a,b\n1,2\n3,4,5\n")
    code, out, err = finished(
        "jobs", "submit", "csv.row_count", str(csv_file), "--watch", environ=platform["environ"]
    )
    assert (code, out) == (1, "")
    assert "The job failed: Row 2 (line 3) has 3 values but the header has 2." in err
    assert "Mend them and submit again." in err


def test_a_job_submitted_now_can_be_watched_later(platform: Running, csv_file: Path, tmp_path: Path) -> None:
    code, out, err = finished(
        "jobs", "submit", "csv.deduplicate", str(csv_file), "--option", "columns=name",
        environ=platform["environ"],
    )  # fmt: skip
    assert code == 0
    reference = out.strip()
    assert reference.startswith("files/")
    assert f"jobs watch {reference}" in err
    target = tmp_path / "result.csv"
    code, out, err = finished(
        "jobs", "watch", reference, "--output", str(target), environ=platform["environ"]
    )
    assert (code, out) == (0, "")
    assert target.read_text() == "name,amount\nAda,1\nGrace,2.5\n"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_program_reads_json_lines(platform: Running, csv_file: Path) -> None:
    code, out, _ = finished(
        "jobs", "submit", "csv.row_count", str(csv_file), "--watch", "--json", environ=platform["environ"]
    )
    assert code == 0
    lines = [decode_json(line) for line in out.splitlines()]
    assert all(isinstance(line, dict) and set(line) == {"event", "data"} for line in lines)
    last = lines[-1]
    assert isinstance(last, dict)
    assert last["event"] == "state"


def test_a_running_job_that_is_cancelled_stops_and_leaves_no_file(platform: Running) -> None:
    """A file that takes a minute to read; its handler has a copy of it in the work folder.

    How soon it stops, a busy machine decides as well; what the platform adds is measured where it is added
    (platform_workers, test_rq_control).
    """
    work = platform["folder"] / "work"
    with httpx.Client(base_url=platform["url"], trust_env=False, timeout=PATIENCE) as http:
        long_file = b"a,b,c\n" + b"1,2.5,x\n" * 8_000_000
        file_id = decode_object(http.post("/v1/files", content=long_file))["file_id"]
        body: JsonObject = {
            "job_type": "csv.column_stats", "user_id": 1, "payload": {"file_id": file_id},
            "max_attempts": 3,
        }  # fmt: skip
        address = f"/v1/jobs/files/{decode_object(http.post('/v1/jobs', json=body))['job_id']}"
        wait_until(lambda: decode_object(http.get(address))["progress"] not in {None, 0})
        assert len(list(work.iterdir())) == 1
        assert decode_object(http.post(f"{address}/cancel"))["status"] == "cancelled"
        wait_until(lambda: list(work.iterdir()) == [])
        again = decode_object(http.post(f"{address}/retry"))
        assert (again["status"], again["run"]) == ("queued", 2)
        wait_until(lambda: decode_object(http.get(address))["progress"] not in {None, 0})
        http.post(f"{address}/cancel").raise_for_status()
        wait_until(lambda: list(work.iterdir()) == [])


def decode_object(answer: httpx.Response) -> JsonObject:
    """Return an answer's JSON object."""
    value = decode_json(answer.raise_for_status().content)
    assert isinstance(value, dict)
    return value


def test_memory_stays_flat_for_large_files(platform: Running) -> None:
    """200 MB up (raw and as a form) and down again: the process grows by less than 60 MB."""
    piece = os.urandom(1024) * 1024
    count = 200

    def pieces() -> Iterator[bytes]:
        for _ in range(count):
            yield piece

    def form() -> Iterator[bytes]:
        yield b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from pieces()
        yield b"\r\n--xyz--\r\n"

    with httpx.Client(base_url=platform["url"], trust_env=False, timeout=PATIENCE) as http:
        http.post("/v1/files", content=b"warm up")
        before = peak_memory(platform["api"])
        http.post(
            "/v1/files", content=form(), headers={"Content-Type": "multipart/form-data; boundary=xyz"}
        ).raise_for_status()
        stored = decode_json(http.post("/v1/files", content=pieces()).raise_for_status().content)
        assert isinstance(stored, dict)
        assert stored["bytes"] == count * len(piece)
        size = 0
        with http.stream("GET", f"/v1/files/{stored['file_id']}") as answer:
            for chunk in answer.iter_bytes():
                size += len(chunk)
        assert size == stored["bytes"]
        grown = peak_memory(platform["api"]) - before
    assert grown < 60_000_000, f"grew by {grown:,} bytes"


def test_whoever_submits_into_a_queue_that_nobody_serves_hears_of_it(tmp_path: Path, csv_file: Path) -> None:
    """The worker is alive, then killed: its name stays with RQ, which is what readiness goes by."""

    def metric(sample: str) -> str:
        page = httpx.get(f"{running['url']}/metrics", trust_env=False, timeout=PATIENCE).text
        return next(line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(sample))

    # Of its own: the worker of the other tests would take the job.
    with EmbeddedRedis() as server, running_platform(server, tmp_path) as running:
        redis = server.client()
        submit = ("jobs", "submit", "csv.row_count", str(csv_file))
        wait_until(lambda: metric('jobs_api_workers{queue="files",state="idle"}') == "1.0")
        code, _, err = finished(*submit, "--watch", environ=running["environ"])
        assert (code, "no worker" in err) == (0, False)
        (record,) = redis.smembers("rq:workers")
        running["worker"].kill()
        running["worker"].communicate()
        # What time does, 80 seconds later.
        redis.delete(record)
        assert metric('jobs_api_workers{queue="files",state="idle"}') == "0.0"
        _, out, err = finished(*submit, environ=running["environ"])
        assert "waiting    no worker serves the queue files\n" in err
        assert metric('jobs_api_queue_waiting{queue="files"}') == "1.0"
        watching = start("jobs", "watch", out.strip(), environ=running["environ"])
        assert watching.stderr is not None
        told = [watching.stderr.readline() for _ in range(2)]
        assert "no worker serves the queue files" in told[1]
        another = start("jobs-worker", environ=running["environ"])
        try:
            # In front of the result's own lines.
            assert "completed" in watching.communicate(timeout=2 * PATIENCE)[1]
        finally:
            stop(another)
            redis.close()


def test_sigterm_ends_both_well(server: EmbeddedRedis, tmp_path: Path) -> None:
    with running_platform(server, tmp_path) as running:
        with httpx.stream("GET", f"{running['url']}/healthz", trust_env=False):
            code, logged = stop(running["api"])
        assert code == 0, logged
        assert "Traceback" not in logged
        code, logged = stop(running["worker"])
        assert code == 0, logged


def test_the_api_starts_before_redis_and_finds_it_later(tmp_path: Path) -> None:
    server = EmbeddedRedis()
    environ = environment(server.url, tmp_path, free_port())
    api = start("jobs-api", "serve", environ=environ)
    url = environ["JOBS_API_URL"]
    wait_until(lambda: answers(f"{url}/healthz"))
    assert httpx.get(f"{url}/readyz", trust_env=False, timeout=PATIENCE).status_code == 503
    server.start()
    client = server.client()
    client.sadd("rq:workers", "rq:worker:w")
    client.sadd("rq:workers:files", "rq:worker:w")
    wait_until(lambda: answers(f"{url}/readyz"))
    client.close()
    code, logged = stop(api)
    server.stop()
    assert code == 0, logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("command", "arguments", "changes", "faults"),
    [
        ("jobs-api", ["serve"], {"REDIS_URL": "x", "JOBS_API_PORT": "y"}, ["REDIS_URL", "JOBS_API_PORT"]),
        ("jobs-api", ["serve"], {"OBJECT_STORE_URL": "az://container"}, ["Account must be specified"]),
        ("jobs-api", [], {}, ["COMMAND"]),
        ("jobs-worker", [], {"REDIS_URL": "x", "OBJECT_STORE_URL": "y"}, ["REDIS_URL", "OBJECT_STORE_URL"]),
        ("jobs-worker", ["nonsense"], {}, ["nonsense"]),
        ("jobs", ["show", "x"], {"JOBS_API_URL": "ftp://x"}, ["JOBS_API_URL"]),
    ],
)
def test_wrong_settings_stop_a_command_at_once_with_every_fault(
    tmp_path: Path, command: str, arguments: list[str], changes: dict[str, str], faults: list[str]
) -> None:
    environ = {**environment("redis://127.0.0.1:1/0", tmp_path, 0), **changes}
    code, out, err = finished(command, *arguments, environ=environ)
    assert (code, out) == (2, "")
    assert all(fault in err for fault in faults)
    assert "Traceback" not in err


def test_who_asks_for_help_starts_no_worker(tmp_path: Path) -> None:
    """It took jobs, without a word, with the settings of wherever it stood."""
    environ = environment("redis://127.0.0.1:1/0", tmp_path, 0)
    code, out, err = finished("jobs-worker", "--help", environ=environ)
    assert (code, err) == (0, "")
    assert "OBJECT_STORE_URL" in out


def test_a_port_that_is_taken_ends_the_api_with_3(platform: Running) -> None:
    code, _, err = finished("jobs-api", "serve", environ=platform["environ"])
    assert code == 3
    assert "address already in use" in err
    assert "Traceback" not in err


def test_ctrl_c_stops_watching_and_not_the_job(platform: Running, csv_file: Path) -> None:
    code, out, _ = finished(
        "jobs", "submit", "csv.row_count", str(csv_file), "--json",
        environ={**platform["environ"]},
    )  # fmt: skip
    assert code == 0
    reference = decode_json(out)
    assert isinstance(reference, dict)
    assert set(reference) == {"domain", "job_id"}
    stopped = stopped_job(platform)
    # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watching = start("jobs", "watch", stopped, environ=platform["environ"])
    signal.signal(signal.SIGINT, before)
    assert watching.stderr is not None
    assert "queued" in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 130
    assert "the job itself goes on" in err
    assert "Traceback" not in err


def test_in_a_terminal_there_is_a_live_bar(platform: Running, csv_file: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(BIN / "jobs"), "submit", "csv.row_count", str(csv_file), "--watch"],
        env={**platform["environ"], "TERM": "xterm-256color", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    seen = b"".join(iter(lambda: read_terminal(master), b"")).decode()
    out, _ = process.communicate(timeout=PATIENCE)
    os.close(master)
    assert process.returncode == 0
    assert '"rows": 3' in out
    assert "100 %" in seen
    assert "\x1b[?25h" in seen, "the cursor was not given back"
    assert "progress   " not in seen


def read_terminal(descriptor: int) -> bytes:
    """Read what was written to a terminal; nothing once the other side is closed."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


def stopped_job(platform: Running) -> str:
    """Submit a job that waits for a day; return its id."""
    with httpx.Client(base_url=platform["url"], trust_env=False, timeout=PATIENCE) as http:
        answer = http.post(
            "/v1/jobs",
            json={
                "job_type": "csv.row_count",
                "user_id": 1,
                "payload": {"file_id": "x"},
                "run_after": "2100-01-01T00:00:00+00:00",
            },
        ).raise_for_status()
    record = decode_json(answer.content)
    assert isinstance(record, dict)
    return str(record["job_id"])
