"""What the API counts, and how queues and workers stand, for `GET /metrics`.

The only module of this service that imports prometheus_client. No label takes a value from a request: a route
is named by its template, and what meets no route or comes with an unheard-of method is `other`. Queues and
domains are those that Redis lists.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from jobs_api.figures import Figures

METRICS_CONTENT_TYPE: Final[str] = CONTENT_TYPE_LATEST

OTHER: Final = "other"

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts answers; `exposition` adds how things stand. Thread-safe.

    Args:
        open_streams: tells how many event streams are open.
    """

    def __init__(self, open_streams: Callable[[], int]) -> None:
        self._open_streams = open_streams
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "jobs_api_requests",
            "Requests answered, by route, method and class of the status (2xx).",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "jobs_api_request_seconds",
            "From the arrival of a request until its answer began.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        # Looking one up by its labels takes longer than counting.
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def expect(self, route: str, method: str) -> None:
        """Show a route as 0 from the start: a rise from nothing to 1 is one that Prometheus does not see."""
        for status in (200, 500):
            self._counter(route, method, status)

    def request_answered(self, route: str | None, method: str, status: int, seconds: float | None) -> None:
        """A request was answered.

        Args:
            route: the template of its route; None if it met none.
            method: its method.
            status: of the answer.
            seconds: how long it took; None if it met no route.
        """
        name, word = route or OTHER, method if method in _METHODS else OTHER
        self._counter(name, word, status).inc()
        if seconds is not None:
            self._timer(name, word).observe(seconds)

    def exposition(self, figures: Figures | None) -> bytes:
        """Return everything in Prometheus' text format.

        Args:
            figures: how things stand in Redis; None if it does not answer.
        """
        streams = GaugeMetricFamily("jobs_api_event_streams", "Event streams that are open.")
        streams.add_metric([], self._open_streams())
        standing = [redis_up(is_up=figures is not None), streams]
        if figures is not None:
            standing += [*_queue_gauges(figures), *_job_gauges(figures)]
        return generate_latest(_Page(chain(self._registry.collect(), standing)))

    def _counter(self, route: str, method: str, status: int) -> Counter:
        key = (route, method, status // 100)
        if key not in self._counters:
            self._counters[key] = self._requests.labels(route, method, f"{status // 100}xx")
        return self._counters[key]

    def _timer(self, route: str, method: str) -> Histogram:
        key = (route, method)
        if key not in self._timers:
            self._timers[key] = self._seconds.labels(route, method)
        return self._timers[key]


def outage_page() -> bytes:
    """Return a page that says no more than that Redis does not answer: for whoever it may be that asks."""
    return generate_latest(_Page([redis_up(is_up=False)]))


def redis_up(*, is_up: bool) -> GaugeMetricFamily:
    """Return the metric that tells whether Redis answers."""
    up = GaugeMetricFamily("jobs_api_redis_up", "Whether Redis answered, just now.")
    up.add_metric([], 1 if is_up else 0)
    return up


class _Page(Collector):
    """Metrics that were collected already, as what the library writes out."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    @override
    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _queue_gauges(figures: Figures) -> list[GaugeMetricFamily]:
    waiting = GaugeMetricFamily(
        "jobs_api_queue_waiting", "Jobs that wait for a worker and could start.", labels=["queue"]
    )
    delayed = GaugeMetricFamily("jobs_api_queue_delayed", "Jobs whose time has not come.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "jobs_api_queue_oldest_seconds",
        "For how long the oldest job that waits could have started; 0 if none waits.",
        labels=["queue"],
    )
    workers = GaugeMetricFamily(
        "jobs_api_workers", "Workers that live and serve a queue, by state.", labels=["queue", "state"]
    )
    for state in figures["queues"]:
        name = state["queue"]
        waiting.add_metric([name], state["waiting"])
        delayed.add_metric([name], state["delayed"])
        oldest.add_metric([name], state["oldest_wait_seconds"] or 0)
        for word, number in state["workers"].items():
            workers.add_metric([name, word], number)
    return [waiting, delayed, oldest, workers]


def _job_gauges(figures: Figures) -> list[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("jobs_api_jobs", "Jobs that are stored, by status.", labels=["domain", "status"])
    recent = GaugeMetricFamily(
        "jobs_api_jobs_recently_ended",
        "Jobs that ended within 15 minutes, by outcome.",
        labels=["domain", "outcome"],
    )
    abandoned = GaugeMetricFamily(
        "jobs_api_jobs_abandoned",
        "Jobs whose worker is silent, and that no other worker has taken over.",
        labels=["domain"],
    )
    for domain, totals in figures["jobs"].items():
        abandoned.add_metric([domain], totals["abandoned"])
        for status, number in totals["counts"].items():
            jobs.add_metric([domain, status], number)
        recent.add_metric([domain, "completed"], totals["recent"]["completed"])
        recent.add_metric([domain, "failed"], totals["recent"]["failed"])
        recent.add_metric([domain, "cancelled"], totals["recent"]["cancelled"])
    return [jobs, recent, abandoned]
