"""What the notifier counts, for `/metrics`. The only module that imports prometheus_client.

No label takes a value from an event: whoever can publish could make up as many as they like, and each would
stay in memory. Domains appear as labels only where Redis lists those that have a job.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

from platform_core.errors import PlatformError
from platform_core.event_families import KnownEventV1
from platform_notify.intake import Taken
from platform_notify.recording import AttemptReport, UnsentReport
from platform_notify.sender import BatchReport
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily

from notifier.figures import Figures

Feed: TypeAlias = Literal["live", "log"]

_FEEDS: Final[tuple[Feed, ...]] = ("live", "log")

METRICS_CONTENT_TYPE: Final[str] = CONTENT_TYPE_LATEST

_PROVIDER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CANARY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_AGE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 7200.0)


class Metrics:
    """Counts what feeds, sender and canary do; `show` adds how things stand. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._events = Counter(
            "notifier_events", "Events heard, by feed and type.", ["feed", "type"], registry=self._registry
        )
        self._undecodable = Counter(
            "notifier_undecodable", "Messages that are no event.", ["feed"], registry=self._registry
        )
        self._unhandled = Counter(
            "notifier_unhandled",
            "Times that a message could not be handled, by feed; one of the log comes again.",
            ["feed"],
            registry=self._registry,
        )
        self._intake = Counter(
            "notifier_intake", "What came of the outcomes heard.", ["feed", "result"], registry=self._registry
        )
        self._deliveries = Counter(
            "notifier_deliveries",
            "Deliveries that came into a state: queued, gathered, skipped, sent, dead.",
            ["state", "reason"],
            registry=self._registry,
        )
        self._digests = Counter(
            "notifier_digests",
            "Mails that stand for many, by how they ended: sent, dead, skipped.",
            ["state"],
            registry=self._registry,
        )
        self._attempts = Counter(
            "notifier_attempts",
            "Attempts to send, by result.",
            ["provider", "result"],
            registry=self._registry,
        )
        self._retries = Counter(
            "notifier_retries",
            "Attempts that failed and will be made again, by the class of the fault.",
            ["provider", "result"],
            registry=self._registry,
        )
        self._provider_seconds = Histogram(
            "notifier_provider_seconds",
            "How long the provider took for one call.",
            ["provider"],
            buckets=_PROVIDER_BUCKETS,
            registry=self._registry,
        )
        self._age_seconds = Histogram(
            "notifier_delivery_age_seconds",
            "From the intake of an outcome until its mail was sent.",
            ["provider"],
            buckets=_AGE_BUCKETS,
            registry=self._registry,
        )
        self._canary_seconds = Histogram(
            "notifier_canary_round_trip_seconds",
            "How long the notifier's message to itself took through Redis and its own subscription.",
            buckets=_CANARY_BUCKETS,
            registry=self._registry,
        )
        self._subscriptions = Counter(
            "notifier_subscriptions",
            "Subscriptions made: one at the start, and one after each that was lost.",
            registry=self._registry,
        )
        self._deaf = Counter(
            "notifier_deaf", "Subscriptions given up because they were deaf.", registry=self._registry
        )
        # Shown as 0 from the start: a rise from nothing to 1 is one that Prometheus does not see.
        for feed in _FEEDS:
            self._undecodable.labels(feed)
            self._unhandled.labels(feed)
        for state in ("sent", "dead"):
            self._deliveries.labels(state, "")
            self._digests.labels(state)
        self._deliveries.labels("gathered", "")

    def show(
        self,
        *,
        read_figures: Callable[[], Figures],
        is_ready: Callable[[], bool],
        canary_unanswered: Callable[[], float],
    ) -> None:
        """Show from now on also how things stand, as told at the moment somebody looks.

        Args:
            read_figures: how things stand in Redis; may raise a `PlatformError`.
            is_ready: whether `/readyz` says so.
            canary_unanswered: for how many seconds no canary has come back.
        """
        self._registry.register(_StandingCollector(read_figures, is_ready, canary_unanswered))

    def canary_came_back(self, seconds: float) -> None:
        """A canary came back; see `CanaryObserver`."""
        self._canary_seconds.observe(seconds)

    def subscribed(self) -> None:
        """There is a new subscription; see `CanaryObserver`."""
        self._subscriptions.inc()

    def went_deaf(self) -> None:
        """A subscription was given up; see `CanaryObserver`."""
        self._deaf.inc()

    def event_heard(self, feed: Feed, event: KnownEventV1) -> None:
        """An event was heard."""
        # Without its domain, of which there may be any number.
        self._events.labels(feed, event["type"].partition(".")[2]).inc()

    def unknown_heard(self, feed: Feed) -> None:
        """A message was heard that is of a family or a version nobody here knows."""
        self._events.labels(feed, "unknown").inc()

    def undecodable_heard(self, feed: Feed) -> None:
        """A message was heard that is no event."""
        self._undecodable.labels(feed).inc()

    def handling_failed(self, feed: Feed) -> None:
        """A message was heard and could not be handled."""
        self._unhandled.labels(feed).inc()

    def taken(self, feed: Feed, taken: Taken) -> None:
        """The intake is done with an event."""
        self._intake.labels(feed, taken["result"]).inc()
        if taken["result"] in {"queued", "gathered", "skipped"}:
            self._deliveries.labels(taken["result"], taken.get("reason", "")).inc()

    def batch_sent(self, report: BatchReport) -> None:
        """The provider was called and came back; see `SendObserver`."""
        self._provider_seconds.labels(report["provider"]).observe(report["seconds"])

    def attempt_recorded(self, report: AttemptReport) -> None:
        """What became of one delivery is in Redis; see `SendObserver`."""
        self._attempts.labels(report["provider"], report["result"]).inc()
        if report["state"] in {"sent", "dead"}:
            # A digest is no outcome of its own; those that were gathered into it are.
            self._deliveries.labels(report["state"], "").inc(report["gathered"] or 1)
            if report["gathered"]:
                self._digests.labels(report["state"]).inc()
        else:
            self._retries.labels(report["provider"], report["result"]).inc()
        if report["state"] == "sent":
            self._age_seconds.labels(report["provider"]).observe(report["age_seconds"])

    def ended_unsent(self, report: UnsentReport) -> None:
        """A delivery has ended without an attempt; see `SendObserver`."""
        self._deliveries.labels(report["state"], report["reason"]).inc(report["gathered"] or 1)
        if report["gathered"]:
            self._digests.labels(report["state"]).inc()

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _StandingCollector:
    """Asks how things stand, at the moment somebody looks."""

    def __init__(
        self,
        read_figures: Callable[[], Figures],
        is_ready: Callable[[], bool],
        canary_unanswered: Callable[[], float],
    ) -> None:
        self._read_figures = read_figures
        self._is_ready = is_ready
        self._canary_unanswered = canary_unanswered

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("notifier_redis_up", "Whether Redis answered at the last look.")
        ready = GaugeMetricFamily("notifier_ready", "Whether /readyz answers 200.")
        ready.add_metric([], 1 if self._is_ready() else 0)
        unanswered = GaugeMetricFamily(
            "notifier_canary_unanswered_seconds",
            "For how long no message of the notifier to itself has come back; 0 if the last one did.",
        )
        unanswered.add_metric([], self._canary_unanswered())
        try:
            figures = self._read_figures()
        except PlatformError:
            up.add_metric([], 0)
            return [ready, up, unanswered]
        up.add_metric([], 1)
        return [ready, up, unanswered, *_gauges(figures)]

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: the registry would call `collect`, and everything may not stand yet."""
        return []


def _gauges(figures: Figures) -> list[GaugeMetricFamily]:
    waiting = GaugeMetricFamily("notifier_waiting", "Deliveries that wait to be sent.", labels=["channel"])
    waiting.add_metric([figures["channel"]], figures["waiting"])
    dead = GaugeMetricFamily("notifier_dead", "Deliveries that were given up.", labels=["channel"])
    dead.add_metric([figures["channel"]], figures["dead"])
    overdue = GaugeMetricFamily(
        "notifier_overdue_seconds", "For how long the first delivery is due already.", labels=["channel"]
    )
    overdue.add_metric([figures["channel"]], figures["overdue_seconds"])
    circuit = GaugeMetricFamily(
        "notifier_circuit_open", "1 while the provider's account is refused.", labels=["provider"]
    )
    circuit.add_metric([figures["provider"]], 1 if figures["circuit"]["state"] == "open" else 0)
    paused = GaugeMetricFamily(
        "notifier_provider_paused_seconds",
        "For how long the provider still wants to be left alone (429); 0 if it does not.",
        labels=["provider"],
    )
    paused.add_metric([figures["provider"]], figures["paused_seconds"])
    lag = GaugeMetricFamily("notifier_log_lag", "Log entries nobody has read yet.", labels=["domain"])
    pending = GaugeMetricFamily(
        "notifier_log_pending", "Log entries that were read and not finished.", labels=["domain"]
    )
    for domain, group in figures["groups"].items():
        pending.add_metric([domain], group["pending"])
        if "lag" in group:
            lag.add_metric([domain], group["lag"])
    return [waiting, dead, overdue, circuit, paused, lag, pending]
