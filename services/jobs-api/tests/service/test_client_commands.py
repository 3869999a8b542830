"""The commands in this process, against the running API; the worker is played by hand."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from platform_core.job_types import job_key
from platform_core.json_values import decode_json
from platform_workers.redis import RedisClient
from rich.console import Console
from service_kit import CSV, Service, complete, context_of, damage_file, running_api, submit

from jobs_api.client.cli import run
from jobs_api.client.results import print_exact
from jobs_api.object_store import FileStore
from jobs_api.registry import FILES


@pytest.fixture
def environ(service: Service) -> dict[str, str]:
    return {"JOBS_API_URL": service["url"]}


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(CSV)
    return path


Captured = pytest.CaptureFixture[str]


def test_submitting_prints_the_job_and_how_to_follow_it(
    service: Service, environ: Mapping[str, str], csv_file: Path, capsys: Captured
) -> None:
    code = run(["submit", "csv.row_count", str(csv_file), "--option", "has_header=no"], environ)
    out, err = capsys.readouterr()
    domain, _, job_id = out.strip().partition("/")
    assert (code, domain) == (0, "files")
    assert f"uploaded   data.csv, {len(CSV)} bytes" in err
    assert f"page       {service['url']}/jobs/files/{job_id}" in err
    record = decode_json(service["redis"].hgetall(job_key(FILES, job_id))["payload"])
    assert isinstance(record, dict)
    assert record["has_header"] is False
    assert "context" not in service["redis"].hgetall(job_key(FILES, job_id))


def test_a_mail_is_asked_for_in_the_notification_contract(
    service: Service, environ: Mapping[str, str], csv_file: Path, capsys: Captured
) -> None:
    run(["submit", "csv.row_count", str(csv_file), "--email", "a@example.com", "--user-id", "5"], environ)
    job_id = capsys.readouterr().out.strip().rpartition("/")[2]
    stored = service["redis"].hgetall(job_key(FILES, job_id))
    assert decode_json(stored["context"]) == {"user_id": "5", "email": "a@example.com"}
    assert decode_json(stored["notifications"]) == {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}}
    assert stored["user_id"] == "5"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "csv.nope", "FILE"], "unknown job type 'csv.nope'; known: csv.column_stats"),
        (["submit", "csv.row_count", "FILE", "--option", "delimiter=ab"], "payload.delimiter"),
        (["submit", "csv.row_count", "gone.csv"], "gone.csv: No such file or directory"),
        (["submit", "csv.row_count", "."], ".: Is a directory"),
        (["show", "nope"], "there is no job files/nope (for another domain: DOMAIN/JOB_ID)\n"),
        (["watch", "nope"], "there is no job files/nope (for another domain: DOMAIN/JOB_ID)\n"),
        (["watch", "turkic/nope"], "there is no job turkic/nope\n"),
    ],
)
def test_a_mistake_is_told_in_words_and_exits_2(
    environ: Mapping[str, str], csv_file: Path, capsys: Captured, arguments: list[str], words: str
) -> None:
    code = run([str(csv_file) if word == "FILE" else word for word in arguments], environ)
    assert code == 2
    assert words in capsys.readouterr().err


def test_an_api_that_is_not_there_exits_3(capsys: Captured) -> None:
    assert run(["show", "x"], {"JOBS_API_URL": "http://127.0.0.1:1"}) == 3
    err = capsys.readouterr().err
    assert "The jobs API at http://127.0.0.1:1 does not answer" in err
    assert "JOBS_API_URL" in err


def test_a_fault_of_the_server_exits_3(
    service: Service, redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"progress": "x"})
    assert run(["show", job_id], environ) == 3
    assert "is damaged" in capsys.readouterr().err


def test_wrong_settings_exit_2(capsys: Captured) -> None:
    assert run(["show", "x"], {"JOBS_API_URL": "nope"}) == 2
    assert "JOBS_API_URL" in capsys.readouterr().err


def test_show_prints_what_there_is(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    job_id = submit(service, {"run_after": "2100-01-01T00:00:00+00:00"})
    assert run(["show", f"files/{job_id}"], environ) == 0
    out = capsys.readouterr().out
    words = {line.split()[0] for line in out.splitlines()}
    assert {"job", "type", "status", "queue", "not", "page"} <= words
    assert "result" not in words
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_progress(20, "counting")
    run(["show", job_id], environ)
    assert "counting" in capsys.readouterr().out


def test_show_says_that_nobody_serves_the_queue(
    service: Service, redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service, {"priority": "low"})
    run(["show", job_id], environ)
    assert "waiting   no worker serves the queue files:low\n" in capsys.readouterr().out
    redis.hset("rq:worker:w-1", {"state": "idle"})
    redis.sadd("rq:workers:files:low", "rq:worker:w-1")
    run(["show", job_id], environ)
    assert "waiting" not in capsys.readouterr().out


def test_show_says_that_the_worker_is_gone(
    service: Service, redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    context_of(service, job_id).publish_started()
    redis.hset(f"files:job:{job_id}", {"locked_until": "2999-01-01T00:00:00+00:00"})
    run(["show", job_id], environ)
    assert "stopped answering" not in capsys.readouterr().out
    redis.hset(f"files:job:{job_id}", {"locked_until": "2026-01-02T12:00:00+00:00"})
    run(["show", job_id], environ)
    out = " ".join(capsys.readouterr().out.split())
    assert "waiting its worker has stopped answering;" in out
    assert "if it has an attempt left; no worker serves the queue files" in out


def test_show_json_is_the_record(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    job_id = submit(service)
    assert run(["show", job_id, "--json"], environ) == 0
    assert decode_json(capsys.readouterr().out) == decode_json(
        service["http"].get(f"/v1/jobs/files/{job_id}").content
    )


def test_show_works_for_another_teams_own_status_type(
    redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    redis.hset(
        "turkic:job:t-1",
        {
            "user_id": "3",
            "status": "failed",
            "progress": "12",
            "error": "no voice",
            "created_at": "2026-01-02T12:00:00+00:00",
            "updated_at": "2026-01-02T12:00:01+00:00",
        },
    )
    assert run(["show", "turkic/t-1"], environ) == 0
    assert "no voice" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'{"rows":3}', '{\n  "rows": 3\n}\n'),
        (b"a,b\n1,\x1b[31m2\n", "a,b\n1, [31m2\n"),
        (b"\xff\xfe", "\ufffd\ufffd\n"),
        (b"", ""),
    ],
)
def test_watching_a_finished_job_prints_its_small_result(
    service: Service, environ: Mapping[str, str], capsys: Captured, content: bytes, shown: str
) -> None:
    job_id = submit(service)
    complete(service, job_id, content)
    assert run(["watch", job_id], environ) == 0
    assert capsys.readouterr().out == shown


def test_a_canonical_text_is_printed_byte_for_byte(
    service: Service, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service, {"job_type": "json.canonicalize"})
    content = '{"a":[1,2],"\u00fc":"\x7f"}'
    complete(service, job_id, content.encode())
    assert run(["watch", job_id], environ) == 0
    assert capsys.readouterr().out == content


def test_at_a_terminal_a_canonical_text_is_a_line_without_tricks() -> None:
    out = StringIO()
    print_exact(Console(file=out, force_terminal=True, width=10), b'{"a":"\xc2\x9b31m 0123456789"}')
    assert out.getvalue() == '{"a":" 31m 0123456789"}\n'


def test_column_statistics_are_a_table(
    service: Service, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    statistics = (
        b'{"rows":1234,"columns":['
        b'{"name":"day\\u001b","type":"date","nulls":0,"distinct":2,"min":"2026-01-01","max":"2026-02-01","mean":null},'
        b'{"name":"n","type":"integer","nulls":5,"distinct":2,"min":1,"max":9,"mean":4.33333333333}]}'
    )
    complete(service, job_id, statistics)
    assert run(["watch", job_id], environ) == 0
    out = capsys.readouterr().out
    assert out.startswith("1,234 rows\n")
    assert "  4.33333\n" in out
    assert "\x1b" not in out
    assert "None" not in out


def test_a_large_result_is_not_printed_but_offered(
    service: Service, environ: Mapping[str, str], capsys: Captured, tmp_path: Path
) -> None:
    job_id = submit(service)
    content = b"x" * 100_000
    complete(service, job_id, content)
    assert run(["watch", job_id], environ) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"jobs watch files/{job_id} --output FILE" in err
    target = tmp_path / "saved"
    assert run(["watch", job_id, "--output", str(target)], environ) == 0
    assert target.read_bytes() == content
    assert "100.0 kB" in capsys.readouterr().err


def test_an_output_that_cannot_be_is_told_before_anything_is_uploaded(
    service: Service, environ: Mapping[str, str], csv_file: Path, capsys: Captured
) -> None:
    def submit_into(target: Path) -> str:
        command = ["submit", "csv.row_count", str(csv_file), "--watch", "--output", str(target)]
        assert run(command, environ) == 2
        return capsys.readouterr().err

    target = csv_file.parent / "no" / "result"
    assert submit_into(target) == f"jobs: {target}: the folder for it does not exist\n"
    folder = csv_file.parent
    assert submit_into(folder) == f"jobs: {folder}: that is a folder; a file name is needed\n"
    assert service["redis"].keys("files:*") == []


def test_a_result_that_cannot_be_saved_exits_2_and_names_the_given_path(
    service: Service, environ: Mapping[str, str], capsys: Captured, tmp_path: Path
) -> None:
    job_id = submit(service)
    complete(service, job_id)
    target = tmp_path / ("x" * 250)
    assert run(["watch", job_id, "--output", str(target)], environ) == 2
    assert f"jobs: {target}: File name too long" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--output", "FILE"], ["--json", "--output", "FILE"]])
def test_a_result_that_is_no_file_here_is_told_as_text(
    service: Service, environ: Mapping[str, str], capsys: Captured, tmp_path: Path, more: list[str]
) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_completed(result_id="Hello, Ada!", result_bytes=11)
    target = str(tmp_path / "saved")
    assert run(["watch", job_id, *(target if word == "FILE" else word for word in more)], environ) == 0
    out, err = capsys.readouterr()
    if "--json" in more:
        assert err.endswith("Hello, Ada!\n")
    else:
        assert out == "Hello, Ada!\n"
    assert "not a file of this service" in err
    assert list(tmp_path.iterdir()) == []


def test_a_completed_job_without_a_result_exits_0(
    service: Service, redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"status": "completed"})
    assert run(["watch", job_id], environ) == 0
    assert "The job has no result." in capsys.readouterr().err


def test_a_fault_of_the_store_is_no_missing_result(
    redis: RedisClient, files: FileStore, capsys: Captured, tmp_path: Path
) -> None:
    with running_api(redis, files) as service:
        job_id = submit(service)
        damage_file(tmp_path, complete(service, job_id))
        assert run(["watch", job_id], {"JOBS_API_URL": service["url"]}) == 3
    assert "object store does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "words"), [("user", "Mend them and submit again"), ("system", "a fault on our side")]
)
def test_a_failed_job_says_why_and_exits_1(
    service: Service, environ: Mapping[str, str], capsys: Captured, kind: str, words: str
) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("user" if kind == "user" else "system", "Row 3 has 5 values")
    assert run(["watch", job_id], environ) == 1
    err = capsys.readouterr().err
    assert "The job failed: Row 3 has 5 values" in err
    assert words in err


def test_a_cancelled_job_exits_1(
    service: Service, redis: RedisClient, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"status": "cancelled"})
    assert run(["watch", job_id], environ) == 1
    assert "The job was cancelled." in capsys.readouterr().err


def test_a_file_over_the_limit_is_told_in_words(
    redis: RedisClient, files: FileStore, csv_file: Path, capsys: Captured
) -> None:
    csv_file.write_bytes(b"x" * 5_000_000)
    with running_api(redis, files, max_upload_bytes=1_000_000) as service:
        assert run(["submit", "csv.row_count", str(csv_file)], {"JOBS_API_URL": service["url"]}) == 2
    assert "The file is too large: at most 1,000,000 bytes are taken." in capsys.readouterr().err
