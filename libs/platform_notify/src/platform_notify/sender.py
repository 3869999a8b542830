"""Sends what is due on one channel through one provider, a batch at a time, and records what became of it.

A delivery is claimed under a lease before it is sent and settled after. Who dies in between leaves a lease
that ends; the delivery is then sent again under the same id. What the provider answered is kept until Redis
has it, also over an outage of Redis, so that a mail that was taken is not sent once more.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NotRequired, Protocol, TypedDict

from platform_core.clock import Clock
from platform_core.logging import LogField, Logger

from platform_notify.circuit import Circuit, decide_circuit, decide_pause, why_refused
from platform_notify.claims import Claim, Unreadable, Verdict
from platform_notify.deliveries import Delivery
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.messages import MailMessage
from platform_notify.opt_outs import LeftOut, Stop, Wanted, what_is_wanted
from platform_notify.providers.base import MailProvider, SendResult, failed, sent
from platform_notify.providers.sent_log import LogAnswer, SentLog
from platform_notify.rate_limit import RateRule
from platform_notify.retry import GIVE_UP_AFTER
from platform_notify.settling import (
    Attempt,
    Teller,
    counted_from,
    held_back,
    settle_attempt,
    settle_stopped,
    settle_unreadable,
)
from platform_notify.unsure import WhenUnsure, decide_unsure

# Bound to a name of its own: a mail that cannot be written must not keep the others of its batch back.
_ANYTHING: type[Exception] = Exception


# Made again at the next attempt: a new version of the service may know how to write it.
_UNWRITABLE: Final = failed("unexpected", "the mail could not be written")
_LOG_FIRST: Final = "not sent, its log could not be asked before"


class SenderConfig(TypedDict):
    """How to send.

    Attributes:
        channel: whose deliveries.
        batch: at most how many in one call of the provider.
        lease: how long a claim holds; longer than the provider and its log may take.
        when_unsure: what to do with a mail that may have been delivered, where no log can tell.
        rate: how often the provider may be called; absent for as often as one likes.
    """

    channel: str
    batch: int
    lease: timedelta
    when_unsure: WhenUnsure
    rate: NotRequired[RateRule]


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


class BatchReport(TypedDict):
    """One call of the provider: how many mails, and how many seconds it took."""

    provider: str
    mails: int
    seconds: float


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


class SendObserver(Protocol):
    """Who counts what is sent."""

    def batch_sent(self, report: BatchReport) -> None:
        """The provider was called and came back."""

    def attempt_recorded(self, report: AttemptReport) -> None:
        """What became of one delivery is in Redis."""

    def ended_unsent(self, report: UnsentReport) -> None:
        """One delivery has ended without an attempt, and that is in Redis."""


class Round(TypedDict):
    """What one round did.

    Attributes:
        verdict: see `Claim`.
        claimed: how many deliveries were tried.
        again_at: when there may be more to do; absent if nothing waits.
    """

    verdict: Verdict
    claimed: int
    again_at: NotRequired[datetime]


class _Tried(TypedDict):
    """One delivery, what came of it, who said so, and what follows."""

    delivery: Delivery
    result: SendResult
    teller: Teller
    settlement: Settlement


class _Stopped(TypedDict):
    """One delivery that is not sent after all, and why."""

    delivery: Delivery
    stop: Stop


class _Answered(TypedDict):
    """Results that are not in Redis yet."""

    token: str
    is_probe: bool
    tried: list[_Tried]
    stopped: list[_Stopped]
    unreadable: list[Unreadable]


class Sender:
    """One channel's sender; one thread uses it.

    Args:
        store: the deliveries.
        circuit: that of the provider.
        provider: see `GuardedProvider`.
        log: the provider's own log, which settles what is unsure; None if it has none.
        write: writes the mail of a delivery.
        clock: the present time.
        logger: hears of every mail, without its recipient.
        observer: counts.
        config: see `SenderConfig`.
        jitter: a random number from -1 to 1.
        new_token: a name that no one else will make.
    """

    def __init__(
        self,
        *,
        store: DeliveryStore,
        circuit: Circuit,
        provider: MailProvider,
        log: SentLog | None,
        write: Callable[[Delivery], MailMessage],
        clock: Clock,
        logger: Logger,
        observer: SendObserver,
        config: SenderConfig,
        jitter: Callable[[], float],
        new_token: Callable[[], str],
    ) -> None:
        self._store = store
        self._circuit = circuit
        self._provider = provider
        self._log = log
        self._write = write
        self._clock = clock
        self._logger = logger
        self._observer = observer
        self._config = config
        self._jitter = jitter
        self._new_token = new_token
        self._answered: _Answered | None = None

    def run_once(self) -> Round:
        """Send one batch of what is due, if anything is.

        Raises:
            RedisUnavailableError: Redis does not answer; call again later. Answers of the provider that are
                not recorded yet are recorded then.
        """
        self._record()
        claim = self._store.claim(
            self._config["channel"],
            self._provider.name,
            limit=self._config["batch"],
            lease=self._config["lease"],
            token=self._new_token(),
            rate=self._config.get("rate"),
        )
        if claim["deliveries"] or claim["unreadable"]:
            self._answered = self._send(claim)
            self._record()
        claimed: Round = {
            "verdict": claim["verdict"],
            "claimed": len(claim["deliveries"]) + len(claim["unreadable"]),
        }
        if "again_at" in claim:
            claimed["again_at"] = claim["again_at"]
        return claimed

    def _send(self, claim: Claim) -> _Answered:
        settled = self._settle_unsure(claim)
        wanted = [what_is_wanted(one) for one in claim["deliveries"] if one["delivery_id"] not in settled]
        stopped = list(_stopped_among(wanted))
        to_send = {one["delivery"]["delivery_id"]: one for one in wanted if "stop" not in one}
        mails = {name: self._mail(one["delivery"]) for name, one in to_send.items()}
        messages = [mail for mail in mails.values() if mail is not None]
        started = self._clock.monotonic()
        answers = iter(self._provider.send(messages) if messages else [])
        seconds = self._clock.monotonic() - started
        if messages:
            self._observer.batch_sent(
                {"provider": self._provider.name, "mails": len(messages), "seconds": seconds}
            )
        tried: list[_Tried] = []
        for name in [delivery["delivery_id"] for delivery in claim["deliveries"]]:
            if name in settled:
                tried.append(settled[name])
            elif name in to_send:
                result = _UNWRITABLE if mails[name] is None else next(answers)
                one = to_send[name]
                tried.append(
                    self._settle(one["delivery"], claim, result, "provider", seconds, one["left_out"])
                )
        return {
            "token": claim["token"],
            "is_probe": claim["verdict"] == "probe",
            "tried": tried,
            "stopped": stopped,
            "unreadable": claim["unreadable"],
        }

    def _settle_unsure(self, claim: Claim) -> dict[str, _Tried]:
        """Look up what may have been delivered already; return what needs, or gets, no sending now, by id."""
        unsure = [delivery for delivery in claim["deliveries"] if "unsure" in delivery]
        started = self._clock.monotonic()
        answers = self._look_up(unsure)
        seconds, now = self._clock.monotonic() - started, self._clock.now()
        settled: dict[str, _Tried] = {}
        for delivery, answer in zip(unsure, answers, strict=True):
            decision = decide_unsure(
                answer,
                when_unsure=self._config["when_unsure"],
                released=delivery.get("unsure") == "send_anyway",
                out_of_time=now >= counted_from(delivery, claim, now) + GIVE_UP_AFTER,
            )
            if decision == "send":
                if answer is not None and answer["found"] == "absent":
                    # The log has settled it: what comes now is judged by itself.
                    del delivery["unsure"]
                continue
            result: SendResult = held_back()
            teller: Teller = "policy"
            if answer is not None and answer["found"] == "sent":
                result, teller = sent(answer["message_ids"], answer["answer"]), "log"
            elif answer is not None and answer["found"] == "silent" and decision == "wait":
                result, teller = failed("server", f"{_LOG_FIRST}: {answer['detail']}"), "log"
            settled[delivery["delivery_id"]] = self._settle(delivery, claim, result, teller, seconds)
        return settled

    def _settle(
        self,
        delivery: Delivery,
        claim: Claim,
        result: SendResult,
        teller: Teller,
        seconds: float,
        left_out: Sequence[LeftOut] = (),
    ) -> _Tried:
        attempt: Attempt = {
            "provider": self._provider.name,
            "result": result,
            "teller": teller,
            "at": self._clock.now(),
            "seconds": seconds,
            "jitter": self._jitter(),
            "has_log": self._log is not None,
            "may_repeat": self._config["when_unsure"] == "resend",
            "left_out": left_out,
        }
        settlement = settle_attempt(delivery, claim, attempt)
        return {"delivery": delivery, "result": result, "teller": teller, "settlement": settlement}

    def _look_up(self, deliveries: list[Delivery]) -> Sequence[LogAnswer | None]:
        if self._log is None or not deliveries:
            return [None] * len(deliveries)
        return self._log.look_up(
            [
                {
                    "delivery_id": delivery["delivery_id"],
                    "recipient": delivery["recipient"],
                    # Not its first attempt: that is forgotten when attempts do not count.
                    "since": delivery["created_at"],
                }
                for delivery in deliveries
            ]
        )

    def _mail(self, delivery: Delivery) -> MailMessage | None:
        try:
            return self._write(delivery)
        except _ANYTHING as error:
            self._logger.error(
                "notifier.mail_not_written",
                delivery_id=delivery["delivery_id"],
                fault=type(error).__name__,
            )
            return None

    def _record(self) -> None:
        """Bring the provider's answers to Redis; they are kept here until that worked."""
        answered = self._answered
        if answered is None:
            return
        # What the log says, or the operator, tells nothing about the account that sends.
        said = [one["result"] for one in answered["tried"] if one["teller"] == "provider"]
        self._tell_circuit(said, is_probe=answered["is_probe"])
        settlements = [one["settlement"] for one in answered["tried"]]
        settlements += [settle_stopped(one["delivery"], one["stop"]) for one in answered["stopped"]]
        settlements += [settle_unreadable(lost) for lost in answered["unreadable"]]
        kept = self._store.settle(self._config["channel"], answered["token"], settlements)
        self._answered = None
        # In the order of the settlements.
        is_kept = iter(kept)
        for one in answered["tried"]:
            self._report(one, is_kept=next(is_kept))
        for stopped in answered["stopped"]:
            self._report_stopped(stopped, is_kept=next(is_kept))
        for lost in answered["unreadable"]:
            self._report_unreadable(lost, is_kept=next(is_kept))

    def _tell_circuit(self, results: list[SendResult], *, is_probe: bool) -> None:
        change = decide_circuit(results)
        if change == "open":
            why = why_refused(results)
            if self._circuit.open(why):
                self._logger.error("notifier.circuit_opened", provider=self._provider.name, why=why)
        elif change == "close" and is_probe and self._circuit.close():
            self._logger.info("notifier.circuit_closed", provider=self._provider.name)
        pause = decide_pause(results)
        if pause:
            self._circuit.pause(pause)
            self._logger.warning(
                "notifier.provider_paused", provider=self._provider.name, seconds=pause.total_seconds()
            )

    def _report(self, tried: _Tried, *, is_kept: bool) -> None:
        delivery, result, settlement = tried["delivery"], tried["result"], tried["settlement"]
        since = delivery.get("held_until", delivery["created_at"])
        age = (self._clock.now() - since).total_seconds()
        fields: dict[str, LogField] = {
            "delivery_id": delivery["delivery_id"],
            "domain": delivery["domain"],
            "job_id": delivery["job_id"],
            "provider": self._provider.name,
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
            else:
                self._logger.warning("notifier.delivery_retried", **fields)
        self._observer.attempt_recorded(
            {
                "provider": self._provider.name,
                "result": "sent" if result["outcome"] == "sent" else result["error_class"],
                "state": settlement["state"],
                "attempt": delivery.get("attempt", 1),
                "age_seconds": age,
                "gathered": delivery.get("gathered", 0),
            }
        )

    def _report_stopped(self, stopped: _Stopped, *, is_kept: bool) -> None:
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


def _stopped_among(wanted: Sequence[Wanted]) -> Iterator[_Stopped]:
    """Give those that are not to be sent after all."""
    for one in wanted:
        if "stop" in one:
            yield {"delivery": one["delivery"], "stop": one["stop"]}
