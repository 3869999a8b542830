"""How things stand in Redis at this moment, for the health page and the metrics."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypedDict

from platform_core.clock import Clock
from platform_core.job_events import JobDomain
from platform_notify.circuit import Circuit, CircuitState
from platform_notify.delivery_store import DeliveryStore
from platform_workers.event_log import EventLog
from platform_workers.redis.replies import GroupState


class Figures(TypedDict):
    """How things stand.

    Attributes:
        waiting: deliveries that wait to be sent.
        dead: deliveries that were given up.
        overdue_seconds: for how long the first of the waiting ones is due; 0 if none is.
        circuit: that of the provider.
        paused_seconds: for how long the provider still wants to be left alone; 0 if it does not.
        groups: how far the log of each domain is read.
    """

    channel: str
    provider: str
    waiting: int
    dead: int
    overdue_seconds: float
    circuit: CircuitState
    paused_seconds: float
    groups: Mapping[JobDomain, GroupState]


class FigureReader:
    """Reads the figures; `read` raises a `PlatformError` if Redis does not answer or holds nonsense."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        circuit: Circuit,
        log: EventLog,
        clock: Clock,
        channel: str,
        provider: str,
    ) -> None:
        self._store = store
        self._circuit = circuit
        self._log = log
        self._clock = clock
        self._channel = channel
        self._provider = provider

    def read(self) -> Figures:
        """Ask Redis."""
        sizes = self._store.sizes(self._channel)
        now = self._clock.now()
        overdue = max(now - sizes.get("oldest_due_at", now), timedelta(0))
        circuit = self._circuit.state()
        return {
            "channel": self._channel,
            "provider": self._provider,
            "waiting": sizes["waiting"],
            "dead": sizes["dead"],
            "overdue_seconds": overdue.total_seconds(),
            "circuit": circuit,
            "paused_seconds": (circuit.get("paused_until", now) - now).total_seconds(),
            "groups": self._log.states(),
        }
