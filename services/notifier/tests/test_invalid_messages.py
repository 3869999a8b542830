"""Whatever is published: it is counted, kept for the operator, and keeps no good event back."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from notifier_kit import complete_job, completed, foreign_job, get, mails, publish, settings_for, wait_until
from platform_core.clock import SystemClock
from platform_core.job_events import TURKIC, encode_job_event
from platform_notify.undecodable_store import KEPT_BYTES, UNDECODABLE_KEY, UNKNOWN_KEY, UndecodableStore
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis
from platform_workers.testing.invalid_messages import InvalidMessage, invalid_messages

from notifier.cli import run
from notifier.kept_messages import tell_published
from notifier.settings import read_settings
from notifier.wiring import build_service

SAMPLES = invalid_messages(TURKIC)
LOG = "turkic:events:log"


@contextmanager
def running(environ: dict[str, str]) -> Iterator[int]:
    """Run a notifier in this process; the value is the port of its health page."""
    service = build_service(read_settings(environ), threading.Event())
    service.start()
    try:
        wait_until(lambda: get(service.port, "/readyz")[0] == 200)
        yield service.port
    finally:
        service.stop()


def say_live(redis: RedisClient, data: bytes) -> None:
    redis.publish("turkic:events", data)


def say_in_the_log(redis: RedisClient, data: bytes) -> None:
    redis.connection.xadd(LOG, {"event": data, "run": "1"})


def kept_as(sample: InvalidMessage) -> tuple[int, str]:
    data = sample["data"]
    return len(data), data[:KEPT_BYTES].decode("utf-8", "backslashreplace")


@pytest.mark.parametrize(("feed", "say"), [("live", say_live), ("log", say_in_the_log)])
def test_every_kind_is_counted_and_kept_and_keeps_no_good_event_back(
    server: EmbeddedRedis,
    redis: RedisClient,
    tmp_path: Path,
    feed: str,
    say: Callable[[RedisClient, bytes], None],
) -> None:
    environ = {**settings_for(server.url, tmp_path), "NOTIFIER_DOMAINS": "turkic"}
    with running(environ) as port:
        for number, sample in enumerate(SAMPLES.values()):
            say(redis, sample["data"])
            foreign_job(redis, f"good-{number}")
            say(redis, encode_job_event(completed(f"good-{number}")).encode())
        wait_until(lambda: len(mails(tmp_path)) == len(SAMPLES))
        counted = get(port, "/metrics")[1].splitlines()
        assert get(port, "/readyz")[0] == 200
    kinds = Counter(sample["kind"] for sample in SAMPLES.values())
    assert f'notifier_undecodable_total{{feed="{feed}"}} {kinds["undecodable"]}.0' in counted
    assert f'notifier_events_total{{feed="{feed}",type="unknown"}} {kinds["unknown"]}.0' in counted
    assert "notifier_subscriptions_total 1.0" in counted
    store = UndecodableStore(redis, SystemClock())
    for kind, key in (("undecodable", UNDECODABLE_KEY), ("unknown", UNKNOWN_KEY)):
        kept = store.latest(key)[::-1]
        wanted = [kept_as(sample) for sample in SAMPLES.values() if sample["kind"] == kind]
        assert [(message["size"], message["data"]) for message in kept] == wanted
        assert {message["channel"] for message in kept} == {"turkic:events" if feed == "live" else LOG}
    if feed == "log":
        state = redis.xgroup_state(LOG, "notifier")
        assert state is not None
        assert (state["pending"], state.get("lag")) == (0, 0)


def test_a_flood_that_redis_cuts_off_is_heard_of_and_the_log_brings_what_was_missed(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    """Redis ends a subscription that lags by 32 MB; what it had not sent is gone from the channel."""
    with running(settings_for(server.url, tmp_path)) as port:
        flood = redis.connection.pipeline(transaction=True)
        for _ in range(40_000):
            flood.publish("turkic:events", b"x" * 1000)
        flood.execute()
        complete_job(redis, "ours")
        wait_until(lambda: len(mails(tmp_path)) == 1)
        wait_until(lambda: "notifier_subscriptions_total 2.0" in get(port, "/metrics")[1])
        foreign_job(redis, "theirs")
        publish(redis, completed("theirs"))
        wait_until(lambda: len(mails(tmp_path)) == 2)


# -- what the operator sees -----------------------------------------------------------------------------


def keep_some(redis: RedisClient) -> None:
    store = UndecodableStore(redis, SystemClock())
    data = b"\x1b[31m\xff not red"
    store.keep({"kind": "undecodable", "channel": "turkic:events", "reason": "no JSON", "data": data})
    store.keep(
        {"kind": "unknown", "channel": "turkic:events", "event_type": "a.b.c.v2", "data": "Ä".encode()}
    )


def test_the_operator_sees_what_was_passed_over(
    server: EmbeddedRedis, redis: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"REDIS_URL": server.url}
    keep_some(redis)
    assert run(["undecodable"], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Messages that nobody could decode, newest first; at most 100 are kept:"
    assert lines[2].endswith("  turkic:events  14 bytes")
    # Nothing that steers the terminal comes through.
    assert lines[3:] == ["  no JSON", "  '\\x1b[31m\\\\xff not red'"]
    assert run(["undecodable", "--unknown"], environ) == 0
    assert capsys.readouterr().out.splitlines()[3:] == ["  nobody here knows the type a.b.c.v2", "  'Ä'"]


def test_a_program_reads_them_and_clears_them_after(
    server: EmbeddedRedis, redis: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"REDIS_URL": server.url}
    keep_some(redis)
    assert run(["undecodable", "--json", "--clear"], environ) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told: dict[str, str] = json.loads(line)
    assert (told["reason"], told["data"]) == ("no JSON", "\x1b[31m\\xff not red")
    assert run(["undecodable"], environ) == 0
    assert run(["undecodable", "--unknown", "--clear"], environ) == 0
    assert run(["undecodable", "--unknown"], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "No message is kept that nobody could decode."
    assert lines[-1] == "No message is kept whose type nobody here knows."


def test_without_redis_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["undecodable"], {"REDIS_URL": f"unix://{tmp_path}/none"}) == 1
    assert capsys.readouterr().err.startswith("notifier: ")


def test_events_that_met_a_fault_are_published_again_when_somebody_listens(
    server: EmbeddedRedis, redis: RedisClient, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"REDIS_URL": server.url}
    store = UndecodableStore(redis, SystemClock())
    for number in range(2):
        store.keep_unhandled("turkic:events", "KeyError: 'x'", f'{{"n":{number}}}')
    assert run(["undecodable", "--unhandled", "--publish"], environ) == 1
    told = capsys.readouterr()
    assert told.out.startswith("Events that the notifier could not handle (--publish")
    assert told.err == "Nobody listens, so 2 stay as they are. Does a notifier run?\n"
    with LiveEvents(redis) as events:
        events.connect()
        store.keep_unhandled("turkic:events:log", "KeyError: 'x'", '{"n":2}')
        assert run(["undecodable", "--unhandled", "--publish"], environ) == 0
        found = [events.next(1.0) for _ in range(3)]
    assert [message["data"] for message in found if message and message["kind"] == "undecodable"] == [
        b'{"n":0}',
        b'{"n":1}',
        b'{"n":2}',
    ]
    assert capsys.readouterr().err == "3 events were published again.\n"
    assert run(["undecodable", "--unhandled"], environ) == 0
    assert capsys.readouterr().out == "No event is kept that the notifier could not handle.\n"


def test_one_that_was_published_again_is_told_as_one() -> None:
    assert list(tell_published(1, 1)) == ["1 event was published again."]


def test_only_unhandled_events_can_be_published_again() -> None:
    with pytest.raises(SystemExit):
        run(["undecodable", "--publish"], {"REDIS_URL": "redis://127.0.0.1:1/0"})
