"""`jobs list`: filters, pages, forms."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from client_kit import FakeApi, job_document, json_answer, problem
from platform_core.json_values import JsonValue, decode_json

Captured = pytest.CaptureFixture[str]
TYPES: JsonValue = {
    "job_types": [
        {
            "job_type": "csv.row_count",
            "domain": "files",
            "max_attempts": 3,
            "timeout_seconds": 3600,
            "payload_schema": {},
        }
    ]
}


def three_pages(sizes: tuple[int, ...] = (2, 2, 1)) -> FakeApi:
    """An API whose list has so many jobs on its pages."""
    left = list(enumerate(sizes))

    def page(request: httpx.Request) -> httpx.Response:
        number, size = left.pop(0)
        jobs: list[JsonValue] = [job_document(10 * number + index) for index in range(size)]
        more: dict[str, JsonValue] = {"next_cursor": f"c{number}"} if left else {}
        return json_answer({"jobs": jobs, **more})

    return FakeApi({"GET /v1/jobs": page})


def test_each_job_is_a_row_with_what_it_does_or_why_it_failed(capsys: Captured) -> None:
    jobs: list[JsonValue] = [
        job_document(1, status="processing", progress=42, message="counting\x1b"),
        job_document(2, status="processing", progress=1),
        job_document(3, status="failed", error="Row 3 has 5 values", message="reading rows"),
        {key: value for key, value in job_document(4).items() if key not in {"job_type", "user_id"}},
        job_document(5, domain="turkic", message="344 rows"),
    ]
    assert FakeApi({"GET /v1/jobs": {"jobs": jobs}}).run("list") == 0
    out, err = capsys.readouterr()
    rows = [line.split("  ") for line in out.splitlines()]
    assert rows[0][0] == "JOB"
    assert [row[0] for row in rows[1:]] == [
        *(f"files/{number:032x}" for number in range(1, 5)),
        f"turkic/{5:032x}",
    ]
    assert [row[-1] for row in rows[1:4]] == ["42 % counting", "1 %", "Row 3 has 5 values"]
    assert rows[5][-1] == "344 rows"
    assert err == ""


def test_the_filters_go_into_the_query(capsys: Captured) -> None:
    api = FakeApi({"GET /v1/jobs": {"jobs": [job_document()]}})
    code = api.run(
        "list", "--domain", "files", "--status", "failed", "--type", "csv.row_count", "--user", "7",
        "--since", "2026-01-01T00:00:00+01:00", "--until", "2026-01-02T00:00:00Z", "--limit", "5",
    )  # fmt: skip
    assert code == 0
    assert api.queries() == [
        {
            "domain": "files",
            "status": "failed",
            "job_type": "csv.row_count",
            "user_id": "7",
            "created_from": "2025-12-31T23:00:00.000000+00:00",
            "created_before": "2026-01-02T00:00:00.000000+00:00",
            "limit": "5",
        }
    ]


def test_a_time_may_be_told_by_how_long_ago_it_was() -> None:
    api = FakeApi({"GET /v1/jobs": {"jobs": [job_document()]}})
    api.run("list", "--since", "7d")
    passed = datetime.now(UTC) - datetime.fromisoformat(api.queries()[0]["created_from"])
    assert timedelta(days=7) <= passed < timedelta(days=7, minutes=5)


def test_all_goes_through_the_pages_with_the_cursor(capsys: Captured) -> None:
    api = three_pages()
    assert api.run("list", "--all") == 0
    out, err = capsys.readouterr()
    assert [query.get("cursor") for query in api.queries()] == [None, "c0", "c1"]
    assert {query["limit"] for query in api.queries()} == {"200"}
    assert len(out.splitlines()) == 1 + 5
    assert out.count("JOB") == 1
    assert err == ""


def test_a_limit_above_one_page_is_kept_and_the_rest_is_told(capsys: Captured) -> None:
    api = three_pages((200, 100, 1))
    assert api.run("list", "--limit", "300") == 0
    assert [query["limit"] for query in api.queries()] == ["200", "100"]
    assert "There are more than these 300: --limit NUMBER or --all" in capsys.readouterr().err


def test_a_program_gets_each_job_as_the_api_gave_it(capsys: Captured) -> None:
    document = job_document(1, locked_by="w", something_new=[1])
    assert FakeApi({"GET /v1/jobs": {"jobs": [document, document]}}).run("list", "--json") == 0
    assert [decode_json(line) for line in capsys.readouterr().out.splitlines()] == [document, document]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "There are no jobs yet.\n"),
        (["--status", "failed"], "No job is like that.\n"),
        (["--type", "csv.row_count"], "No job is like that.\n"),
        (
            ["--type", "csv.row_cuont"],
            """No job is like that.
unknown job type 'csv.row_cuont'; known: csv.row_count; did you mean csv.row_count?
""",
        ),
    ],
)
def test_nothing_found_is_told_and_is_no_error(capsys: Captured, words: list[str], told: str) -> None:
    api = FakeApi({"GET /v1/jobs": {"jobs": []}, "GET /v1/job-types": TYPES})
    assert api.run("list", *words) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", told)


def test_an_api_that_tells_no_types_gives_no_hint(capsys: Captured) -> None:
    api = FakeApi({"GET /v1/jobs": {"jobs": []}, "GET /v1/job-types": problem(403, "forbidden", "no")})
    assert api.run("list", "--type", "x") == 0
    assert capsys.readouterr().err == "No job is like that.\n"


@pytest.mark.parametrize("answer", [[], {}, {"jobs": 1}, {"jobs": [1]}, {"jobs": [{"job_id": "x"}]}, '"'])
def test_another_answer_is_no_jobs_api(capsys: Captured, answer: JsonValue) -> None:
    assert FakeApi({"GET /v1/jobs": answer}).run("list") == 3
    assert "no jobs API that this client knows" in capsys.readouterr().err


def test_an_answer_that_is_no_json_is_no_jobs_api(capsys: Captured) -> None:
    assert FakeApi({"GET /v1/jobs": httpx.Response(200, text="<html>")}).run("list") == 3
    assert "no jobs API that this client knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--limit", "0"], "expected a number from 1, found '0'"),
        (["--limit", "x"], "expected a number from 1"),
        (["--limit", "2", "--all"], "not allowed with"),
        (["--since", "yesterday"], "expected a time such as 2026-01-31T12:00 or 30m, 1h, 7d"),
        (["--since", "0001-01-01"], "expected a time"),
        (["--status", "done"], "invalid choice: 'done'"),
        (["--user", "ada"], "--user"),
    ],
)
def test_a_wrong_filter_says_what_is_wrong(capsys: Captured, words: list[str], told: str) -> None:
    api = FakeApi()
    assert api.run("list", *words) == 2
    assert told in capsys.readouterr().err
    assert api.requests == []
