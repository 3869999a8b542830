"""The job types of the domain `files`: from an uploaded file to a stored result."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from platform_core.errors import DecodeError, JobUserError
from platform_core.json_schemas import field_names
from platform_core.json_values import JsonObject, JsonValue, decode_json
from platform_workers.errors import JobCancelledError
from platform_workers.handlers import HandlerRegistry, JobResult
from platform_workers.testing import FakeClock, FakeJobRun, golden_payload_faults
from service_kit import folder_store

from jobs_api.file_jobs import FileJobs, remove_leftovers
from jobs_api.files.progress import ProgressReport
from jobs_api.object_store import FileStore, StoredFile
from jobs_api.registry import FILES, LEFTOVER_AGE, TIMEOUT_SECONDS, make_registry

GOLDEN = Path(__file__).parent.parent / "golden" / "payloads"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return folder_store(tmp_path)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def registry(store: FileStore, work: Path) -> HandlerRegistry:
    return make_registry(file_jobs(store, work))


def stored(store: FileStore, tmp_path: Path, content: bytes, name: str = "orders.csv") -> StoredFile:
    source = tmp_path / "local"
    source.write_bytes(content)
    return store.save_file(source, name=name, content_type="text/csv")


def run_job(registry: HandlerRegistry, job_type: str, payload: JsonObject, run: FakeJobRun) -> JobResult:
    return registry.get(job_type)["bind"](payload)(run)


CASES: dict[str, tuple[bytes, str, str, bytes, str]] = {
    "csv.row_count": (
        b"a,b\n1,2\n", "orders.row_count.json", "application/json", b'"rows": 1', "1 row, 2 columns",
    ),
    "csv.column_stats": (
        b"a,b\n1,2\n", "orders.column_stats.json", "application/json", b'"integer"', "1 row, 2 columns",
    ),
    "csv.deduplicate": (
        b"a,b\n1,2\n1,2\n", "orders.deduplicated.csv", "text/csv", b"a,b\n1,2\n",
        "1 repeated row removed, 1 kept",
    ),
    "json.canonicalize": (
        b'{"b": 1, "a": 2}', "orders.canonical.json", "application/json", b'{"a":2,',
        "16 bytes became 13 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("job_type", CASES)
def test_each_job_type_stores_a_result_named_after_its_source(
    registry: HandlerRegistry,
    store: FileStore,
    tmp_path: Path,
    work: Path,
    job_type: str,
) -> None:
    content, name, content_type, inside, said = CASES[job_type]
    run = FakeJobRun(FILES)
    source = stored(store, tmp_path, content)
    result = run_job(registry, job_type, {"file_id": source["file_id"]}, run)
    about = store.fetch(result["result_id"], tmp_path / "result")
    assert (about["name"], about["bytes"]) == (name, result["result_bytes"])
    assert about["content_type"].startswith(content_type)
    assert inside in (tmp_path / "result").read_bytes()
    assert run.progress[-2:] == [(98, "storing the result"), (99, said)]
    assert [percent for percent, _ in run.progress] == sorted(percent for percent, _ in run.progress)
    assert all(message != "done" for _, message in run.progress)
    assert list(work.iterdir()) == []


def test_options_reach_the_work(registry: HandlerRegistry, store: FileStore, tmp_path: Path) -> None:
    source = stored(store, tmp_path, b"1;2\n3;4\n")
    payload: JsonObject = {"file_id": source["file_id"], "delimiter": ";", "has_header": False}
    result = run_job(registry, "csv.row_count", payload, FakeJobRun(FILES))
    store.fetch(result["result_id"], tmp_path / "result")
    document = decode_json((tmp_path / "result").read_bytes())
    assert isinstance(document, dict)
    assert (document["rows"], document["columns"]) == (2, 2)


def test_a_file_that_was_never_uploaded_is_the_users_fault(registry: HandlerRegistry, work: Path) -> None:
    with pytest.raises(JobUserError, match="no uploaded file with the id 'nope'"):
        run_job(registry, "csv.row_count", {"file_id": "nope"}, FakeJobRun(FILES))
    assert list(work.iterdir()) == []


def test_a_cancel_in_the_middle_of_clearing_up_leaves_nothing_behind(
    registry: HandlerRegistry, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, told = shutil.rmtree, list[Path]()

    def interrupted(path: Path, *, ignore_errors: bool) -> None:
        told.append(path)
        if len(told) == 1:
            raise JobCancelledError
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr("jobs_api.file_jobs.shutil.rmtree", interrupted)
    with pytest.raises(JobCancelledError):
        run_job(registry, "csv.row_count", {"file_id": "nope"}, FakeJobRun(FILES))
    assert list(work.iterdir()) == []


def test_a_bad_file_is_the_users_fault_and_leaves_nothing_behind(
    registry: HandlerRegistry, store: FileStore, tmp_path: Path, work: Path
) -> None:
    source = stored(store, tmp_path, b"a,b\n1,2,3\n")
    with pytest.raises(JobUserError, match="3 values"):
        run_job(registry, "csv.row_count", {"file_id": source["file_id"]}, FakeJobRun(FILES))
    assert list(work.iterdir()) == []


def test_two_attempts_of_one_job_at_once_do_not_touch_each_others_files(
    store: FileStore, tmp_path: Path, work: Path
) -> None:
    """The process of a worker is killed and its attempt goes on, while another worker begins the next."""
    seen: list[list[str]] = []

    def operation(source: Path, result: Path, payload: JsonObject, report: ProgressReport) -> str:
        result.write_bytes(b"{}")
        if not seen:
            seen.append([])
            second = FakeJobRun(FILES)
            second.attempt = attempts.pop()
            handler(payload, second)
        seen.append(sorted(path.name for path in source.parent.iterdir()))
        return "fine"

    handler = file_jobs(store, work).handler(
        operation, {"label": "x", "ending": "json", "content_type": "x/y"}, str
    )
    payload: JsonObject = {"file_id": stored(store, tmp_path, b"x")["file_id"]}
    # The same attempt may also be begun again, after a lease that ran out.
    for attempt in (2, 1):
        attempts = [attempt]
        seen.clear()
        handler(payload, FakeJobRun(FILES))
        assert seen == [[], ["result", "source"], ["result", "source"]]
    assert list(work.iterdir()) == []


def test_an_attempt_clears_what_killed_ones_left_long_ago(
    registry: HandlerRegistry, store: FileStore, tmp_path: Path, work: Path
) -> None:
    left_behind(work, "attempt-old", NOW - LEFTOVER_AGE - timedelta(minutes=1))
    left_behind(work, "attempt-young", NOW - LEFTOVER_AGE + timedelta(minutes=1))
    source = stored(store, tmp_path, b"a\n1\n")
    run_job(registry, "csv.row_count", {"file_id": source["file_id"]}, FakeJobRun(FILES))
    assert [path.name for path in work.iterdir()] == ["attempt-young"]
    assert timedelta(seconds=TIMEOUT_SECONDS) < LEFTOVER_AGE


@pytest.mark.parametrize("job_id", ["../../escape", "a/b", ".."])
def test_a_job_id_is_never_a_path(
    registry: HandlerRegistry, store: FileStore, tmp_path: Path, work: Path, job_id: str
) -> None:
    source = stored(store, tmp_path, b"a\n1\n")
    before = set(tmp_path.rglob("*")) - set((tmp_path / "objects").rglob("*"))
    run_job(registry, "csv.row_count", {"file_id": source["file_id"]}, FakeJobRun(FILES, job_id=job_id))
    after = set(tmp_path.rglob("*")) - set((tmp_path / "objects").rglob("*"))
    assert after - before == {work}


@pytest.mark.parametrize(
    "payload", [{}, {"file_id": 1}, {"file_id": ""}, {"file_id": "x", "delimiter": "ab"}, 5]
)
def test_a_wrong_payload_is_refused_by_each_type(registry: HandlerRegistry, payload: JsonValue) -> None:
    with pytest.raises(DecodeError, match=r"\$\.payload"):
        registry.get("csv.row_count")["bind"](payload)


def test_the_fields_of_each_type_are_known(registry: HandlerRegistry) -> None:
    fields = {name: field_names(registry.get(name)["payload_schema"]) for name in registry.job_types}
    csv = ["delimiter", "encoding", "file_id", "has_header"]
    assert fields == {
        "csv.column_stats": [*csv, "null_words"],
        "csv.deduplicate": ["columns", *csv],
        "csv.row_count": csv,
        "json.canonicalize": ["file_id"],
    }


def test_what_was_ever_accepted_is_still_decoded(registry: HandlerRegistry) -> None:
    """A golden payload is never changed: such jobs wait in somebody's queue while this release goes out."""
    assert golden_payload_faults(registry, GOLDEN) == []


def test_the_published_schema_takes_the_golden_payloads(registry: HandlerRegistry) -> None:
    for path in GOLDEN.glob("*/*.json"):
        validator = Draft202012Validator(registry.get(path.parent.name)["payload_schema"])
        assert validator.is_valid(decode_json(path.read_bytes())), path
        assert not validator.is_valid({"file_id": ""}), path


def test_a_worker_passes_over_a_field_it_does_not_know(
    registry: HandlerRegistry, store: FileStore, tmp_path: Path
) -> None:
    source = stored(store, tmp_path, b"a\n1\n")
    run_job(registry, "csv.row_count", {"file_id": source["file_id"], "newer": 1}, FakeJobRun(FILES))


def test_the_types_and_their_domain(registry: HandlerRegistry) -> None:
    assert registry.domain == "files"
    assert registry.job_types == ["csv.column_stats", "csv.deduplicate", "csv.row_count", "json.canonicalize"]
    assert registry.limits_of("csv.row_count")["timeout_seconds"] == 3600


def test_only_old_folders_of_attempts_are_removed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert remove_leftovers(work, before=NOW) == 0
    left_behind(work, "attempt-old", NOW - timedelta(hours=3))
    left_behind(work, "attempt-new", NOW - timedelta(hours=1))
    left_behind(work, "somebody else's", NOW - timedelta(hours=3))
    assert remove_leftovers(work, before=NOW - timedelta(hours=2)) == 1
    assert sorted(path.name for path in work.iterdir()) == ["attempt-new", "somebody else's"]


def test_what_can_not_be_removed_stops_nobody(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "attempt-gone").symlink_to(tmp_path / "nowhere")
    (work / "attempt-file").write_bytes(b"x")
    os.utime(work / "attempt-file", (0, 0))
    assert remove_leftovers(work, before=NOW) == 0


def file_jobs(store: FileStore, work: Path) -> FileJobs:
    """Return what runs jobs on files, at a fixed time."""
    return FileJobs(store=store, work_folder=work, clock=FakeClock(NOW), leftover_age=LEFTOVER_AGE)


def left_behind(work: Path, name: str, written: datetime) -> None:
    """Make a folder with a file in it, as a killed attempt leaves it, last written at a time."""
    (work / name).mkdir(parents=True)
    (work / name / "source").write_bytes(b"x")
    os.utime(work / name, (written.timestamp(), written.timestamp()))
