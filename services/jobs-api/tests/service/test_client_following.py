"""Reading a stream of events, and following a job across lost connections."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_core.job_events import encode_job_event, job_domain, make_started_event
from platform_core.json_values import JsonValue, encode_json
from platform_workers.testing import FakeClock
from typing_extensions import override

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import Connection
from jobs_api.client.errors import RefusedError, ServerUnreachableError
from jobs_api.client.following import Update, follow
from jobs_api.client.server_events import ServerEvent, parse_server_events

FILES = job_domain("files")
STARTED = encode_job_event(make_started_event(domain=FILES, job_id="j", user_id=1, queue="files"))
CLOCK = FakeClock()
Answer = Callable[[httpx.Request], httpx.Response]

WORDS: st.SearchStrategy[str] = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20
)


def state(status: str, **fields: JsonValue) -> str:
    return encode_json(
        {
            **fields,
            "domain": "files",
            "job_id": "j",
            "status": status,
            "progress": 0,
            "message": None,
            "error": None,
            "created_at": "2026-01-02T12:00:00+00:00",
        }
    )


def stream(*events: tuple[str, str]) -> httpx.Response:
    text = "".join(f"event: {name}\r\ndata: {data}\r\n\r\n" for name, data in events)
    return stream_of("retry: 2000\r\n\r\n: hello\r\n\r\n" + text)


def stream_of(text: str) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream; charset=utf-8"})


def api_that(
    answers: list[httpx.Response | Exception], workers: Sequence[int] = (), records: Sequence[str] = ()
) -> JobsApi:
    """Return an API that gives these answers, one a request; who serves the job's queue; its record.

    Asked for the queue more often it says 404, as one does that is older than the question.
    """
    left: Iterator[httpx.Response | Exception] = iter(answers)
    counts, texts = iter(workers), iter(records)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/queue"):
            count = next(counts, None)
            if count is None:
                return httpx.Response(404, json={"detail": "There is nothing at this address."})
            return httpx.Response(200, json={"queue": "files", "waiting": 1, "workers": count})
        if request.url.path.endswith("/j"):
            text = next(texts, None)
            return httpx.Response(503) if text is None else httpx.Response(200, text=text)
        given_answer = next(left)
        if isinstance(given_answer, Exception):
            raise given_answer
        return given_answer

    http = httpx.Client(base_url="http://jobs.test", transport=httpx.MockTransport(answer))
    return JobsApi(Connection(http))


def kinds(updates: list[Update]) -> list[str]:
    return [update["kind"] for update in updates]


def test_a_stream_is_read_event_by_event() -> None:
    lines = [
        "retry: 2000", "", ": comment", "event: a", "data: 1", "", "data:2", "data: 3", "id: 9", "",
        "event: b", "", "data: last without an end",
    ]  # fmt: skip
    assert list(parse_server_events(lines)) == [
        {"name": "a", "data": "1"},
        {"name": "message", "data": "2\n3"},
    ]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3))))
def test_what_was_written_is_read(events: list[tuple[str, list[str]]]) -> None:
    lines: list[str] = []
    expected: list[ServerEvent] = []
    for name, data in events:
        lines += [f"event: {name}", *(f"data: {line}" for line in data), ""]
        expected.append({"name": name, "data": "\n".join(data)})
    assert list(parse_server_events(lines)) == expected


def test_following_ends_with_the_outcome() -> None:
    waits: list[float] = []
    api = api_that([stream(("state", state("queued")), ("started", STARTED), ("state", state("completed")))])
    updates = list(follow(api, "files", "j", wait=waits.append, clock=CLOCK))
    assert kinds(updates) == ["state", "event", "state"]
    assert waits == []


def test_a_lost_connection_is_made_again() -> None:
    waits: list[float] = []
    api = api_that(
        [
            stream(("state", state("queued"))),
            httpx.ConnectError("refused"),
            httpx.ReadTimeout("silence"),
            stream(("state", state("failed"))),
        ]
    )
    updates = list(follow(api, "files", "j", wait=waits.append, clock=CLOCK))
    assert kinds(updates) == ["state", "lost", "lost", "lost", "state"]
    assert waits == [1.0, 1.0, 1.0]


def test_an_api_that_never_answered_is_not_waited_for() -> None:
    waits: list[float] = []
    with pytest.raises(ServerUnreachableError, match="JOBS_API_URL"):
        list(follow(api_that([httpx.ConnectError("refused")]), "files", "j", wait=waits.append, clock=CLOCK))
    assert waits == []


def test_an_api_that_stays_away_is_given_up() -> None:
    waits: list[float] = []
    answers: list[httpx.Response | Exception] = [stream(("state", state("queued")))]
    answers += [httpx.ConnectError("refused")] * 3
    with pytest.raises(ServerUnreachableError):
        list(follow(api_that(answers), "files", "j", wait=waits.append, clock=CLOCK, attempts=3))
    assert len(waits) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_fault_of_the_api_passes(status: int) -> None:
    """The API that is started again has no Redis yet: whoever watched was told of a fault and left."""
    fault = httpx.Response(status, json={"detail": "Redis does not answer."})
    api = api_that([stream(("state", state("queued"))), fault, stream(("state", state("completed")))])
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))
    assert kinds(updates) == ["state", "lost", "lost", "state"]


def test_a_job_that_is_gone_meanwhile_is_not_waited_for() -> None:
    gone = httpx.Response(404, json={"detail": "there is no job files/j"})
    api = api_that([stream(("state", state("queued"))), gone])
    with pytest.raises(RefusedError, match="there is no job"):
        list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))


def test_what_is_no_stream_is_no_jobs_api() -> None:
    """A page to sign in at, with which a proxy answers everything, was asked for once more without end."""
    for headers, found in (({"Content-Type": "text/html"}, "text/html"), ({}, "missing")):
        page = httpx.Response(200, content=b"<html>", headers=headers)
        with pytest.raises(ServerUnreachableError, match=f"expected text/event-stream, found {found}"):
            list(follow(api_that([page]), "files", "j", wait=lambda _: None, clock=CLOCK))


def test_each_time_it_answers_the_patience_begins_anew() -> None:
    answers: list[httpx.Response | Exception] = []
    for status in ("queued", "processing", "completed"):
        answers += [
            stream(("state", state(status))),
            httpx.ConnectError("refused"),
            httpx.ConnectError("refused"),
        ]
    updates = list(follow(api_that(answers), "files", "j", wait=lambda _: None, clock=CLOCK, attempts=3))
    assert kinds(updates)[-1] == "state"


def test_a_job_that_is_not_there_is_refused() -> None:
    answer = httpx.Response(404, json={"detail": "there is no job files/j"})
    with pytest.raises(RefusedError, match="there is no job files/j"):
        list(follow(api_that([answer]), "files", "j", wait=lambda _: None, clock=CLOCK))


def test_what_a_newer_server_sends_is_passed_over() -> None:
    api = api_that(
        [
            stream(
                ("state", '{"status":"paused"}'),
                ("paused", '{"type":"files.job.paused.v2"}'),
                ("odd", "no json"),
                ("state", state("cancelled")),
            )
        ]
    )
    assert kinds(list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))) == ["state"]


def told_of_workers(job: str, signs: int, workers: Sequence[int]) -> list[int]:
    """Return the numbers of workers that are told while the job of this state waits, sign of life by sign."""
    text = f"event: state\ndata: {job}\n\n" + ": still here\n\n" * signs
    end = stream(("started", STARTED), ("state", state("completed"))).text
    api = api_that([stream_of(text + end)], workers)
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))
    assert kinds(updates)[-1] == "state"
    return [update["queue"]["workers"] for update in updates if update["kind"] == "queue"]


def test_a_queue_that_nobody_serves_is_told_once_and_again_when_somebody_does() -> None:
    """Whoever submitted into it waited for ever before a line that said `queued`."""
    assert told_of_workers(state("queued"), 4, [0, 0, 1, 2, 0]) == [0, 1, 0]


def test_the_last_worker_may_go_while_the_job_waits() -> None:
    assert told_of_workers(state("queued"), 2, [1, 1, 0]) == [0]


def test_a_queue_that_is_served_is_nothing_to_tell() -> None:
    assert told_of_workers(state("queued"), 2, [1, 1, 3]) == []


def test_nobody_asks_for_the_queue_of_a_job_that_does_not_wait() -> None:
    assert told_of_workers(state("processing"), 1, [0, 0]) == []
    later = state("queued", run_after="2026-01-02T12:00:01+00:00")
    assert told_of_workers(later, 1, [0, 0]) == []
    due = state("queued", run_after="2026-01-02T12:00:00+00:00")
    assert told_of_workers(due, 1, [0, 0]) == [0]


def test_a_job_that_has_started_waits_no_longer() -> None:
    """Its worker may be the last one of its queue, and stop after it."""
    began = f"event: state\ndata: {state('queued')}\n\nevent: started\ndata: {STARTED}\n\n: still here\n\n"
    api = api_that([stream_of(began + stream(("state", state("completed"))).text)], [1, 0])
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))
    assert kinds(updates) == ["state", "event", "state"]


def test_a_worker_that_goes_silent_is_told_once_each_time() -> None:
    """A worker that was killed says nothing: `processing  68 %` stayed the last line."""
    alive = state("processing", locked_until="2026-01-02T12:00:45+00:00")
    settling = state("processing", locked_until="2026-01-02T11:59:50+00:00")
    gone = state("processing", locked_until="2026-01-02T11:59:49+00:00")
    text = f"event: started\ndata: {STARTED}\n\n" + ": still here\n\n" * 8
    end = stream(("state", state("completed"))).text
    # One that waits is asked for its queue alone.
    records = [alive, settling, gone, gone, alive, gone, state("queued")]
    api = api_that([stream_of(text + end)], [0, 0, 0, 0, 0], records)
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))
    assert kinds(updates) == ["event", "abandoned", "queue", "abandoned", "state"]
    assert [update["text"] for update in updates if update["kind"] == "abandoned"] == [gone, gone]


def test_a_worker_that_is_gone_is_told_from_the_first_state_on() -> None:
    gone = state("processing", locked_until="2026-01-02T11:59:49+00:00")
    api = api_that([stream(("state", gone), ("state", state("completed")))], [0])
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=CLOCK))
    assert kinds(updates) == ["state", "abandoned", "queue", "state"]


def test_of_a_record_that_cannot_be_read_nothing_is_said() -> None:
    """The lease was that of a minute ago: its worker may have renewed it since."""

    class Passing(FakeClock):
        @override
        def now(self) -> datetime:
            self.advance(30)
            return super().now()

    alive = state("processing", locked_until="2026-01-02T12:00:45+00:00")
    text = f"event: state\ndata: {alive}\n\n" + ": still here\n\n" * 3
    api = api_that([stream_of(text + stream(("state", state("completed"))).text)])
    updates = list(follow(api, "files", "j", wait=lambda _: None, clock=Passing()))
    assert kinds(updates) == ["state", "state"]
