"""`jobs log`: what is there, and going on until the outcome."""

from collections.abc import Iterator

import httpx
import pytest
from client_kit import FakeApi, Route, job_document, json_answer, problem
from platform_core.json_values import JsonValue, decode_json

from jobs_api.client.commands.log import PAGE_LINES

Captured = pytest.CaptureFixture[str]
LOG = "GET /v1/jobs/files/j/log"
JOB = "GET /v1/jobs/files/j"


def line(number: int, level: str = "INFO", message: str = "") -> JsonValue:
    return {
        "id": f"{number}-0",
        "time": "2026-01-02T12:00:00+00:00",
        "level": level,
        "message": message or f"line {number}",
    }


def log_of(*lines: JsonValue) -> Route:
    """A log that gives what comes after `after`, so many at most."""

    def answer(request: httpx.Request) -> httpx.Response:
        known = request.url.params.get("after")
        after = 0 if known is None else int(known.partition("-")[0])
        given = [*lines[after : after + int(request.url.params["limit"])]]
        return json_answer({"domain": "files", "job_id": "j", "lines": given})

    return answer


def in_turn(*answers: JsonValue | httpx.Response | Exception) -> Route:
    """One answer a request."""
    left: Iterator[JsonValue | httpx.Response | Exception] = iter(answers)

    def answer(_request: httpx.Request) -> httpx.Response:
        given = next(left)
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx.Response) else json_answer(given)

    return answer


def messages(out: str) -> list[str]:
    return [text.split("  ")[-1].strip() for text in out.splitlines()]


def test_each_line_is_told_with_its_time_and_level(capsys: Captured) -> None:
    api = FakeApi({LOG: log_of(line(1), line(2, "warning", "bad\x1b[31m row"))})
    assert api.run("log", "j") == 0
    out, err = capsys.readouterr()
    assert [text[19:] for text in out.splitlines()] == ["  INFO     line 1", "  WARNING  bad [31m row"]
    assert err == ""


def test_a_long_log_is_read_to_its_end(capsys: Captured) -> None:
    api = FakeApi({LOG: log_of(*(line(number) for number in range(1, PAGE_LINES + 3)))})
    assert api.run("log", "j") == 0
    assert len(capsys.readouterr().out.splitlines()) == PAGE_LINES + 2
    assert [query.get("after") for query in api.queries()] == [None, f"{PAGE_LINES}-0"]


def test_an_empty_log_is_told(capsys: Captured) -> None:
    assert FakeApi({LOG: log_of()}).run("log", "j") == 0
    assert capsys.readouterr() == ("", "The log is empty.\n")


def test_a_program_gets_lines_of_json(capsys: Captured) -> None:
    assert FakeApi({LOG: log_of(line(1), line(2))}).run("log", "j", "--json") == 0
    assert [decode_json(text) for text in capsys.readouterr().out.splitlines()] == [line(1), line(2)]


@pytest.mark.parametrize(("outcome", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1)])
def test_following_ends_with_the_outcome_and_misses_no_line(
    capsys: Captured, outcome: str, code: int
) -> None:
    """The state is read before the log: read after it, a line written in between would be lost.

    The job ends just before the fourth request, and its last line is written in the same moment.
    """
    api = FakeApi()

    def state(_request: httpx.Request) -> httpx.Response:
        return json_answer(job_document(status=outcome if len(api.requests) >= 4 else "processing"))

    def log(request: httpx.Request) -> httpx.Response:
        known = (line(1), line(2), line(3)) if len(api.requests) >= 4 else (line(1),)
        return log_of(*known)(request)

    api.routes |= {JOB: state, LOG: log}
    assert api.run("log", "j", "-f") == code
    assert messages(capsys.readouterr().out) == ["line 1", "line 2", "line 3"]
    assert api.waited == [1.0, 1.0]


def test_following_goes_on_across_a_lost_connection_and_a_fault(capsys: Captured) -> None:
    api = FakeApi(
        {
            JOB: in_turn(
                job_document(status="processing"),
                httpx.ConnectError("gone"),
                problem(503, "redis-away", "Redis does not answer."),
                job_document(status="completed"),
            ),
            LOG: log_of(line(1)),
        }
    )
    assert api.run("log", "j", "--follow") == 0
    assert messages(capsys.readouterr().out) == ["line 1"]
    assert len(api.waited) == 3


def test_following_gives_up_at_last(capsys: Captured) -> None:
    api = FakeApi(
        {
            JOB: in_turn(job_document(status="processing"), *[httpx.ConnectError("gone")] * 60),
            LOG: log_of(),
        }
    )
    assert api.run("log", "j", "-f") == 3
    assert len(api.waited) == 60


def test_a_job_that_is_gone_meanwhile_is_not_waited_for() -> None:
    gone = problem(404, "job-not-found", "there is no job files/j")
    api = FakeApi({JOB: in_turn(job_document(status="processing"), gone), LOG: log_of()})
    assert api.run("log", "j", "-f") == 2
    assert len(api.waited) == 1


def test_an_api_that_is_not_there_at_first_is_told_at_once() -> None:
    api = FakeApi({JOB: in_turn(httpx.ConnectError("gone"))})
    assert api.run("log", "j", "-f") == 3
    assert api.waited == []


def test_ctrl_c_stops_reading_and_not_the_job(capsys: Captured) -> None:
    def interrupted(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    assert FakeApi({JOB: interrupted}).run("log", "j", "-f") == 130
    assert "the job itself goes on" in capsys.readouterr().err


def test_a_job_that_is_not_there_exits_2(capsys: Captured) -> None:
    assert FakeApi().run("log", "j") == 2
    assert FakeApi().run("log", "j", "-f") == 2
    assert capsys.readouterr().err.count("(for another domain: DOMAIN/JOB_ID)") == 2
