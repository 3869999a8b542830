"""Whether the notifier does its work at this moment, and if not, why."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypedDict

from platform_core.clock import Clock
from platform_core.errors import PlatformError

from notifier.canary import Canary
from notifier.feeds import LiveFeed, LogFeed
from notifier.watch import Watch

LONGEST_SILENCE: Final = 15.0
"""Seconds after which a log that could not be read counts as unread."""


LONGEST_PAUSE: Final = 60.0
"""A provider that asks to be left alone for less (seconds) is well: that is how 429 works."""


class ReadinessReport(TypedDict):
    """`ready`, or `not ready` with the reasons, each a sentence."""

    status: Literal["ready", "not ready"]
    reasons: list[str]


class Readiness:
    """Answers `/readyz`, from what is known here: it asks nobody, so it cannot hang.

    Args:
        live: hears the channels.
        log: reads the log.
        canary: proves that the channels are heard.
        watch: knows how things stand in Redis.
        troubles: says which loop has ended, hangs, fails or is without Redis.
        clock: the present time.
    """

    def __init__(
        self,
        *,
        live: LiveFeed,
        log: LogFeed,
        canary: Canary,
        watch: Watch,
        troubles: Callable[[], list[str]],
        clock: Clock,
    ) -> None:
        self._live = live
        self._log = log
        self._canary = canary
        self._watch = watch
        self._troubles = troubles
        self._clock = clock

    def check(self) -> ReadinessReport:
        """Look."""
        reasons = [
            *self._troubles(),
            *self._about_channels(),
            *self._about_log(),
            *self._about_redis(),
        ]
        return {"status": "not ready" if reasons else "ready", "reasons": reasons}

    def _about_channels(self) -> Iterator[str]:
        silence = self._canary.unanswered_seconds()
        if not self._live.subscribed:
            yield "There is no subscription to the live channels."
        elif self._canary.is_deaf():
            yield (
                f"The live channels are not heard, or far too late: for {silence:.0f} seconds no message of"
                " the notifier to itself has come back."
            )
        elif not self._canary.is_proven():
            yield "The subscription to the live channels is new, and nothing has come through it yet."

    def _about_log(self) -> Iterator[str]:
        read_at = self._log.read_at
        if read_at is None:
            yield "The event log has not been read yet."
            return
        silence = self._clock.monotonic() - read_at
        if silence > LONGEST_SILENCE:
            yield f"The event log could not be read for {silence:.0f} seconds."
        yield from self._log.troubles()
        yield from self._watch.lag_reasons()

    def _about_redis(self) -> Iterator[str]:
        try:
            figures = self._watch.figures()
        except PlatformError as error:
            yield f"Redis cannot be asked: {error}"
            return
        circuit = figures["circuit"]
        if circuit["state"] == "open":
            since = f" since {circuit['opened_at']:%Y-%m-%d %H:%M} UTC" if "opened_at" in circuit else ""
            why = circuit.get("why", "it gave no reason")
            yield f"The mail provider {figures['provider']} refuses the account{since}: {why}"
        elif figures["paused_seconds"] > LONGEST_PAUSE and "paused_until" in circuit:
            until = f"{circuit['paused_until']:%Y-%m-%d %H:%M:%S} UTC"
            yield f"The mail provider {figures['provider']} has asked to be left alone until {until}."
