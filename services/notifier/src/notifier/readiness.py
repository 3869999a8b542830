"""Whether the notifier does its work at this moment, and if not, why."""

from collections.abc import Callable
from typing import Final, Literal, TypedDict

from platform_core.clock import Clock
from platform_core.errors import PlatformError

from notifier.feeds import LiveFeed, LogFeed
from notifier.figures import Figures

LONGEST_SILENCE: Final = 15.0
"""Seconds after which a log that could not be read counts as unread."""


class ReadinessReport(TypedDict):
    """`ready`, or `not ready` with the reasons, each a sentence."""

    status: Literal["ready", "not ready"]
    reasons: list[str]


class Readiness:
    """Answers `/readyz`."""

    def __init__(
        self, *, live: LiveFeed, log: LogFeed, read_figures: Callable[[], Figures], clock: Clock
    ) -> None:
        self._live = live
        self._log = log
        self._read_figures = read_figures
        self._clock = clock

    def check(self) -> ReadinessReport:
        """Look, and ask Redis."""
        reasons: list[str] = []
        if not self._live.subscribed:
            reasons.append("There is no subscription to the live channels.")
        read_at = self._log.read_at
        if read_at is None:
            reasons.append("The event log has not been read yet.")
        elif self._clock.monotonic() - read_at > LONGEST_SILENCE:
            silence = self._clock.monotonic() - read_at
            reasons.append(f"The event log could not be read for {silence:.0f} seconds.")
        reasons += self._reasons_in_redis()
        return {"status": "not ready" if reasons else "ready", "reasons": reasons}

    def _reasons_in_redis(self) -> list[str]:
        try:
            figures = self._read_figures()
        except PlatformError as error:
            return [f"Redis cannot be asked: {error}"]
        circuit = figures["circuit"]
        if circuit["state"] == "closed":
            return []
        since = f" since {circuit['opened_at']:%Y-%m-%d %H:%M} UTC" if "opened_at" in circuit else ""
        why = circuit.get("why", "it gave no reason")
        return [f"The mail provider {figures['provider']} refuses the account{since}: {why}"]
