"""Sends what is due on one channel through one provider, a batch at a time, and records what became of it.

A delivery is claimed under a lease before it is sent and settled after. Who dies in between leaves a lease
that ends; the delivery is then sent again under the same id. What the provider answered is kept until Redis
has it (see `recording`), also over an outage of Redis, so that a mail that was taken is not sent once more.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NotRequired, Protocol, TypedDict

from platform_core.clock import Clock
from platform_core.logging import Logger

from platform_notify.claims import Claim, Verdict
from platform_notify.deliveries import Delivery
from platform_notify.delivery_store import DeliveryStore
from platform_notify.messages import MailMessage
from platform_notify.opt_outs import LeftOut, Wanted, what_is_wanted
from platform_notify.providers.base import MailProvider, SendResult, failed, not_tried, sent
from platform_notify.providers.sent_log import LogAnswer, SentLog
from platform_notify.rate_limit import RateRule
from platform_notify.recording import Answered, AttemptObserver, Recorder, Stopped, Tried
from platform_notify.retry import is_used_up
from platform_notify.settling import (
    Attempt,
    Teller,
    counted_from,
    held_back,
    settle_attempt,
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
        call: how long a call of the provider may take; none begins with less of the lease left.
        when_unsure: what to do with a mail that may have been delivered, where no log can tell.
        rate: how often the provider may be called; absent for as often as one likes.
    """

    channel: str
    batch: int
    lease: timedelta
    call: timedelta
    when_unsure: WhenUnsure
    rate: NotRequired[RateRule]


class BatchReport(TypedDict):
    """One call of the provider: how many mails, and how many seconds it took."""

    provider: str
    mails: int
    seconds: float


class SendObserver(AttemptObserver, Protocol):
    """Who counts what is sent."""

    def batch_sent(self, report: BatchReport) -> None:
        """The provider was called and came back."""


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


class Sender:
    """One channel's sender; one thread uses it.

    Args:
        store: the deliveries.
        recorder: shared by all senders of the process.
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
        recorder: Recorder,
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
        self._recorder = recorder
        self._provider = provider
        self._log = log
        self._write = write
        self._clock = clock
        self._logger = logger
        self._observer = observer
        self._config = config
        self._jitter = jitter
        self._new_token = new_token

    def run_once(self) -> Round:
        """Send one batch of what is due, if anything is.

        Raises:
            RedisUnavailableError: Redis does not answer; call again later. Answers of the provider that are
                not recorded yet are recorded then.
        """
        self._recorder.record()
        # Before the claim: the lease counts from some moment after this one.
        began = self._clock.monotonic()
        claim = self._store.claim(
            self._config["channel"],
            self._provider.name,
            limit=self._config["batch"],
            lease=self._config["lease"],
            token=self._new_token(),
            rate=self._config.get("rate"),
        )
        if claim["deliveries"] or claim["unreadable"]:
            self._recorder.keep(self._send(claim, began + self._last_call()))
            self._recorder.record()
        claimed: Round = {
            "verdict": claim["verdict"],
            "claimed": len(claim["deliveries"]) + len(claim["unreadable"]),
        }
        if "again_at" in claim:
            claimed["again_at"] = claim["again_at"]
        return claimed

    def _last_call(self) -> float:
        """Return how many seconds after a claim the provider may still be called."""
        return (self._config["lease"] - self._config["call"]).total_seconds()

    def _send(self, claim: Claim, call_until: float) -> Answered:
        settled = self._settle_unsure(claim)
        wanted = [what_is_wanted(one) for one in claim["deliveries"] if one["delivery_id"] not in settled]
        stopped = list(_stopped_among(wanted))
        to_send = {one["delivery"]["delivery_id"]: one for one in wanted if "stop" not in one}
        mails = {name: self._mail(one["delivery"]) for name, one in to_send.items()}
        messages = [mail for mail in mails.values() if mail is not None]
        started = self._clock.monotonic()
        # Who was stopped for long, or waited for long, may have lost the claim, or lose it while the mails
        # leave: whoever has them next would send them too.
        is_late = started > call_until
        teller: Teller = "sender" if is_late else "provider"
        answers = iter([not_tried() for _ in messages] if is_late else self._give(messages))
        seconds = self._clock.monotonic() - started
        tried: list[Tried] = []
        for name in [delivery["delivery_id"] for delivery in claim["deliveries"]]:
            if name in settled:
                tried.append(settled[name])
            elif name in to_send:
                result = _UNWRITABLE if mails[name] is None else next(answers)
                one = to_send[name]
                tried.append(self._settle(one["delivery"], claim, result, teller, seconds, one["left_out"]))
        return {
            "token": claim["token"],
            "is_probe": claim["verdict"] == "probe",
            "tried": tried,
            "stopped": stopped,
            "unreadable": claim["unreadable"],
        }

    def _give(self, messages: Sequence[MailMessage]) -> Sequence[SendResult]:
        """Give the mails to the provider, if there are any."""
        if not messages:
            return []
        started = self._clock.monotonic()
        results = self._provider.send(messages)
        self._observer.batch_sent(
            {
                "provider": self._provider.name,
                "mails": len(messages),
                "seconds": self._clock.monotonic() - started,
            }
        )
        return results

    def _settle_unsure(self, claim: Claim) -> dict[str, Tried]:
        """Look up what may have been delivered already; return what needs, or gets, no sending now, by id."""
        unsure = [delivery for delivery in claim["deliveries"] if "unsure" in delivery]
        started = self._clock.monotonic()
        answers = self._look_up(unsure)
        seconds, now = self._clock.monotonic() - started, self._clock.now()
        settled: dict[str, Tried] = {}
        for delivery, answer in zip(unsure, answers, strict=True):
            decision = decide_unsure(
                answer,
                when_unsure=self._config["when_unsure"],
                released=delivery.get("unsure") == "send_anyway",
                out_of_time=is_used_up(delivery.get("attempt", 1), counted_from(delivery, claim, now), now),
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
    ) -> Tried:
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


def _stopped_among(wanted: Sequence[Wanted]) -> Iterator[Stopped]:
    """Give those that are not to be sent after all."""
    for one in wanted:
        if "stop" in one:
            yield {"delivery": one["delivery"], "stop": one["stop"]}
