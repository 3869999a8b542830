"""A mail that may have been delivered: the provider's log decides, or the operator's choice."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count

import pytest
from pipeline_kit import NOON, ScriptedProvider, new_delivery
from platform_core.job_events import TURKIC
from platform_core.notifications import preferences_key
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger

from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL, Delivery
from platform_notify.delivery_store import DeliveryStore
from platform_notify.providers.base import ErrorClass, failed, sent
from platform_notify.providers.sent_log import LogAnswer, LogQuestion, silent
from platform_notify.recording import AttemptReport, Recorder, UnsentReport
from platform_notify.replay import replay_dead
from platform_notify.retry import GIVE_UP_AFTER
from platform_notify.sender import BatchReport, Sender
from platform_notify.unsure import LOG_LAG, WhenUnsure
from platform_notify.writing import MailWriter

LEASE = timedelta(seconds=75)
CALL = timedelta(seconds=60)


class NoCounts:
    def batch_sent(self, report: BatchReport) -> None: ...

    def attempt_recorded(self, report: AttemptReport) -> None: ...

    def ended_unsent(self, report: UnsentReport) -> None: ...


class ScriptedLog:
    """A log whose answer the test says; it remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[LogQuestion], LogAnswer] = lambda question: {"found": "absent"}
        self.asked: list[LogQuestion] = []

    def look_up(self, questions: Sequence[LogQuestion]) -> list[LogAnswer]:
        self.asked += questions
        return [self.answer(question) for question in questions]

    def knows_all(self) -> None:
        self.answer = lambda question: {"found": "sent", "message_ids": ["logged"], "answer": "delivered"}

    def is_silent(self, *, lasting: bool = False) -> None:
        self.answer = lambda question: silent("nobody there", lasting=lasting)


class Bench:
    """Senders of one provider, with or without a log."""

    def __init__(self, redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> None:
        self.clock, self.logger = clock, logger
        self.store = DeliveryStore(redis, clock)
        self.circuit = Circuit(redis, "fake", clock)
        self.provider = ScriptedProvider()
        self.log = ScriptedLog()

    def sender(self, *, log: bool = True, when_unsure: WhenUnsure = "resend") -> Sender:
        tokens = count()
        return Sender(
            store=self.store,
            recorder=Recorder(
                channel=EMAIL,
                provider="fake",
                store=self.store,
                circuit=self.circuit,
                clock=self.clock,
                logger=self.logger,
                observer=NoCounts(),
            ),
            provider=self.provider,
            log=self.log if log else None,
            write=MailWriter(self.clock).write,
            clock=self.clock,
            logger=self.logger,
            observer=NoCounts(),
            config={"channel": EMAIL, "batch": 10, "lease": LEASE, "call": CALL, "when_unsure": when_unsure},
            jitter=lambda: 0.0,
            new_token=lambda: f"{id(tokens)}-{next(tokens)}",
        )

    def fail(self, error_class: ErrorClass = "server", *, ambiguous: bool = True) -> None:
        self.provider.answer = lambda mail: failed(error_class, "HTTP 500", ambiguous=ambiguous)

    def succeed(self) -> None:
        self.provider.answer = lambda mail: sent(["fresh"], "accepted")

    def lose_track(self, sender: Sender) -> None:
        """Make one delivery whose first attempt ends without anybody knowing how."""
        self.store.add(new_delivery())
        self.fail()
        sender.run_once()
        self.succeed()

    def crash(self) -> None:
        """Make one delivery whose first sender never came back."""
        self.store.add(new_delivery())
        self.store.claim(EMAIL, "fake", limit=1, lease=LEASE, token="dead")
        self.clock.advance(LEASE.total_seconds())

    def delivery(self) -> Delivery:
        (found,) = self.store.of_job(TURKIC, "j1")
        return found

    @property
    def sendings(self) -> int:
        return len(self.provider.job_ids)


@pytest.fixture
def bench(redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> Bench:
    return Bench(redis, clock, logger)


def test_a_log_is_given_time_and_then_asked_before_sending_again(bench: Bench) -> None:
    sender = bench.sender()
    bench.lose_track(sender)
    assert bench.delivery().get("unsure") == "yes"
    bench.clock.advance(LOG_LAG.total_seconds() - 1)
    assert sender.run_once()["claimed"] == 0
    bench.clock.advance(1)
    sender.run_once()
    (question,) = bench.log.asked
    assert question == {
        "delivery_id": new_delivery()["delivery_id"],
        "recipient": "anna@example.com",
        "since": NOON,
    }
    assert bench.sendings == 2
    delivery = bench.delivery()
    assert (delivery["state"], delivery.get("message_ids")) == ("sent", ["fresh"])
    assert "unsure" not in delivery


def test_what_the_log_knows_is_not_sent_again(bench: Bench) -> None:
    sender = bench.sender(when_unsure="hold")
    bench.lose_track(sender)
    bench.log.knows_all()
    bench.clock.advance(LOG_LAG.total_seconds())
    sender.run_once()
    assert bench.sendings == 1
    delivery = bench.delivery()
    assert (delivery["state"], delivery.get("message_ids")) == ("sent", ["logged"])
    assert delivery.get("answer") == "delivered"
    assert [note["ambiguous"] for note in delivery.get("attempts", [])] == [True, False]


def test_what_a_killed_sender_had_in_hand_is_looked_up_too(bench: Bench) -> None:
    bench.crash()
    bench.log.knows_all()
    bench.sender().run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 0)


def test_a_mail_without_doubt_is_never_looked_up(bench: Bench) -> None:
    bench.store.add(new_delivery())
    bench.fail("connect", ambiguous=False)
    sender = bench.sender()
    sender.run_once()
    bench.clock.advance(5)
    sender.run_once()
    assert (bench.log.asked, bench.sendings) == ([], 2)


def test_a_doubt_outlives_a_later_failure_that_is_clear(bench: Bench) -> None:
    """The second attempt surely sent nothing; the first may have."""
    sender = bench.sender(log=False)
    bench.lose_track(sender)
    bench.fail("connect", ambiguous=False)
    bench.clock.advance(5)
    sender.run_once()
    assert bench.delivery().get("unsure") == "yes"
    bench.log.knows_all()
    bench.clock.advance(30)
    bench.sender().run_once()
    assert bench.delivery()["state"] == "sent"
    assert bench.sendings == 2


def test_a_doubt_that_the_log_has_settled_is_gone(bench: Bench) -> None:
    sender = bench.sender()
    bench.lose_track(sender)
    bench.fail("connect", ambiguous=False)
    bench.clock.advance(LOG_LAG.total_seconds())
    sender.run_once()
    assert "unsure" not in bench.delivery()


def test_while_the_log_is_silent_the_mail_waits_and_then_the_choice_holds(bench: Bench) -> None:
    sender = bench.sender(when_unsure="resend")
    bench.lose_track(sender)
    bench.log.is_silent()
    deadline = NOON + GIVE_UP_AFTER
    while bench.delivery()["state"] == "waiting":
        bench.clock.advance(60)
        assert bench.sendings == 1
        sender.run_once()
    assert bench.clock.now() >= deadline
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 2)
    notes = bench.delivery().get("attempts", [])
    assert notes[1]["detail"] == "not sent, its log could not be asked before: nobody there"


def test_a_log_that_is_not_for_us_is_as_none(bench: Bench) -> None:
    bench.crash()
    bench.log.is_silent(lasting=True)
    bench.sender().run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 1)


def test_without_a_log_resend_sends_at_the_usual_time(bench: Bench) -> None:
    sender = bench.sender(log=False)
    bench.lose_track(sender)
    bench.clock.advance(5)
    sender.run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 2)


def test_without_a_log_hold_gives_up_at_once_and_says_why(bench: Bench) -> None:
    bench.lose_track(bench.sender(log=False, when_unsure="hold"))
    delivery = bench.delivery()
    assert delivery["state"] == "dead"
    assert "nobody knows whether it was delivered" in delivery["detail"]
    assert bench.logger.events("error") == ["notifier.delivery_dead"]


def test_hold_does_not_send_what_a_killed_sender_had_in_hand(bench: Bench) -> None:
    bench.crash()
    bench.sender(log=False, when_unsure="hold").run_once()
    delivery = bench.delivery()
    assert (delivery["state"], bench.sendings) == ("dead", 0)
    assert "nobody knows" in delivery["detail"]


def test_a_replay_sends_what_was_held_and_holds_it_again_if_need_be(bench: Bench) -> None:
    sender = bench.sender(log=False, when_unsure="hold")
    bench.lose_track(sender)
    replay_dead(bench.store, EMAIL, {})
    bench.fail("connect", ambiguous=False)
    sender.run_once()
    assert bench.delivery().get("unsure") == "send_anyway"
    bench.clock.advance(5)
    bench.fail()
    sender.run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("dead", 3)
    replay_dead(bench.store, EMAIL, {})
    bench.succeed()
    sender.run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 4)


def test_hold_does_not_touch_what_clearly_failed(bench: Bench) -> None:
    bench.store.add(new_delivery())
    bench.fail("rate_limited", ambiguous=False)
    bench.sender(log=False, when_unsure="hold").run_once()
    assert bench.delivery()["state"] == "waiting"


def test_the_log_tells_nothing_about_the_account_that_sends(bench: Bench) -> None:
    """A probe that was found in the log does not close the circuit."""
    bench.crash()
    bench.circuit.open("HTTP 401")
    bench.clock.advance(60)
    bench.log.knows_all()
    assert bench.sender().run_once()["verdict"] == "probe"
    assert bench.delivery()["state"] == "sent"
    assert bench.circuit.state()["state"] == "open"


def test_an_unsure_mail_and_a_fresh_one_go_their_own_ways(bench: Bench) -> None:
    bench.crash()
    bench.store.add(new_delivery("j2"))
    bench.log.knows_all()
    bench.sender().run_once()
    assert bench.provider.job_ids == ["j2"]
    assert bench.delivery().get("message_ids") == ["logged"]


def test_whom_a_digest_told_of_before_its_answer_was_lost_is_not_left_out_afterwards(
    bench: Bench, redis: RedisClient
) -> None:
    """The log has the mail as it left then; who opted out later was in it."""
    for number, user in enumerate(["anna", "anna", "ben"]):
        delivery = new_delivery(f"j{number}")
        delivery["subscriber"] = user
        bench.store.add(delivery, {"window": timedelta(minutes=10), "first": 1})
    sender = bench.sender()
    sender.run_once()
    bench.clock.advance(600)
    bench.fail()
    sender.run_once()
    redis.set(preferences_key("anna"), '{"opt_out":true}')
    bench.clock.advance(600)
    bench.log.knows_all()
    sender.run_once()
    told = [delivery["state"] for number in range(3) for delivery in bench.store.of_job(TURKIC, f"j{number}")]
    assert told == ["sent", "sent", "sent"]


def test_a_log_that_was_not_asked_because_no_notifier_ran_is_asked_before_it_is_given_up(
    bench: Bench,
) -> None:
    sender = bench.sender(when_unsure="hold")
    bench.lose_track(sender)
    bench.log.is_silent()
    bench.clock.advance(3 * 3600)
    sender.run_once()
    assert bench.delivery()["state"] == "waiting"
    bench.log.knows_all()
    bench.clock.advance(120)
    sender.run_once()
    assert (bench.delivery()["state"], bench.sendings) == ("sent", 1)
