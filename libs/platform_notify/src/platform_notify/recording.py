"""Brings what became of deliveries to Redis, and keeps it in memory until that worked.

All senders of a process share one `Recorder`: while one of them cannot record that a mail was sent, its lease
may end, and another one that claimed first would send the mail once more.
"""

import threading
from collections import deque
from typing import Literal, Protocol, TypedDict

from platform_core.clock import Clock
from platform_core.logging import LogField, Logger

from platform_notify.circuit import Circuit, decide_circuit, decide_pause, why_refused
from platform_notify.claims import Unreadable
from platform_notify.deliveries import Delivery
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.opt_outs import Stop
from platform_notify.providers.base import SendResult
from platform_notify.settling import Teller, settle_stopped, settle_unreadable


class AttemptReport(TypedDict):
    """One attempt, told to the observer after it was recorded.

    Attributes:
        result: `sent`, or why not.
        state: where the delivery stands now.
        attempt: which attempt it was, from 1.
        age_seconds: from the delivery's making to the end of this attempt; if it was kept back so that others
            could join it, from then on.
        gathered: how many outcomes a digest tells of; 0 if it is no digest.
    """

    provider: str
    result: str
    state: str
    attempt: int
    age_seconds: float
    gathered: int


class UnsentReport(TypedDict):
    """A delivery that ended without an attempt.

    Attributes:
        state: `skipped`, because it is not wanted any more, or `dead`, because its record cannot be read.
        reason: why it was skipped; else empty.
        gathered: how many outcomes a digest would have told of; 0 if it is no digest.
    """

    state: Literal["skipped", "dead"]
    reason: str
    gathered: int


class AttemptObserver(Protocol):
    """Who counts what became of deliveries."""

    def attempt_recorded(self, report: AttemptReport) -> None:
        """What became of one delivery is in Redis."""

    def ended_unsent(self, report: UnsentReport) -> None:
        """One delivery has ended without an attempt, and that is in Redis."""


class Tried(TypedDict):
    """One delivery, what came of it, who said so, and what follows."""

    delivery: Delivery
    result: SendResult
    teller: Teller
    settlement: Settlement


class Stopped(TypedDict):
    """One delivery that is not sent after all, and why."""

    delivery: Delivery
    stop: Stop


class Answered(TypedDict):
    """What became of one claim.

    Attributes:
        token: that of the claim.
        is_probe: it found out whether the provider takes mails again.
        tried: in the order of the claim.
        stopped: what nobody wants any more.
        unreadable: what cannot be read.
    """

    token: str
    is_probe: bool
    tried: list[Tried]
    stopped: list[Stopped]
    unreadable: list[Unreadable]


class Recorder:
    """What the senders of one process have in hand, on its way to Redis. Thread-safe.

    Args:
        channel: whose deliveries.
        provider: the name of the provider that sends them.
        store: the deliveries.
        circuit: that of the provider.
        clock: the present time.
        logger: hears of every mail, without its recipient.
        observer: counts.
    """

    def __init__(
        self,
        *,
        channel: str,
        provider: str,
        store: DeliveryStore,
        circuit: Circuit,
        clock: Clock,
        logger: Logger,
        observer: AttemptObserver,
    ) -> None:
        self._channel = channel
        self._provider = provider
        self._store = store
        self._circuit = circuit
        self._clock = clock
        self._logger = logger
        self._observer = observer
        self._in_hand: deque[Answered] = deque()
        self._recording = threading.Lock()

    def keep(self, answered: Answered) -> None:
        """Take what became of a claim in hand; `record` brings it to Redis."""
        self._in_hand.append(answered)

    def record(self) -> None:
        """Bring everything in hand to Redis.

        Raises:
            RedisUnavailableError: Redis does not answer; what is not recorded stays in hand.
        """
        with self._recording:
            while self._in_hand:
                answered = self._in_hand[0]
                kept = self._settle(answered)
                self._in_hand.popleft()
                self._tell(answered, kept)

    def _settle(self, answered: Answered) -> list[bool]:
        # What the log says, or the operator, tells nothing about the account that sends.
        said = [one["result"] for one in answered["tried"] if one["teller"] == "provider"]
        self._tell_circuit(said, is_probe=answered["is_probe"])
        settlements = [one["settlement"] for one in answered["tried"]]
        settlements += [settle_stopped(one["delivery"], one["stop"]) for one in answered["stopped"]]
        settlements += [settle_unreadable(lost) for lost in answered["unreadable"]]
        return self._store.settle(self._channel, answered["token"], settlements)

    def _tell_circuit(self, results: list[SendResult], *, is_probe: bool) -> None:
        change = decide_circuit(results)
        if change == "open":
            why = why_refused(results)
            if self._circuit.open(why):
                self._logger.error("notifier.circuit_opened", provider=self._provider, why=why)
        elif change == "close" and is_probe and self._circuit.close():
            self._logger.info("notifier.circuit_closed", provider=self._provider)
        pause = decide_pause(results)
        if pause:
            self._circuit.pause(pause)
            self._logger.warning(
                "notifier.provider_paused", provider=self._provider, seconds=pause.total_seconds()
            )

    def _tell(self, answered: Answered, kept: list[bool]) -> None:
        # In the order of the settlements.
        is_kept = iter(kept)
        for one in answered["tried"]:
            self._report(one, is_kept=next(is_kept))
        for stopped in answered["stopped"]:
            self._report_stopped(stopped, is_kept=next(is_kept))
        for lost in answered["unreadable"]:
            self._report_unreadable(lost, is_kept=next(is_kept))

    def _report_stopped(self, stopped: Stopped, *, is_kept: bool) -> None:
        delivery, stop = stopped["delivery"], stopped["stop"]
        fields: dict[str, LogField] = {
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
            "delivery_id": delivery["delivery_id"],
        }
        if not is_kept:
            self._logger.warning("notifier.delivery_claim_lost", **fields)
            return
        self._logger.info("notifier.delivery_skipped", **fields, **stop)
        outcomes = delivery.get("gathered", 0)
        self._observer.ended_unsent({"state": "skipped", "reason": stop["reason"], "gathered": outcomes})

    def _report_unreadable(self, lost: Unreadable, *, is_kept: bool) -> None:
        fields: dict[str, LogField] = {"delivery_id": lost["delivery_id"], "fault": lost["fault"]}
        if not is_kept:
            self._logger.warning("notifier.delivery_claim_lost", **fields)
            return
        self._logger.error("notifier.delivery_unreadable", **fields)
        self._observer.ended_unsent({"state": "dead", "reason": "", "gathered": 0})

    def _report(self, tried: Tried, *, is_kept: bool) -> None:
        delivery, result, settlement = tried["delivery"], tried["result"], tried["settlement"]
        since = delivery.get("held_until", delivery["created_at"])
        age = (self._clock.now() - since).total_seconds()
        fields: dict[str, LogField] = {
            "delivery_id": delivery["delivery_id"],
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
            "provider": self._provider,
            "attempt": delivery.get("attempt", 1),
            "age_seconds": round(age, 3),
        }
        if "gathered" in delivery:
            fields["gathered"] = delivery["gathered"]
        if not is_kept:
            # Its lease ended and another sender has it now.
            self._logger.warning("notifier.delivery_claim_lost", **fields)
            return
        if result["outcome"] == "sent":
            self._logger.info("notifier.delivery_sent", **fields)
        else:
            fields |= {"error_class": result["error_class"], "detail": result["detail"]}
            if settlement["state"] == "dead":
                self._logger.error("notifier.delivery_dead", **fields)
            elif result["error_class"] == "no_time":
                self._logger.info("notifier.delivery_put_back", **fields)
            else:
                self._logger.warning("notifier.delivery_retried", **fields)
        self._observer.attempt_recorded(
            {
                "provider": self._provider,
                "result": "sent" if result["outcome"] == "sent" else result["error_class"],
                "state": settlement["state"],
                "attempt": delivery.get("attempt", 1),
                "age_seconds": age,
                "gathered": delivery.get("gathered", 0),
            }
        )
