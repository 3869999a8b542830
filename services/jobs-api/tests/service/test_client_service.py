"""Each command against the running API, the worker played by hand: client and routes mean the same."""

from collections.abc import Mapping

import pytest
from platform_core.json_values import decode_json
from service_kit import Service, complete, context_of, json_of, submit

from jobs_api.client.cli import run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def environ(service: Service) -> dict[str, str]:
    return {"JOBS_API_URL": service["url"]}


def fail(service: Service, job_id: str) -> None:
    """Play the worker: the job fails."""
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("user", "Row 3 has 5 values")


def status(service: Service, job_id: str) -> str:
    return str(json_of(service["http"].get(f"/v1/jobs/files/{job_id}"))["status"])


def names(capsys: Captured) -> list[str]:
    """Return the ids in the first column of what was printed."""
    rows = capsys.readouterr().out.splitlines()[1:]
    return [row.split()[0].removeprefix("files/") for row in rows]


def test_list_finds_by_each_filter(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    done, failed, waiting = (submit(service, {"user_id": number}) for number in (1, 2, 3))
    complete(service, done)
    fail(service, failed)
    everything = [waiting, failed, done]
    filters: list[tuple[list[str], list[str]]] = [
        ([], everything),
        (["--status", "failed"], [failed]),
        (["--user", "3"], [waiting]),
        (["--type", "csv.row_count"], everything),
        (["--domain", "files"], everything),
        (["--domain", "turkic"], []),
        (["--since", "1h"], everything),
        (["--until", "1h"], []),
        (["--since", "1h", "--until", "2100-01-01", "--status", "completed"], [done]),
        (["--limit", "2"], [waiting, failed]),
    ]
    for words, expected in filters:
        assert run(["list", *words], environ) == 0
        assert names(capsys) == expected, words


def test_list_all_goes_through_every_page(
    service: Service, environ: Mapping[str, str], capsys: Captured
) -> None:
    ids = [submit(service, {"payload": {"file_id": "x"}}) for _ in range(203)]
    assert run(["list", "--all", "--json"], environ) == 0
    listed = [decode_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [job["job_id"] for job in listed if isinstance(job, dict)] == ids[::-1]


def test_log_tells_what_happened(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    job_id = submit(service)
    fail(service, job_id)
    assert run(["log", job_id], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  INFO     submitted" in lines[0]
    assert lines[-1].endswith("Row 3 has 5 values")
    assert run(["log", job_id, "-f"], environ) == 1
    assert capsys.readouterr().out.splitlines() == lines


def test_a_waiting_job_is_cancelled_and_run_again(
    service: Service, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    assert run(["cancel", job_id], environ) == 0
    assert status(service, job_id) == "cancelled"
    assert run(["cancel", job_id], environ) == 0
    assert run(["retry", job_id], environ) == 0
    assert status(service, job_id) == "queued"
    assert capsys.readouterr().err == ""


def test_what_can_not_be_cancelled_or_run_again_exits_2(
    service: Service, environ: Mapping[str, str], capsys: Captured
) -> None:
    job_id = submit(service)
    assert run(["retry", job_id], environ) == 2
    assert "this one is queued" in capsys.readouterr().err
    complete(service, job_id)
    assert run(["cancel", job_id], environ) == 2
    assert "The job has completed already." in capsys.readouterr().err
    assert run(["cancel", "files/nope"], environ) == 2
    assert "there is no job files/nope" in capsys.readouterr().err


def test_stats_count_what_happened(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    complete(service, submit(service))
    fail(service, submit(service))
    submit(service)
    for window in ("1h", "24h", "7d"):
        assert run(["stats", "--window", window], environ) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[1].split() == ["csv.row_count", "1", "0", "1", "1", "0"]
        assert "submitted      3\n" in out
        assert "failure rate   50 %\n" in out
        assert "finished when" in out
    assert run(["stats", "--domain", "turkic"], environ) == 0
    assert "submitted   0\n" in capsys.readouterr().out


def test_preferences_are_stored(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    assert run(["preferences", "user-7"], environ) == 0
    assert run(["preferences", "user-7", "--email", "on"], environ) == 0
    assert run(["preferences", "user-7", "--domain", "files", "--on", "failure"], environ) == 0
    capsys.readouterr()
    assert run(["preferences", "user-7"], environ) == 0
    assert capsys.readouterr().out.splitlines() == [
        "all jobs  a mail when a job completes or fails",
        "files     a mail when a job fails",
    ]
    assert run(["preferences", "user-7", "--domain", "no domain", "--opt-out"], environ) == 2
    assert "domains" in capsys.readouterr().err


def test_there_is_nothing_yet(service: Service, environ: Mapping[str, str], capsys: Captured) -> None:
    assert run(["list"], environ) == 0
    assert run(["stats"], environ) == 0
    out, err = capsys.readouterr()
    assert err == "There are no jobs yet.\n"
    assert "submitted   0\n" in out
