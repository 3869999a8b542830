"""`jobs cancel` and `jobs retry`: one job or several, and what is refused."""

import httpx
import pytest
from client_kit import FakeApi, Route, job_document, json_answer, problem
from platform_core.json_values import JsonValue, decode_json, encode_json

Captured = pytest.CaptureFixture[str]
FINISHED = problem(409, "job-finished", "The job is completed; it can't be cancelled.")


def path(number: int, action: str, domain: str = "files") -> str:
    return f"POST /v1/jobs/{domain}/{number:032x}/{action}"


def name(number: int) -> str:
    return f"files/{number:032x}"


def events(*states: JsonValue) -> httpx.Response:
    text = "".join(f"event: state\ndata: {encode_json(state)}\n\n" for state in states)
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_jobs_are_cancelled_in_turn(capsys: Captured) -> None:
    api = FakeApi(
        {
            path(1, "cancel"): job_document(1, status="cancelled"),
            path(2, "cancel", "turkic"): job_document(2, domain="turkic", status="cancelled"),
        }
    )
    assert api.run("cancel", f"{1:032x}", f"turkic/{2:032x}") == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"cancelled  {name(1)}\ncancelled  turkic/{2:032x}\n", "")


def test_one_that_is_refused_does_not_keep_the_next_from_it(capsys: Captured) -> None:
    api = FakeApi({path(1, "cancel"): FINISHED, path(3, "cancel"): job_document(3, status="cancelled")})
    assert api.run("cancel", name(1), name(2), name(3)) == 2
    out, err = capsys.readouterr()
    assert out == f"cancelled  {name(3)}\n"
    assert err.splitlines() == [
        f"jobs: {name(1)}: The job is completed; it can't be cancelled.",
        f"jobs: {name(2)}: There is nothing at this address.",
        "Is JOBS_API_URL right? It is http://jobs.test.",
    ]


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_what_would_meet_every_job_ends_it_at_once(capsys: Captured, status: int) -> None:
    api = FakeApi({path(1, "cancel"): problem(status, "x", "not now")})
    assert api.run("cancel", name(1), name(2)) == (3 if status == 503 else 2)
    assert len(api.requests) == 1
    assert "not now" in capsys.readouterr().err


def test_a_program_gets_the_records(capsys: Captured) -> None:
    document = job_document(1, status="cancelled")
    assert FakeApi({path(1, "cancel"): document}).run("cancel", name(1), "--json") == 0
    assert decode_json(capsys.readouterr().out) == document


def test_a_job_of_the_default_domain_gets_a_hint_when_it_is_not_there(capsys: Captured) -> None:
    assert FakeApi().run("retry", "abc") == 2
    assert "(for another domain: DOMAIN/JOB_ID)" in capsys.readouterr().err


def test_retrying_says_so_and_does_not_wait(capsys: Captured) -> None:
    api = FakeApi({path(1, "retry"): job_document(1, status="queued", run=2)})
    assert api.run("retry", name(1)) == 0
    assert capsys.readouterr().out == f"queued again  {name(1)}\n"


def test_retry_watch_follows_the_new_run(capsys: Captured) -> None:
    api = FakeApi(
        {
            path(1, "retry"): job_document(1, status="queued", run=2),
            f"GET /v1/jobs/{name(1)}/events": events(
                job_document(1, status="queued"),
                job_document(1, status="failed", error="again", error_kind="user"),
            ),
        }
    )
    assert api.run("retry", name(1), "--watch") == 1
    out, err = capsys.readouterr()
    assert out == f"queued again  {name(1)}\n"
    assert "The job failed: again" in err


def test_several_are_followed_in_turn_and_the_worst_code_counts(capsys: Captured) -> None:
    followed: dict[str, JsonValue | httpx.Response | Route] = {}
    for number, status in ((1, "completed"), (2, "cancelled")):
        followed[path(number, "retry")] = job_document(number, status="queued")
        followed[f"GET /v1/jobs/{name(number)}/events"] = events(job_document(number, status=status))
    followed[path(3, "retry")] = problem(409, "not-retryable", "The job is queued; it can't be retried.")
    assert FakeApi(followed).run("retry", name(1), name(2), "--watch") == 1
    err = capsys.readouterr().err
    first, second = (err.index(f"watching   {name(number)}") for number in (1, 2))
    assert first < err.index("has no result") < second
    assert FakeApi(followed).run("retry", name(1), name(2), name(3), "--watch") == 2


def test_an_answer_that_is_no_record_is_no_jobs_api(capsys: Captured) -> None:
    assert FakeApi({path(1, "retry"): lambda _: json_answer({})}).run("retry", name(1)) == 3
