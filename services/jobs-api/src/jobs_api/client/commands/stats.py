"""`jobs stats`: how many jobs there are, how they went, and how long they took."""

from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from platform_core.job_types import JOB_STATUSES
from platform_notify.plain_words import human_duration
from rich.text import Text

from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.connection import decoded
from jobs_api.client.documents import FinishedCounts, Percentiles, Statistics, StatusCounts
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.session import Session
from jobs_api.client.statuses import status_style
from jobs_api.client.tables import Column, print_facts, print_table
from jobs_api.client.terminal import Terminal, say, speaks_unicode, write_line
from jobs_api.client.words import parse_moment, rate_words, seconds_words, sparkline, visible

WINDOWS: Final = {"1h": "in the last hour", "24h": "in the last 24 hours", "7d": "in the last 7 days"}
DEFAULT_WINDOW: Final = "24h"

COLUMNS: Final[tuple[Column, ...]] = (
    {"heading": "TYPE"},
    {"heading": "QUEUED", "right": True},
    {"heading": "PROCESSING", "right": True},
    {"heading": "COMPLETED", "right": True},
    {"heading": "FAILED", "right": True},
    {"heading": "CANCELLED", "right": True},
)


class Arguments:
    """What may be written after `jobs stats`."""

    domain: str | None
    window: str
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--domain", metavar="DOMAIN", help="of this domain alone (default: all together)")
    parser.add_argument(
        "--window", choices=WINDOWS, default=DEFAULT_WINDOW, help=f"the time to look at ({DEFAULT_WINDOW})"
    )
    add_json(parser, "the whole document as JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print the statistics."""
    params = {"window": parsed.window}
    if parsed.domain is not None:
        params["domain"] = parsed.domain
    text = session.connect().statistics_text(params)
    if parsed.json:
        write_line(session.terminal["out"], text)
    else:
        _print(session.terminal, decoded(text, Statistics), parsed)
    return EXIT_OK


def _print(terminal: Terminal, statistics: Statistics, parsed: Arguments) -> None:
    out = terminal["out"]
    print_table(out, COLUMNS, [*_rows(statistics)])
    out.print()
    whose = "" if parsed.domain is None else f" in {visible(parsed.domain)}"
    say(out, f"{WINDOWS[parsed.window].capitalize()}{whose}:", "bold")
    print_facts(
        out,
        {
            "submitted": f"{statistics['submitted']:,}",
            "finished": _finished(statistics["finished"]),
            "failure rate": _share(statistics["failure_rate"]),
            "throughput": f"{rate_words(statistics['throughput_per_hour'])} an hour",
            "waited": _times(statistics["queue_seconds"]),
            "ran": _times(statistics["run_seconds"]),
            "finished when": _bars(statistics, plain=not speaks_unicode(out)),
        },
    )


def _rows(statistics: Statistics) -> Iterator[list[Text]]:
    for name, counts in sorted(statistics["by_type"].items()):
        yield [Text(visible(name)), *_cells(counts)]
    yield [Text("all", "bold"), *_cells(statistics["counts"])]


def _cells(counts: StatusCounts) -> Iterator[Text]:
    for status in JOB_STATUSES:
        yield Text(f"{counts[status]:,}", status_style(status, counts[status]))


def _finished(finished: FinishedCounts) -> str:
    return (
        f"{finished['completed']:,} completed, {finished['failed']:,} failed, "
        f"{finished['cancelled']:,} cancelled"
    )


def _share(share: float | None) -> str:
    return "" if share is None else f"{rate_words(100 * share)} %"


def _times(percentiles: Percentiles | None) -> str:
    if percentiles is None:
        return ""
    return (
        f"half at most {seconds_words(percentiles['p50'])}, 95 % {seconds_words(percentiles['p95'])}, "
        f"99 % {seconds_words(percentiles['p99'])}"
    )


def _bars(statistics: Statistics, *, plain: bool) -> str:
    series = statistics["series"]
    done = [step["completed"] + step["failed"] + step["cancelled"] for step in series]
    if not any(done):
        return ""
    largest = max(done)
    return f"{sparkline(done, plain=plain)}  at most {largest:,}{_step_words(statistics)}"


def _step_words(statistics: Statistics) -> str:
    """Say what time one bar is."""
    moments = [parse_moment(step["at"]) for step in statistics["series"]]
    for first, second in pairwise(moments):
        if first is not None and second is not None:
            return f" in {human_duration(second - first)}"
    return " at a time"


COMMAND: Final = Command(
    "stats",
    "how many jobs there are, how they went, how long they took",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
