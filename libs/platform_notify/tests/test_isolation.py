"""A provider that hangs, breaks or raises takes nothing from another one on the same Redis."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from statistics import median
from time import perf_counter

import pytest
from pipeline_kit import ScriptedProvider, new_delivery
from platform_core.clock import SystemClock
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeLogger

from platform_notify.circuit import Circuit
from platform_notify.delivery_store import DeliveryStore
from platform_notify.guarded_provider import GuardedProvider
from platform_notify.messages import MailMessage
from platform_notify.providers.base import SendResult, failed, sent
from platform_notify.recording import AttemptReport, Recorder, UnsentReport
from platform_notify.sender import BatchReport, Sender
from platform_notify.writing import MailWriter

MAILS = 40
DEADLINE = 60.0
CALL_SECONDS = 10.0
"""How long a call may hang: long, so that what waits for one is told from what a busy machine makes wait."""


class Reached:
    """Says when a provider was given a mail for the first time, or a mail was recorded."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.recorded = threading.Semaphore(0)

    def batch_sent(self, report: BatchReport) -> None: ...

    def attempt_recorded(self, report: AttemptReport) -> None:
        self.recorded.release()

    def ended_unsent(self, report: UnsentReport) -> None: ...


@contextmanager
def sending(
    redis: RedisClient, name: str, answer: Callable[[MailMessage], SendResult]
) -> Iterator[tuple[DeliveryStore, Reached]]:
    """Run a sender of its own channel and provider on a thread of its own."""
    clock, store, reached = SystemClock(), DeliveryStore(redis, SystemClock()), Reached()
    tokens = count()

    def noted(mail: MailMessage) -> SendResult:
        reached.begun.set()
        return answer(mail)

    provider = GuardedProvider(
        ScriptedProvider(noted, name), deadline_seconds=CALL_SECONDS, logger=FakeLogger()
    )
    sender = Sender(
        store=store,
        recorder=Recorder(
            channel=name,
            provider=name,
            store=store,
            circuit=Circuit(redis, name, clock),
            clock=clock,
            logger=FakeLogger(),
            observer=reached,
        ),
        provider=provider,
        log=None,
        write=MailWriter(clock).write,
        clock=clock,
        logger=FakeLogger(),
        observer=reached,
        config={
            "channel": name,
            "batch": 10,
            "lease": timedelta(seconds=75),
            "call": timedelta(seconds=60),
            "when_unsure": "resend",
        },
        jitter=lambda: 0.0,
        new_token=lambda: f"{name}-{next(tokens)}",
    )
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.001):
            sender.run_once()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield store, reached
    finally:
        stopping.set()
        thread.join(DEADLINE)
        provider.close()


def latencies(redis: RedisClient, prefix: str) -> list[float]:
    """Return the seconds from queueing a mail to its being recorded as sent, for many mails one by one."""
    waits: list[float] = []
    with sending(redis, "good", lambda mail: sent(["m"], "ok")) as (store, reached):
        for number in range(MAILS):
            begun = perf_counter()
            store.add(new_delivery(f"{prefix}{number}", channel="good"))
            assert reached.recorded.acquire(timeout=DEADLINE)
            waits.append(perf_counter() - begun)
    return waits


def raise_anything(_mail: MailMessage) -> SendResult:
    raise Exception("bare")


@pytest.mark.parametrize("fault", ["hangs", "500", "raises", "all at once"])
def test_another_providers_latency_is_unchanged(real_redis: RedisClient, fault: str) -> None:
    release = threading.Event()

    def hang(_mail: MailMessage) -> SendResult:
        release.wait(DEADLINE)
        return sent([], "at last")

    faults: dict[str, Callable[[MailMessage], SendResult]] = {
        "hangs": hang,
        "500": lambda mail: failed("server", "HTTP 500", ambiguous=True),
        "raises": raise_anything,
    }
    alone = latencies(real_redis, "alone-")
    with ExitStack() as stack:
        for name, answer in faults.items():
            if fault in {name, "all at once"}:
                store, reached = stack.enter_context(sending(real_redis, name, answer))
                # Far more than one batch, so that it always has more to be busy with.
                for number in range(50):
                    store.add(new_delivery(f"{name}-{number}", channel=name))
                assert reached.begun.wait(DEADLINE)
        beside = latencies(real_redis, "beside-")
        release.set()
    # A shared machine is never quiet; what this must tell apart is milliseconds from the seconds of a hanging
    # call or of a retry.
    assert median(beside) < median(alone) + 1
    assert max(beside) < max(alone) + 0.8 * CALL_SECONDS
