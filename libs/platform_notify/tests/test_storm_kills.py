"""A mail storm while the notifier dies at any step: every outcome is told, none in two different mails.

The process dies before or after each single call to Redis in turn. Its heir hears everything again, as it
does from the log, and goes on with what is there.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Literal

import pytest
from pipeline_kit import NOON, ScriptedProvider, failed_event, foreign_job, heard, keys_without_ttl
from platform_core.job_events import TURKIC
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger
from typing_extensions import override

from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import RETENTION, DeliveryStore, dead_key
from platform_notify.digests import DigestPolicy
from platform_notify.intake import Intake
from platform_notify.providers.base import failed
from platform_notify.recording import AttemptReport, Recorder, UnsentReport
from platform_notify.replay import replay_dead
from platform_notify.sender import BatchReport, Sender
from platform_notify.writing import MailWriter

JOBS = ("j0", "j1", "j2", "j3")
DIGESTS: DigestPolicy = {
    "general": {"outcomes": "failures", "window": timedelta(minutes=10), "first": 1},
    "domains": {},
}
LEASE = timedelta(seconds=60)
CALL = timedelta(seconds=45)


class Died(BaseException):
    """The process ends at this point."""


class MortalRedis(RedisClient):
    """A client whose process dies at its n-th call: before it, or after it and before the answer."""

    def __init__(self, redis: RedisClient, dies_at: int, when: Literal["before", "after"]) -> None:
        super().__init__(redis.connection)
        self._left = dies_at
        self._when = when

    def _count(self, when: Literal["before", "after"]) -> None:
        if when == "before":
            self._left -= 1
        if self._left == 0 and when == self._when:
            raise Died

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        self._count("before")
        reply = super().run_script(call)
        self._count("after")
        return reply

    @override
    def hmget(self, key: str, fields: Sequence[str]) -> dict[str, str]:
        self._count("before")
        found = super().hmget(key, fields)
        self._count("after")
        return found

    @override
    def get(self, key: str) -> str | None:
        self._count("before")
        found = super().get(key)
        self._count("after")
        return found


class Nobody:
    """A `SendObserver` that does not care."""

    def batch_sent(self, report: BatchReport) -> None:
        """Nothing."""

    def attempt_recorded(self, report: AttemptReport) -> None:
        """Nothing."""

    def ended_unsent(self, report: UnsentReport) -> None:
        """Nothing."""


class Notifier:
    """Intake and sender on one client, as one process has them."""

    def __init__(self, redis: RedisClient, clock: FakeClock, provider: ScriptedProvider) -> None:
        self.clock = clock
        self.store = DeliveryStore(redis, clock)
        logger, tokens = FakeLogger(), count()
        self.intake = Intake(
            redis=redis,
            store=self.store,
            clock=clock,
            logger=logger,
            config={
                "channel": EMAIL,
                "provider_configured": True,
                "public_url": None,
                "max_age": RETENTION,
                "digests": DIGESTS,
            },
            wake=lambda: None,
        )
        self.sender = Sender(
            store=self.store,
            recorder=Recorder(
                channel=EMAIL,
                provider="fake",
                store=self.store,
                circuit=Circuit(redis, "fake", clock),
                clock=clock,
                logger=logger,
                observer=Nobody(),
            ),
            provider=provider,
            log=None,
            write=MailWriter(clock).write,
            clock=clock,
            logger=logger,
            observer=Nobody(),
            config={"channel": EMAIL, "batch": 10, "lease": LEASE, "call": CALL, "when_unsure": "resend"},
            jitter=lambda: 0.0,
            new_token=lambda: f"{id(tokens)}-{next(tokens)}",
        )

    def hear_everything(self) -> None:
        """Take every outcome in, as a group's reader does that begins with what is unfinished."""
        for job_id in JOBS:
            self.intake.take_logged(heard(failed_event(job_id)), run=1, ended_at=NOON)

    def live(self, seconds: int = 900) -> None:
        """Hear everything, and send for a quarter of an hour."""
        self.hear_everything()
        for _ in range(seconds // 30):
            self.sender.run_once()
            self.clock.advance(30)


def told_by(redis: RedisClient, clock: FakeClock, provider: ScriptedProvider) -> dict[str, set[str]]:
    """Return, for each job, the ids of the mails that told of it."""
    told: dict[str, set[str]] = {job_id: set() for job_id in JOBS}
    store = DeliveryStore(redis, clock)
    names = [mail["delivery_id"] for batch in provider.batches for mail in batch]
    for job_id in JOBS:
        (delivery,) = store.of_job(TURKIC, job_id)
        told[job_id] = {name for name in names if name in {delivery["delivery_id"], delivery.get("digest")}}
        assert delivery["state"] == "sent"
    return told


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_nothing_is_lost_and_nothing_told_in_two_mails(
    redis: RedisClient, when: Literal["before", "after"]
) -> None:
    for dies_at in count(1):
        redis.connection.flushall()
        for job_id in JOBS:
            foreign_job(redis, job_id, status="failed")
        clock, provider = FakeClock(), ScriptedProvider()
        lived = False
        try:
            Notifier(MortalRedis(redis, dies_at, when), clock, provider).live()
            lived = True
        except Died:
            pass
        Notifier(redis, clock, provider).live(2400)
        told = told_by(redis, clock, provider)
        assert {job_id: len(mails) for job_id, mails in told.items()} == dict.fromkeys(JOBS, 1), dies_at
        times = Counter(mail["delivery_id"] for batch in provider.batches for mail in batch)
        assert len(times) == 2, "an alert and a digest"
        assert sum(times.values()) <= 3, "at most the batch in flight comes twice"
        assert keys_without_ttl(redis) == []
        if lived:
            assert sum(times.values()) == 2
            # The three scripts of a mail, and three calls for each outcome.
            assert dies_at > 3 * len(JOBS) + 4
            return


def test_two_that_hear_the_same_at_the_same_time_make_the_same_digest(
    redis: RedisClient, clock: FakeClock
) -> None:
    for job_id in JOBS:
        foreign_job(redis, job_id, status="failed")
    provider = ScriptedProvider()
    one, other = Notifier(redis, clock, provider), Notifier(redis, clock, provider)
    for job_id in JOBS:
        taken = [
            notifier.intake.take_logged(heard(failed_event(job_id)), run=1, ended_at=NOON)["result"]
            for notifier in (one, other)
        ]
        assert taken == ["queued" if job_id == "j0" else "gathered", "known"]
    clock.advance(600)
    one.live()
    other.live()
    assert [len(batch) for batch in provider.batches] == [2]
    assert {len(mails) for mails in told_by(redis, clock, provider).values()} == {1}


def test_a_digest_that_was_refused_is_replayed_whole_though_the_replayer_dies(
    redis: RedisClient,
) -> None:
    for when in ("before", "after"):
        redis.connection.flushall()
        for job_id in JOBS:
            foreign_job(redis, job_id, status="failed")
        clock = FakeClock()
        provider = ScriptedProvider(lambda mail: failed("refused", "no"))
        Notifier(redis, clock, provider).live()
        assert redis.zcard(dead_key(EMAIL)) == 2
        mortal = DeliveryStore(MortalRedis(redis, 1, when), clock)
        with pytest.raises(Died):
            replay_dead(mortal, EMAIL, {})
        replay_dead(DeliveryStore(redis, clock), EMAIL, {})
        well = ScriptedProvider()
        Notifier(redis, clock, well).live()
        assert len([mail for batch in well.batches for mail in batch]) == 2
        assert {len(mails) for mails in told_by(redis, clock, well).values()} == {1}
