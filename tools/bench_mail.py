"""How fast mails leave: `make bench`, or `python tools/bench_mail.py`. Figures: `docs/performance.md`.

Everything is real but Mailtrap: a Redis server, the `notifier run` process, TLS (see `bench_kit`).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict

from bench_kit import TimedServer, cpu_of_children, machine, notifier, single_mail, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import TURKIC
from platform_core.notifications import EventWord
from platform_notify.deliveries import EMAIL, NewDelivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore, due_key
from platform_workers.testing import EmbeddedRedis

RATE_LIMIT: Final = 150
"""Requests in 10 s that Mailtrap allows for one API token."""


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if a mail was lost or sent twice."""
    parser = argparse.ArgumentParser(description="Measure how fast mails leave one notifier process.")
    parser.add_argument("--mails", type=int, default=10_000, help="due mails of the throughput run")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds the server takes for an answer")
    parser.add_argument("--runs", type=int, default=3, help="throughput runs")
    parser.add_argument("--singles", type=int, default=50, help="mails of the latency run; 0 for none")
    options = parser.parse_args(arguments, _Options())
    print(machine())
    runs = [throughput(options.mails, options.delay, run + 1) for run in range(options.runs)]
    seconds = [run["seconds"] for run in runs]
    if seconds:
        print(f"throughput: best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s")
    if options.singles:
        waits = sorted(latency(options.singles))
        worst = waits[int(len(waits) * 0.95)]
        print(
            f"single mail: median {statistics.median(waits) * 1000:.1f} ms,"
            f" best {waits[0] * 1000:.1f} ms, 95 % within {worst * 1000:.1f} ms"
        )
    return 1 if any(run["lost"] or run["twice"] or run["busiest"] > RATE_LIMIT for run in runs) else 0


class Throughput(TypedDict):
    """One run.

    Attributes:
        seconds: from the first moment that the notifier could send to the last record.
        lost: mails that did not arrive.
        twice: mails that arrived once more.
        busiest: the most requests in any 10 s.
    """

    seconds: float
    lost: int
    twice: int
    busiest: int


class _Options(argparse.Namespace):
    mails: int
    delay: float
    runs: int
    singles: int


def throughput(mails: int, delay: float, run: int) -> Throughput:
    """Let one notifier send what is due, and measure.

    The start of the process (interpreter, imports) is told but not counted.
    """
    with tempfile.TemporaryDirectory() as name, EmbeddedRedis() as redis_server:
        folder = Path(name)
        redis = redis_server.client()
        store = DeliveryStore(redis, SystemClock())
        for number in range(mails):
            store.add(new_delivery(number))
        with TimedServer(folder / "ca.pem", delay=delay) as server:
            launched, used = time.perf_counter(), cpu_of_children()
            with notifier(redis_server.url, server, folder):
                ready = time.perf_counter()
                wait_until(lambda: redis.zcard(due_key(EMAIL)) == 0)
                ended = time.perf_counter()
            used = cpu_of_children() - used
            ids = Counter(mail["mail"].get("custom_variables", {})["delivery_id"] for mail in server.mails)
            begun, requests = min(ready, server.arrivals[0]), len(server.arrivals)
            busiest = most_in(server.arrivals, 10.0)
        redis.close()
    result: Throughput = {
        "seconds": ended - begun,
        "lost": mails - len(ids),
        "twice": sum(ids.values()) - len(ids),
        "busiest": busiest,
    }
    print(
        f"run {run}: {len(ids)} mails in {requests} requests: {ended - begun:.2f} s until all are recorded"
        f" ({ended - launched:.2f} s with the start of the process, {used:.2f} s of CPU);"
        f" at most {busiest} requests in 10 s;"
        f" {result['lost']} lost, {result['twice']} twice"
    )
    return result


def latency(count: int) -> Iterator[float]:
    """Yield for each of so many jobs the seconds from `publish_completed` to the request's arrival."""
    with tempfile.TemporaryDirectory() as name, EmbeddedRedis() as redis_server:
        folder = Path(name)
        redis = redis_server.client()
        with TimedServer(folder / "ca.pem", delay=0.0) as server, notifier(redis_server.url, server, folder):
            for number in range(count + 1):
                seconds = single_mail(redis, server, f"single-{number}")["arrived"]
                # The first one pays for the connection and the caches.
                if number:
                    yield seconds
        redis.close()


def new_delivery(number: int) -> NewDelivery:
    """Return a mail that waits."""
    event: EventWord = "FAILURE" if number % 2 else "SUCCESS"
    job_id, recipient, now = f"job-{number}", f"person{number % 500}@example.com", SystemClock().now()
    return {
        "delivery_id": delivery_id_of(TURKIC, job_id, 1, event, EMAIL, recipient),
        "domain": TURKIC,
        "job_id": job_id,
        "run": 1,
        "event": event,
        "channel": EMAIL,
        "recipient": recipient,
        "user_id": 7,
        "state": "waiting",
        "layer": "job",
        "detail": "",
        "created_at": now,
        "facts": {
            "domain": TURKIC,
            "job_id": job_id,
            "job_type": "csv.column_stats",
            "event": event,
            "error_kind": "user" if event == "FAILURE" else None,
            "message": "row 3 has 4 columns, the header has 5" if event == "FAILURE" else None,
            "attempts": 1,
            "created_at": now,
            "started_at": now,
            "finished_at": now,
            "result_id": f"result-{number}" if event == "SUCCESS" else None,
            "result_bytes": 2048 if event == "SUCCESS" else None,
            "link": f"https://jobs.example.com/jobs/{job_id}",
        },
    }


def most_in(moments: list[float], seconds: float) -> int:
    """Return the largest number of moments within any stretch of so many seconds."""
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
