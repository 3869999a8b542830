"""How updates look: lines for a log, a bar in a terminal, JSON for a program."""

from io import BytesIO, StringIO, TextIOWrapper

import pytest
from platform_core.event_families import KnownEventV1
from platform_core.job_events import (
    job_domain,
    make_completed_event,
    make_failed_event,
    make_progress_event,
    make_started_event,
)
from platform_core.job_types import JobStatusLiteral
from platform_core.json_values import encode_json, to_json_value
from platform_workers.testing import FakeClock
from rich.console import Console

from jobs_api.client.display import BarDisplay, Display, JsonDisplay, LineDisplay
from jobs_api.client.documents import Job
from jobs_api.client.following import Update

FILES = job_domain("files")


def event(event: KnownEventV1, name: str = "x") -> Update:
    return {"kind": "event", "event": event, "name": name, "text": encode_json(to_json_value(event))}


def state(status: JobStatusLiteral, **fields: object) -> Update:
    job: Job = {
        "domain": "files",
        "job_id": "j",
        "status": status,
        "progress": 30,
        "message": None,
        "error": None,
        "created_at": "2026-01-02T12:00:00+00:00",
    }
    if fields.get("error"):
        job["error"] = str(fields["error"])
    if fields.get("message"):
        job["message"] = str(fields["message"])
    if fields.get("attempt_count"):
        job["attempt_count"] = 1
    return {"kind": "state", "job": job, "text": "{}"}


STARTED = event(make_started_event(domain=FILES, job_id="j", user_id=1, queue="files"))
HALF = event(make_progress_event(domain=FILES, job_id="j", user_id=1, progress=50, message="half"))
BARE = event(make_progress_event(domain=FILES, job_id="j", user_id=1, progress=60))
COMPLETED = event(make_completed_event(domain=FILES, job_id="j", user_id=1, result_id="r", result_bytes=2048))
FAILED = event(
    make_failed_event(domain=FILES, job_id="j", user_id=1, error_kind="user", message="bad\x1b[31m\nrow")
)
METRICS = event(
    {
        "type": "digits.metrics.best.v1",
        "job_id": "j",
        "user_id": 1,
        "model_id": "m",
        "epoch": 1,
        "val_acc": 0.5,
    },
    "metrics",
)
LOST: Update = {"kind": "lost"}
UNSERVED: Update = {
    "kind": "queue",
    "queue": {"queue": "files\x1b[31m", "workers": 0, "text": '{"queue":"files","workers":0}'},
}
ABANDONED: Update = {"kind": "abandoned", "text": '{"status":"processing"}'}
SERVED: Update = {"kind": "queue", "queue": {"queue": "files", "workers": 2, "text": "{}"}}


def shown(display: Display, updates: list[Update]) -> None:
    with display:
        for update in updates:
            display.show(update)


def lines_for(updates: list[Update]) -> list[str]:
    out = StringIO()
    shown(LineDisplay(Console(file=out, width=20), FakeClock()), updates)
    return [line[10:] for line in out.getvalue().splitlines()]


def test_each_event_is_a_line_and_a_state_that_says_the_same_is_not() -> None:
    updates = [
        state("queued"), STARTED, state("processing"), HALF, BARE, METRICS, LOST,
        state("processing", message="half"), COMPLETED, state("completed"),
    ]  # fmt: skip
    assert lines_for(updates) == [
        "queued",
        "started     queue files",
        "progress     50 %  half",
        "progress     60 %",
        "metrics     digits.metrics.best.v1",
        "waiting     the connection is gone; trying again",
        "processing   30 %  half",
        "completed   result of 2.0 kB",
    ]


@pytest.mark.parametrize(
    ("update", "line"),
    [
        (state("failed", error="bad row"), "failed      bad row"),
        (state("cancelled"), "cancelled"),
        (state("completed"), "completed"),
        (
            state("queued", attempt_count=1, error="disk full"),
            "queued      it will be tried again: disk full",
        ),
        (state("queued", attempt_count=1), "queued      it will be tried again: the last attempt failed"),
        (FAILED, "failed      bad [31m row"),
    ],
)
def test_a_state_alone_is_told_in_words(update: Update, line: str) -> None:
    assert lines_for([update]) == [line]


def test_the_bar_moves_and_says_what_happens() -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=100, legacy_windows=False)
    shown(BarDisplay(console), [state("queued"), STARTED, HALF, LOST, METRICS, FAILED, state("failed")])
    text = out.getvalue()
    assert "failed" in text
    assert "\x1b[31m\n" not in text


def test_a_narrow_terminal_has_room_for_the_words_and_a_plain_one_for_the_spinner() -> None:
    out = StringIO()
    shown(BarDisplay(Console(file=out, force_terminal=True, width=40, legacy_windows=False)), [HALF])
    text = out.getvalue()
    assert "half" in text
    assert "0:00:0" not in text
    assert "\u280b" in text
    plain = TextIOWrapper(BytesIO(), encoding="ascii", write_through=True)
    shown(BarDisplay(Console(file=plain, force_terminal=True, width=40, legacy_windows=False)), [HALF])


def test_each_bar_update_changes_its_words() -> None:
    out = StringIO()
    display = BarDisplay(Console(file=out, force_terminal=True, width=100, legacy_windows=False))
    for update, words in [
        (HALF, "half"),
        (LOST, "trying again"),
        (UNSERVED, "no worker serves the queue files"),
        (ABANDONED, "its worker has stopped answering"),
        (STARTED, "queue files"),
        (METRICS, "digits"),
    ]:
        with display:
            display.show(update)
        assert words in out.getvalue()
        out.truncate(0)


def test_a_program_gets_each_event_as_it_was_sent() -> None:
    lines: list[str] = []
    shown(JsonDisplay(lines.append), [state("queued"), UNSERVED, ABANDONED, METRICS, LOST])
    best = '{"type":"digits.metrics.best.v1","job_id":"j","user_id":1,"model_id":"m","epoch":1,"val_acc":0.5}'
    assert lines == [
        '{"event":"state","data":{}}\n',
        '{"event":"queue","data":{"queue":"files","workers":0}}\n',
        '{"event":"abandoned","data":{"status":"processing"}}\n',
        f'{{"event":"metrics","data":{best}}}\n',
    ]


def test_a_queue_that_nobody_serves_is_told_in_words() -> None:
    assert lines_for([state("queued"), UNSERVED, SERVED]) == [
        "queued",
        "queued      no worker serves the queue files [31m",
        "queued      a worker serves the queue files now",
    ]


def test_a_worker_that_is_gone_is_told_in_words_and_so_is_the_next_one() -> None:
    lines = lines_for([state("processing"), ABANDONED, state("processing")])
    assert lines[1] == (
        "waiting     its worker has stopped answering; the job is tried again when a worker takes over, "
        "if it has an attempt left"
    )
    assert lines[2] == lines[0]
