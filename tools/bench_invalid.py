"""A flood of messages that are no events: `make bench-invalid`. Figures: `docs/performance.md`.

One real notifier hears a million of them, of every kind that `platform_workers.testing` knows,
half on a channel and half in the durable log, with a good event now and then. Its memory is looked at all the
while. At the end everything must have been counted, every good event must have brought its mail, and the
memory must be what it was.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypedDict

from bench_kit import Counted, RunningNotifier, TimedServer, machine, notifier, wait_until
from platform_core.job_events import (
    TURKIC,
    default_events_channel,
    default_events_log,
    encode_job_event,
    make_completed_event,
)
from platform_core.job_types import job_key
from platform_workers.domains import DOMAINS_KEY
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.invalid_messages import TEN_MEGABYTES, InvalidMessage, invalid_messages

CHANNEL: Final = default_events_channel(TURKIC)
LOG: Final = default_events_log(TURKIC)
CHUNK: Final = 1000
"""So many are sent, and counted, before the next: Redis cuts off who lags behind by 32 MB."""

GOOD_EVERY: Final = 1000
GROWTH: Final = 1.05
"""What the memory at the end may be of the memory after a quarter: the caches are warm by then."""

WARM: Final = 100_000
"""With fewer messages than this the caches are not warm after a quarter, and growth tells nothing."""

FLOOD: Final = 40_000
"""So many messages of 1 kB in one transaction are more than Redis keeps for a reader (32 MB)."""


class _Options(argparse.Namespace):
    messages: int
    big_every: int


class Sample(TypedDict):
    """How much was heard, and the notifier's memory (RSS, MiB) at that moment."""

    heard: int
    rss: float


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if something was not counted or not mailed, or if the memory grew."""
    parser = argparse.ArgumentParser(description="Let a notifier hear invalid messages and watch its memory.")
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many")
    parser.add_argument("--big-every", type=int, default=20_000, help="every how many one of 10 MB comes")
    options = parser.parse_args(arguments, _Options())
    print(machine())
    with tempfile.TemporaryDirectory() as name, EmbeddedRedis() as server:
        folder, redis = Path(name), server.client()
        redis.sadd(DOMAINS_KEY, TURKIC)
        with (
            TimedServer(folder / "ca.pem", delay=0.0) as mailtrap,
            notifier(server.url, mailtrap, folder) as running,
        ):
            wait_until(running.is_ready)
            begun = time.perf_counter()
            samples = [*hear(redis, running, options.messages, options.big_every)]
            seconds = time.perf_counter() - begun
            good = options.messages // GOOD_EVERY
            wait_until(lambda: len(mailtrap.mails) >= good)
            faults = [*report(samples, options.messages, seconds, running.counted(), running.usage()["cpu"])]
            print(f"good events in between: {good}, mails: {len(mailtrap.mails)}")
            faults += flood(redis, running, mailtrap)
        kept = {key: redis.connection.memory_usage(key) for key in redis.keys("notify:un*")}
        print(f"kept in Redis: {', '.join(f'{key} {size} bytes' for key, size in kept.items())}")
        redis.close()
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


def hear(redis: RedisClient, running: RunningNotifier, messages: int, big_every: int) -> Iterator[Sample]:
    """Send the messages chunk by chunk, each once the one before it was counted."""
    samples = invalid_messages(TURKIC)
    small = cycle([sample for sample in samples.values() if len(sample["data"]) < TEN_MEGABYTES])
    big = cycle([sample for sample in samples.values() if len(sample["data"]) >= TEN_MEGABYTES])
    yield {"heard": 0, "rss": running.usage()["rss"]}
    for sent in range(0, messages, CHUNK):
        chunk = [*islice(small, min(CHUNK, messages - sent))]
        if sent % big_every == 0:
            chunk[0] = next(big)
        send(redis, chunk, on_channel=sent % (2 * CHUNK) == 0)
        publish_good(redis, f"good-{sent}")
        wanted = sent + len(chunk)
        wait_until(partial(has_heard, running, wanted))
        yield {"heard": wanted, "rss": running.usage()["rss"]}


def send(redis: RedisClient, chunk: list[InvalidMessage], *, on_channel: bool) -> None:
    """Publish the messages, or append them to the log, in one go."""
    pipeline = redis.connection.pipeline(transaction=False)
    for message in chunk:
        if on_channel:
            pipeline.publish(CHANNEL, message["data"])
        else:
            pipeline.xadd(LOG, {"event": message["data"], "run": "1"}, maxlen=10_000)
    pipeline.execute()


def publish_good(redis: RedisClient, job_id: str) -> None:
    """Let a job of a foreign service end, which is told on the channel alone."""
    redis.hset(
        job_key(TURKIC, job_id),
        {
            "status": "completed",
            "context": '{"email":"anna@example.com"}',
            "notifications": '{"email":{"enabled":true,"on":["SUCCESS"]}}',
        },
    )
    event = make_completed_event(domain=TURKIC, job_id=job_id, user_id=7, result_id="r", result_bytes=5)
    redis.publish(CHANNEL, encode_job_event(event))


def has_heard(running: RunningNotifier, wanted: int) -> bool:
    """Tell whether so many messages were counted."""
    return heard_of(running.counted()) >= wanted


def heard_of(counted: Counted) -> int:
    """Return how many messages were counted that are no events known here."""
    return counted.total("notifier_undecodable_total") + counted.total(
        "notifier_events_total", type="unknown"
    )


def report(
    samples: list[Sample], messages: int, seconds: float, counted: Counted, cpu: float
) -> Iterator[str]:
    """Print what was seen; yield what is wrong with it."""
    heard = heard_of(counted)
    print(
        f"{heard} of {messages} counted in {seconds:.0f} s, {heard / seconds:.0f} a second;"
        f" {cpu:.0f} s of CPU of the notifier;"
        f" {counted.total('notifier_undecodable_total')} undecodable,"
        f" {counted.total('notifier_events_total', type='unknown')} unknown,"
        f" {counted.total('notifier_subscriptions_total')} subscription"
    )
    rss = [sample["rss"] for sample in samples]
    for share in (0, 0.01, 0.1, 0.25, 0.5, 0.75, 1):
        sample = samples[round(share * (len(samples) - 1))]
        print(f"memory after {sample['heard']:>9} messages: {sample['rss']:.1f} MiB")
    # A single look may meet a message of 10 MB in hand.
    tenth = max(1, len(rss) // 10)
    quarter = statistics.median(rss[len(rss) // 4 :][:tenth])
    end = statistics.median(rss[-tenth:])
    print(f"median after a quarter {quarter:.1f} MiB, at the end {end:.1f} MiB, highest {max(rss):.1f} MiB")
    if heard != messages:
        yield f"{messages - heard} messages were not counted"
    if messages >= WARM and end > quarter * GROWTH:
        yield f"the memory grew by {end - quarter:.1f} MiB"


def flood(redis: RedisClient, running: RunningNotifier, mailtrap: TimedServer) -> Iterator[str]:
    """Publish more at once than Redis keeps for a reader, and show what comes of it."""
    before, mails = running.counted(), len(mailtrap.mails)
    subscriptions = before.total("notifier_subscriptions_total")
    pipeline = redis.connection.pipeline(transaction=True)
    for _ in range(FLOOD):
        pipeline.publish(CHANNEL, b"x" * 1000)
    pipeline.execute()
    wait_until(lambda: running.counted().total("notifier_subscriptions_total") > subscriptions)
    publish_good(redis, "after-the-flood")
    wait_until(lambda: len(mailtrap.mails) > mails)
    after = running.counted()
    print(
        f"{FLOOD} messages of 1 kB at once: Redis cut the subscription, the notifier heard"
        f" {heard_of(after) - heard_of(before)} of them and subscribed anew"
        f" ({after.total('notifier_subscriptions_total')} subscriptions); the next good event was mailed;"
        f" memory {running.usage()['rss']:.1f} MiB"
    )
    if after.total("notifier_subscriptions_total") != subscriptions + 1:
        yield "it did not subscribe anew once"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
