"""What is due is sent, a batch at a time, and what became of it is recorded."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count

import pytest
from pipeline_kit import NOON, ScriptedProvider, deliveries_of, keys_without_ttl, new_delivery
from platform_core.job_events import TURKIC
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger, FakeRedis
from typing_extensions import override

from platform_notify.circuit import PROBE_PAUSE, Circuit
from platform_notify.deliveries import EMAIL, Delivery
from platform_notify.delivery_store import DeliveryStore, Settlement
from platform_notify.digests import GatheringRule
from platform_notify.messages import MailMessage
from platform_notify.providers.base import (
    SENDING_SECONDS,
    ErrorClass,
    SendResult,
    failed,
    not_tried,
    one_by_one,
    sent,
)
from platform_notify.rate_limit import RateRule
from platform_notify.recording import AttemptReport, Recorder, UnsentReport
from platform_notify.rendering import TEMPLATE_VERSION
from platform_notify.sender import BatchReport, Round, Sender, SenderConfig
from platform_notify.writing import MailWriter

LEASE = timedelta(seconds=75)
CALL = timedelta(seconds=60)


class Counts:
    """A `SendObserver` that remembers."""

    def __init__(self) -> None:
        self.batches: list[BatchReport] = []
        self.attempts: list[AttemptReport] = []
        self.unsent: list[UnsentReport] = []

    def batch_sent(self, report: BatchReport) -> None:
        self.batches.append(report)

    def attempt_recorded(self, report: AttemptReport) -> None:
        self.attempts.append(report)

    def ended_unsent(self, report: UnsentReport) -> None:
        self.unsent.append(report)


class Bench:
    """One sender with everything it needs, and what a test asks about it."""

    def __init__(self, redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> None:
        self.redis = redis
        self.clock = clock
        self.logger = logger
        self.store = DeliveryStore(redis, clock)
        self.circuit = Circuit(redis, "fake", clock)
        self.provider = ScriptedProvider()
        self.counts = Counts()
        self.sender = self.another()

    def recorder(self) -> Recorder:
        """Make one as each process has."""
        return Recorder(
            channel=EMAIL,
            provider="fake",
            store=self.store,
            circuit=self.circuit,
            clock=self.clock,
            logger=self.logger,
            observer=self.counts,
        )

    def another(
        self,
        provider: ScriptedProvider | None = None,
        *,
        batch: int = 10,
        write: Callable[[Delivery], MailMessage] | None = None,
        rate: RateRule | None = None,
        recorder: Recorder | None = None,
    ) -> Sender:
        tokens = count()
        sender_id = id(tokens)
        config: SenderConfig = {
            "channel": EMAIL,
            "batch": batch,
            "lease": LEASE,
            "call": CALL,
            "when_unsure": "resend",
        }
        if rate is not None:
            config["rate"] = rate
        return Sender(
            store=self.store,
            recorder=self.recorder() if recorder is None else recorder,
            provider=self.provider if provider is None else provider,
            log=None,
            write=MailWriter(self.clock).write if write is None else write,
            clock=self.clock,
            logger=self.logger,
            observer=self.counts,
            config=config,
            jitter=lambda: 0.0,
            new_token=lambda: f"{sender_id}-{next(tokens)}",
        )

    def queue(self, *job_ids: str) -> None:
        for job_id in job_ids:
            assert self.store.add(new_delivery(job_id)) == "added"

    def fail(
        self, error_class: ErrorClass, *, retry_after: float | None = None, ambiguous: bool = False
    ) -> None:
        self.answer(lambda mail: failed(error_class, "no", retry_after=retry_after, ambiguous=ambiguous))

    def answer(self, answer: Callable[[MailMessage], SendResult]) -> None:
        self.provider.answer = answer

    def succeed(self) -> None:
        self.answer(lambda mail: sent(["m"], "ok"))

    def delivery(self, job_id: str = "j1") -> Delivery:
        (found,) = self.store.of_job(TURKIC, job_id)
        return found


@pytest.fixture
def bench(redis: RedisClient, clock: FakeClock, logger: FakeLogger) -> Bench:
    return Bench(redis, clock, logger)


def test_a_due_mail_is_sent_and_recorded(bench: Bench) -> None:
    bench.queue("j1")
    bench.clock.advance(0.5)
    assert bench.sender.run_once() == {
        "verdict": "claimed",
        "claimed": 1,
        "again_at": NOON + timedelta(seconds=75.5),
    }
    ((mail,),) = bench.provider.batches
    delivery = new_delivery("j1")
    assert mail["delivery_id"] == delivery["delivery_id"]
    assert (mail["to"], mail["domain"], mail["job_id"]) == ("anna@example.com", "turkic", "j1")
    assert mail["category"] == "job_success"
    assert mail["subject"] == "Your result is ready: train"
    recorded = bench.delivery()
    assert recorded["state"] == "sent"
    assert recorded.get("message_ids") == [f"id-{mail['delivery_id'][:4]}"]
    assert recorded.get("answer") == "ok"
    assert recorded.get("template_version") == TEMPLATE_VERSION
    assert recorded.get("attempts") == [
        {
            "at": NOON + timedelta(seconds=0.5),
            "provider": "fake",
            "result": "sent",
            "detail": "ok",
            "ambiguous": False,
            "duration_ms": 0,
        }
    ]
    assert bench.sender.run_once() == {"verdict": "none", "claimed": 0}
    assert len(bench.provider.batches) == 1
    assert keys_without_ttl(bench.redis) == []
    assert bench.logger.events() == ["notifier.delivery_sent"]


def test_the_recipient_is_in_no_log_line(bench: Bench) -> None:
    bench.queue("j1")
    bench.fail("refused")
    bench.sender.run_once()
    assert "anna@" not in str(bench.logger.lines)


def test_due_mails_leave_in_batches_of_at_most_so_many(bench: Bench) -> None:
    bench.queue(*(f"j{number}" for number in range(5)))
    sender = bench.another(batch=2)
    assert [sender.run_once()["claimed"] for _ in range(4)] == [2, 2, 1, 0]
    assert [len(batch) for batch in bench.provider.batches] == [2, 2, 1]
    assert [report["mails"] for report in bench.counts.batches] == [2, 2, 1]


def test_each_mail_of_a_batch_has_its_own_fate(bench: Bench) -> None:
    bench.queue("good", "bad", "later")

    def answer(mail: MailMessage) -> SendResult:
        match mail["job_id"]:
            case "good":
                return sent(["m"], "ok")
            case "bad":
                return failed("refused", "no such user")
            case _:
                return failed("server", "502", ambiguous=True)

    bench.answer(answer)
    bench.sender.run_once()
    assert bench.delivery("good")["state"] == "sent"
    dead = bench.delivery("bad")
    assert (dead["state"], dead["detail"]) == ("dead", "the provider will never take this mail")
    later = bench.delivery("later")
    assert (later["state"], later.get("due_at")) == ("waiting", NOON + timedelta(seconds=5))
    (note,) = later.get("attempts", [])
    assert (note["result"], note["detail"], note["ambiguous"]) == ("server", "502", True)
    assert sorted(bench.logger.events()) == [
        "notifier.delivery_dead", "notifier.delivery_retried", "notifier.delivery_sent",
    ]  # fmt: skip
    found = {report["result"]: report["state"] for report in bench.counts.attempts}
    assert found == {"sent": "sent", "refused": "dead", "server": "waiting"}


def test_a_mail_is_tried_again_on_schedule_until_it_passes(bench: Bench) -> None:
    bench.queue("j1")
    bench.fail("connect")
    bench.sender.run_once()
    bench.clock.advance(4.9)
    assert bench.sender.run_once()["claimed"] == 0
    bench.clock.advance(0.1)
    assert bench.sender.run_once()["claimed"] == 1
    bench.succeed()
    bench.clock.advance(30)
    assert bench.sender.run_once()["claimed"] == 1
    delivery = bench.delivery()
    assert [note["result"] for note in delivery.get("attempts", [])] == ["connect", "connect", "sent"]
    assert len({mail["delivery_id"] for batch in bench.provider.batches for mail in batch}) == 1
    assert [report["attempt"] for report in bench.counts.attempts] == [1, 2, 3]
    assert bench.counts.attempts[-1]["age_seconds"] == 35


def run_until_settled(bench: Bench, step: timedelta, limit: timedelta) -> timedelta:
    """Let time pass until the one delivery is settled; return how long it took."""
    passed = timedelta(0)
    while bench.delivery()["state"] == "waiting" and passed <= limit:
        bench.sender.run_once()
        bench.clock.advance(step.total_seconds())
        passed += step
    return passed


def test_after_two_hours_of_failures_it_is_given_up(bench: Bench) -> None:
    bench.queue("j1")
    bench.fail("timeout", ambiguous=True)
    took = run_until_settled(bench, timedelta(minutes=1), timedelta(hours=5))
    assert timedelta(hours=2) <= took <= timedelta(hours=2, minutes=2)
    delivery = bench.delivery()
    assert (delivery["state"], delivery["detail"]) == ("dead", "every attempt failed for 2 hours")
    assert bench.logger.events("error") == ["notifier.delivery_dead"]


def test_the_wait_that_a_provider_asks_for_holds_for_all_its_mails(bench: Bench) -> None:
    bench.queue("j1")
    bench.fail("rate_limited", retry_after=40.0)
    bench.sender.run_once()
    bench.queue("j2")
    bench.succeed()
    assert bench.sender.run_once() == {
        "verdict": "paused",
        "claimed": 0,
        "again_at": NOON + timedelta(seconds=40),
    }
    bench.clock.advance(40)
    assert bench.sender.run_once()["claimed"] == 2
    assert bench.logger.events("error") == []


def test_a_digest_is_sent_as_one_mail_and_its_age_counts_from_the_end_of_its_window(bench: Bench) -> None:
    rule: GatheringRule = {"window": timedelta(minutes=10), "first": 1}
    for number in range(4):
        bench.store.add(new_delivery(f"j{number}"), rule)
    bench.sender.run_once()
    bench.clock.advance(602)
    assert bench.sender.run_once()["claimed"] == 1
    assert bench.provider.batches[1][0]["subject"] == "3 more jobs finished in the last 10 minutes: turkic"
    assert bench.counts.attempts[1] == {
        "provider": "fake",
        "result": "sent",
        "state": "sent",
        "attempt": 1,
        "age_seconds": 2.0,
        "gathered": 3,
    }
    assert {bench.delivery(f"j{number}")["state"] for number in range(4)} == {"sent"}
    assert keys_without_ttl(bench.redis) == []


# -- a refused account --------------------------------------------------------------------------------


def test_a_refused_account_opens_the_circuit_and_alarms_once(bench: Bench) -> None:
    bench.queue("j1", "j2")
    bench.fail("auth")
    bench.sender.run_once()
    for _ in range(10):
        bench.queue(f"new{_}")
        bench.clock.advance(30)
        bench.sender.run_once()
    assert bench.logger.events("error") == ["notifier.circuit_opened"]
    assert [len(batch) for batch in bench.provider.batches] == [2, 1, 1, 1, 1, 1], "then one probe a minute"
    assert bench.store.sizes(EMAIL)["waiting"] == 12
    assert bench.store.sizes(EMAIL)["dead"] == 0


def test_nothing_is_dropped_however_long_the_account_is_refused(bench: Bench) -> None:
    bench.queue("j1", "j2", "j3")
    bench.fail("auth")
    for _ in range(100):
        bench.sender.run_once()
        bench.clock.advance(3600)
    bench.succeed()
    while bench.sender.run_once()["claimed"]:
        bench.clock.advance(PROBE_PAUSE.total_seconds())
    assert {bench.delivery(job_id)["state"] for job_id in ("j1", "j2", "j3")} == {"sent"}
    assert bench.logger.events("error") == ["notifier.circuit_opened"]
    assert "notifier.circuit_closed" in bench.logger.events("info")
    assert bench.circuit.state()["state"] == "closed"


def test_the_time_an_account_was_refused_does_not_count_for_those_who_waited(bench: Bench) -> None:
    bench.queue("waits")
    bench.fail("connect")
    bench.sender.run_once()
    # Due before the other one is due again, so this one is the probe.
    bench.queue("probe")
    bench.circuit.open("401")
    bench.clock.advance(10 * 3600)
    bench.answer(lambda mail: sent([], "") if mail["job_id"] == "probe" else failed("connect", "no"))
    bench.sender.run_once()
    assert bench.circuit.state()["state"] == "closed"
    bench.sender.run_once()
    assert bench.delivery("waits")["state"] == "waiting"
    took = run_until_settled_job(bench, "waits")
    assert timedelta(minutes=110) < took < timedelta(hours=3)


def run_until_settled_job(bench: Bench, job_id: str) -> timedelta:
    passed = timedelta(0)
    while bench.delivery(job_id)["state"] == "waiting" and passed < timedelta(hours=5):
        bench.clock.advance(60)
        passed += timedelta(seconds=60)
        bench.sender.run_once()
    return passed


@pytest.mark.parametrize(
    "error_class", ["auth", "connect", "timeout", "server", "unexpected", "rate_limited"]
)
def test_a_probe_that_fails_costs_the_mail_nothing(bench: Bench, error_class: ErrorClass) -> None:
    bench.queue("j1")
    bench.circuit.open("401")
    bench.fail(error_class)
    for _ in range(30):
        bench.clock.advance(600)
        bench.sender.run_once()
    assert len(bench.provider.batches) == 30
    assert bench.delivery()["state"] == "waiting"
    assert bench.delivery().get("attempt") is None
    assert bench.circuit.state()["state"] == "open"


def test_a_probe_that_is_refused_for_itself_shows_that_the_account_is_well(bench: Bench) -> None:
    bench.queue("j1")
    bench.circuit.open("401")
    bench.fail("refused")
    bench.clock.advance(61)
    bench.sender.run_once()
    assert bench.delivery()["state"] == "dead"
    assert bench.circuit.state()["state"] == "closed"


def test_a_circuit_that_another_replica_opened_meanwhile_is_not_closed_by_an_old_success(
    bench: Bench,
) -> None:
    bench.queue("j1")

    def answer(mail: MailMessage) -> SendResult:
        bench.circuit.open("401, says another replica")
        return sent([], "")

    bench.answer(answer)
    bench.sender.run_once()
    assert bench.circuit.state()["state"] == "open"


def test_of_two_replicas_that_find_the_circuit_closed_one_tells(bench: Bench) -> None:
    bench.queue("j1")
    bench.circuit.open("401")
    bench.clock.advance(61)

    def answer(mail: MailMessage) -> SendResult:
        bench.circuit.close()
        return sent([], "")

    bench.answer(answer)
    bench.sender.run_once()
    assert "notifier.circuit_closed" not in bench.logger.events()


# -- crashes and outages ------------------------------------------------------------------------------


class Died(BaseException):
    """The process ends at this point."""


def test_after_a_crash_before_the_record_the_same_delivery_is_sent_again(bench: Bench) -> None:
    bench.queue("j1")

    def die(mail: MailMessage) -> SendResult:
        raise Died

    with pytest.raises(Died):
        bench.another(ScriptedProvider(die)).run_once()
    heir = bench.another()
    bench.clock.advance(LEASE.total_seconds() - 1)
    assert heir.run_once()["claimed"] == 0
    bench.clock.advance(1)
    assert heir.run_once()["claimed"] == 1
    assert [mail["delivery_id"] for mail in bench.provider.batches[0]] == [new_delivery("j1")["delivery_id"]]
    delivery = bench.delivery()
    assert (delivery["state"], delivery.get("interrupted")) == ("sent", 1)


def test_an_answer_outlives_an_outage_of_redis(clock: FakeClock, logger: FakeLogger) -> None:
    redis = FakeRedis()
    bench = Bench(redis, clock, logger)
    bench.queue("j1")

    def answer(mail: MailMessage) -> SendResult:
        redis.server.connected = False
        return sent(["m"], "ok")

    bench.answer(answer)
    with pytest.raises(RedisUnavailableError):
        bench.sender.run_once()
    with pytest.raises(RedisUnavailableError):
        bench.sender.run_once()
    clock.advance(LEASE.total_seconds() * 2)
    redis.server.connected = True
    assert bench.sender.run_once()["claimed"] == 0
    assert bench.delivery()["state"] == "sent"
    assert len(bench.provider.batches) == 1
    assert logger.events() == ["notifier.delivery_sent"]


def race(bench: Bench, slow: SendResult, heirs: SendResult) -> None:
    """Let one sender be so slow that another takes its delivery over and is done with it first."""
    heir = bench.another(ScriptedProvider(lambda mail: heirs))

    def answer(mail: MailMessage) -> SendResult:
        bench.clock.advance(LEASE.total_seconds())
        heir.run_once()
        return slow

    bench.answer(answer)
    bench.sender.run_once()


def test_a_failure_told_after_another_took_over_changes_nothing(bench: Bench) -> None:
    bench.queue("j1")
    race(bench, failed("server", "no"), sent(["m"], "ok"))
    assert bench.delivery()["state"] == "sent"
    assert bench.logger.events("warning") == ["notifier.delivery_claim_lost"]
    assert [report["result"] for report in bench.counts.attempts] == ["sent"]


def test_that_a_mail_was_sent_is_true_also_after_another_took_over(bench: Bench) -> None:
    bench.queue("j1")
    race(bench, sent(["m"], "ok"), failed("server", "no"))
    assert bench.delivery()["state"] == "sent"
    bench.clock.advance(3600)
    assert bench.sender.run_once()["claimed"] == 0


def test_no_sender_of_a_process_claims_before_the_others_have_recorded(
    clock: FakeClock, logger: FakeLogger
) -> None:
    """Redis is away for longer than the lease; then the second sender took what the first had sent."""
    redis = FakeRedis()
    bench = Bench(redis, clock, logger)
    shared = bench.recorder()
    first, second = bench.another(recorder=shared), bench.another(recorder=shared)
    bench.queue("j1")

    def answer(mail: MailMessage) -> SendResult:
        redis.server.connected = False
        return sent(["m"], "ok")

    bench.answer(answer)
    with pytest.raises(RedisUnavailableError):
        first.run_once()
    clock.advance(LEASE.total_seconds() * 2)
    redis.server.connected = True
    assert second.run_once()["claimed"] == 0
    assert first.run_once()["claimed"] == 0
    assert bench.delivery()["state"] == "sent"
    assert len(bench.provider.batches) == 1
    assert logger.events() == ["notifier.delivery_sent"]


class Deaf(DeliveryStore):
    """Has recorded what it was told, but its first answer does not come back."""

    answers = False

    @override
    def settle(self, channel: str, token: str, settlements: Sequence[Settlement]) -> list[bool]:
        kept = super().settle(channel, token, settlements)
        if not self.answers:
            self.answers = True
            raise RedisUnavailableError("Timeout reading from socket")
        return kept


def test_a_mail_whose_recording_was_not_confirmed_is_told_as_sent(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger
) -> None:
    bench = Bench(redis, clock, logger)
    bench.store = Deaf(redis, clock)
    bench.queue("j1")
    sender = bench.another()
    with pytest.raises(RedisUnavailableError):
        sender.run_once()
    assert sender.run_once()["claimed"] == 0
    assert logger.events() == ["notifier.delivery_sent"]
    assert [report["result"] for report in bench.counts.attempts] == ["sent"]


# -- too little time ----------------------------------------------------------------------------------


def test_what_was_not_tried_is_sent_next_and_nothing_is_counted(bench: Bench) -> None:
    bench.queue("j1", "j2")
    bench.answer(lambda mail: not_tried() if mail["job_id"] == "j2" else sent(["m"], "ok"))
    bench.sender.run_once()
    put_back = bench.delivery("j2")
    assert (put_back["state"], put_back.get("due_at"), "attempt" in put_back) == ("waiting", NOON, False)
    (note,) = put_back.get("attempts", [])
    assert (note["result"], note["ambiguous"]) == ("no_time", False)
    assert bench.logger.events() == ["notifier.delivery_sent", "notifier.delivery_put_back"]
    assert bench.counts.attempts[1]["result"] == "no_time"
    bench.succeed()
    assert bench.sender.run_once()["claimed"] == 1
    assert bench.delivery("j2").get("attempt") == 1


def test_behind_a_slow_server_every_mail_leaves_once_however_long_it_takes(bench: Bench) -> None:
    """Forty mails at four seconds each, and each round begins with as many as it has time for."""
    jobs = [f"j{number:02}" for number in range(40)]
    bench.queue(*jobs)
    sender = bench.another(SlowProvider(bench), batch=20)
    while sender.run_once()["claimed"]:
        pass
    assert sorted(bench.provider.job_ids) == jobs
    assert {bench.delivery(job_id)["state"] for job_id in jobs} == {"sent"}
    assert {bench.delivery(job_id).get("attempt") for job_id in jobs} == {1}


class SlowProvider(ScriptedProvider):
    """Needs four seconds for each mail."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    @override
    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        return one_by_one(messages, self._one, self._bench.clock, seconds)

    def _one(self, message: MailMessage) -> SendResult:
        self._bench.clock.advance(4)
        return self._bench.provider.send([message])[0]


@pytest.mark.parametrize(("seconds", "sends"), [(15, True), (15.1, False), (600, False)])
def test_who_was_stopped_before_the_call_does_not_send_what_may_be_anothers(
    bench: Bench, seconds: float, sends: bool
) -> None:
    """A process may be stopped at any point (SIGSTOP, a paused machine), and wakes as if nothing had been."""
    bench.queue("j1")
    heir = bench.another(ScriptedProvider())

    def write(delivery: Delivery) -> MailMessage:
        bench.clock.advance(seconds)
        return MailWriter(bench.clock).write(delivery)

    bench.another(write=write).run_once()
    assert len(bench.provider.batches) == int(sends)
    assert len(bench.counts.batches) == int(sends)
    delivery = bench.delivery()
    assert (delivery["state"], "claim" in delivery) == ("sent" if sends else "waiting", False)
    assert heir.run_once()["claimed"] == int(not sends)
    assert bench.delivery()["state"] == "sent"


def test_who_was_stopped_while_another_took_over_says_so_and_sends_nothing(bench: Bench) -> None:
    bench.queue("j1")
    heirs = ScriptedProvider()
    heir = bench.another(heirs)

    def write(delivery: Delivery) -> MailMessage:
        bench.clock.advance(600)
        heir.run_once()
        return MailWriter(bench.clock).write(delivery)

    bench.another(write=write).run_once()
    assert (bench.provider.job_ids, heirs.job_ids) == ([], ["j1"])
    assert bench.logger.events("warning") == ["notifier.delivery_claim_lost"]


# -- what cannot be sent ------------------------------------------------------------------------------


def test_a_mail_that_cannot_be_written_keeps_no_other_back(bench: Bench) -> None:
    bench.queue("good", "bad")

    def write(delivery: Delivery) -> MailMessage:
        if delivery["job_id"] == "bad":
            raise RuntimeError("a fault of the template")
        return MailWriter(bench.clock).write(delivery)

    bench.another(write=write).run_once()
    assert bench.provider.job_ids == ["good"]
    assert bench.delivery("good")["state"] == "sent"
    bad = bench.delivery("bad")
    assert (bad["state"], bad.get("due_at")) == ("waiting", NOON + timedelta(seconds=5))
    assert bench.logger.events("error") == ["notifier.mail_not_written"]


def test_with_nothing_to_send_the_provider_is_not_called(bench: Bench) -> None:
    bench.queue("bad")

    def write(delivery: Delivery) -> MailMessage:
        raise RuntimeError("a fault of the template")

    bench.another(write=write).run_once()
    assert bench.provider.batches == []
    assert bench.counts.batches == []


def test_a_record_that_cannot_be_read_is_dead_and_says_so(bench: Bench) -> None:
    bench.queue("good", "bad")
    key = f"notify:delivery:{new_delivery('bad')['delivery_id']}"
    bench.redis.hset(key, {"facts": "{}"})
    assert bench.sender.run_once()["claimed"] == 2
    (record,) = deliveries_of(bench.redis, "bad")
    assert record["state"] == "dead"
    assert record["detail"].startswith("the record cannot be read: delivery.facts")
    assert bench.delivery("good")["state"] == "sent"
    assert bench.store.sizes(EMAIL) == {"waiting": 0, "dead": 1}
    assert bench.logger.events("error") == ["notifier.delivery_unreadable"]
    assert bench.counts.unsent == [{"state": "dead", "reason": "", "gathered": 0}]


@pytest.mark.parametrize("field", ["attempt", "interrupted", "gathered"])
def test_one_field_that_is_no_number_does_not_stop_the_queue(bench: Bench, field: str) -> None:
    """The script died in the middle: nothing was sent any more, and what it had claimed stayed claimed."""
    bench.queue("j1", "j2", "j3")
    bench.sender.run_once()
    bench.queue("j4", "j5", "j6")
    key = f"notify:delivery:{new_delivery('j5')['delivery_id']}"
    bench.redis.hset(key, {field: "x", "claim": "somebody's"})
    bench.sender.run_once()
    assert sorted(bench.provider.job_ids) == ["j1", "j2", "j3", "j4", "j6"]
    (record,) = deliveries_of(bench.redis, "j5")
    assert record["state"] == "dead"
    assert record["detail"].startswith(f"the record cannot be read: delivery.{field}")


def test_a_key_that_is_no_record_does_not_stop_the_queue_and_is_kept(bench: Bench) -> None:
    bench.queue("j1", "j2", "j3")
    delivery_id = new_delivery("j2")["delivery_id"]
    key = f"notify:delivery:{delivery_id}"
    bench.redis.delete(key)
    bench.redis.set(key, "somebody's text")
    bench.sender.run_once()
    assert sorted(bench.provider.job_ids) == ["j1", "j3"]
    assert bench.redis.get(f"notify:stray:{delivery_id}") == "somebody's text"
    assert bench.redis.hgetall(key)["state"] == "dead"
    assert bench.store.sizes(EMAIL) == {"waiting": 0, "dead": 1}
    assert keys_without_ttl(bench.redis) == ["notify:dead:email"]
    assert bench.logger.events("error") == ["notifier.delivery_unreadable"]


def test_an_unreadable_one_that_another_has_meanwhile_is_not_counted(bench: Bench) -> None:
    bench.queue("j1", "j2")
    unreadable = f"notify:delivery:{new_delivery('j1')['delivery_id']}"
    bench.redis.hset(unreadable, {"facts": "{}"})

    def answer(mail: MailMessage) -> SendResult:
        bench.redis.hset(unreadable, {"claim": "another"})
        return sent(["m"], "ok")

    bench.answer(answer)
    bench.sender.run_once()
    assert bench.counts.unsent == []
    assert bench.logger.events("warning") == ["notifier.delivery_claim_lost"]


def test_what_stops_the_provider_by_hand_and_is_no_number_is_none(bench: Bench) -> None:
    bench.redis.set("notify:pause:fake", "x")
    bench.redis.hset("notify:circuit:fake", {"state": "open", "next_probe": "x", "closed_at": "x"})
    bench.queue("j1")
    assert bench.sender.run_once()["verdict"] == "probe"


def test_a_round_says_when_to_come_back(bench: Bench) -> None:
    nothing: Round = {"verdict": "none", "claimed": 0}
    assert bench.sender.run_once() == nothing
    bench.queue("j1")
    bench.fail("server")
    bench.sender.run_once()
    assert bench.sender.run_once() == {
        "verdict": "none",
        "claimed": 0,
        "again_at": NOON + timedelta(seconds=5),
    }


def test_an_empty_bucket_puts_the_next_batch_off_until_there_is_a_permit(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger
) -> None:
    rule: RateRule = {"key": "notify:rate:test", "burst": 2, "interval": timedelta(milliseconds=100)}
    bench = Bench(redis, clock, logger)
    bench.queue("j1", "j2", "j3")
    sender = bench.another(batch=1, rate=rule)
    assert [sender.run_once()["verdict"] for _ in range(2)] == ["claimed", "claimed"]
    assert sender.run_once() == {
        "verdict": "limited",
        "claimed": 0,
        "again_at": NOON + timedelta(milliseconds=100),
    }
    assert len(bench.provider.batches) == 2
    clock.advance(0.1)
    assert sender.run_once()["verdict"] == "claimed"
