"""`jobs stats`: the document in words."""

import sys
from io import TextIOWrapper

import pytest
from client_kit import FakeApi
from platform_core.json_values import JsonObject, JsonValue, decode_json

Captured = pytest.CaptureFixture[str]


def counts(*numbers: int) -> JsonValue:
    return dict(zip(("queued", "processing", "completed", "failed", "cancelled"), numbers, strict=True))


def step(at: str, *numbers: int) -> JsonValue:
    return {"at": at, **dict(zip(("submitted", "completed", "failed", "cancelled"), numbers, strict=True))}


def document(**fields: JsonValue) -> JsonObject:
    return {
        "window": "24h",
        "from": "2026-01-01T12:00:00+00:00",
        "to": "2026-01-02T12:00:00+00:00",
        "counts": counts(1, 2, 12345, 3, 0),
        "by_type": {"json.canonicalize": counts(0, 0, 0, 1, 0), "csv.row_count": counts(1, 2, 12345, 2, 0)},
        "submitted": 1234,
        "finished": {"completed": 1200, "failed": 3, "cancelled": 1},
        "failure_rate": 0.0025,
        "throughput_per_hour": 50.2,
        "run_seconds": {"p50": 0.034, "p95": 1.21, "p99": 72},
        "queue_seconds": {"p50": 0.002, "p95": 0.02, "p99": 3.5},
        "series": [
            step("2026-01-01T12:00:00+00:00", 4, 0, 0, 0),
            step("2026-01-01T13:00:00+00:00", 4, 6, 1, 1),
            step("2026-01-01T14:00:00+00:00", 4, 2, 1, 1),
        ],
        **fields,
    }


def printed(capsys: Captured, *words: str, **fields: JsonValue) -> str:
    assert FakeApi({"GET /v1/stats": document(**fields)}).run("stats", *words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_statistics_are_told_in_words(capsys: Captured) -> None:
    assert printed(capsys).splitlines() == [
        "TYPE               QUEUED  PROCESSING  COMPLETED  FAILED  CANCELLED",
        "csv.row_count           1           2     12,345       2          0",
        "json.canonicalize       0           0          0       1          0",
        "all                     1           2     12,345       3          0",
        "",
        "In the last 24 hours:",
        "submitted      1,234",
        "finished       1,200 completed, 3 failed, 1 cancelled",
        "failure rate   0.2 %",
        "throughput     50.2 an hour",
        "waited         half at most 2 ms, 95 % 20 ms, 99 % 3.5 s",
        "ran            half at most 34 ms, 95 % 1.2 s, 99 % 1 min 12 s",
        "finished when  ▁█▅  at most 8 in 1 h",
    ]


def test_what_is_not_known_yet_is_left_out(capsys: Captured) -> None:
    """Before the first job has ended there is no rate and no time; 0 % or 0 s would be a lie."""
    out = printed(
        capsys, failure_rate=None, run_seconds=None, queue_seconds=None, series=[], throughput_per_hour=0
    )
    assert out.splitlines()[5:] == [
        "In the last 24 hours:",
        "submitted   1,234",
        "finished    1,200 completed, 3 failed, 1 cancelled",
        "throughput  0 an hour",
    ]


@pytest.mark.parametrize("at", [["2026-01-01T12:00:00+00:00"], ["then", "2026-01-01T12:00:00+00:00"]])
def test_bars_without_a_known_length_have_no_unit(capsys: Captured, at: list[str]) -> None:
    series: list[JsonValue] = [step(moment, 1, 1, 0, 0) for moment in at]
    assert "█  at most 1 at a time" in printed(capsys, series=series)


def test_a_domain_and_a_window_go_into_the_query(capsys: Captured) -> None:
    api = FakeApi({"GET /v1/stats": document()})
    assert api.run("stats", "--domain", "turkic", "--window", "7d") == 0
    assert api.queries() == [{"window": "7d", "domain": "turkic"}]
    assert "In the last 7 days in turkic:" in capsys.readouterr().out
    api.run("stats")
    assert api.queries()[1] == {"window": "24h"}


def test_a_program_gets_the_whole_document(capsys: Captured) -> None:
    assert decode_json(printed(capsys, "--json", extra=[1])) == document(extra=[1])


def test_a_terminal_without_unicode_gets_plain_bars(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TextIOWrapper(sys.stdout.buffer, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", plain)
    assert FakeApi({"GET /v1/stats": document()}).run("stats") == 0
    assert b"finished when  _#=  at most 8 in 1 h\n" in capfdbinary.readouterr()[0]
    plain.detach()
