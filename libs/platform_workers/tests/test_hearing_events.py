"""Live events and the durable log, on the fake and on a real server."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from platform_core.event_families import KnownEventV1, decode_event
from platform_core.job_events import (
    DIGITS,
    TURKIC,
    JobDomain,
    encode_job_event,
    job_domain,
    make_completed_event,
    make_progress_event,
    make_started_event,
)

from platform_workers.domains import DOMAINS_KEY
from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.event_log import READ_BYTES, EventLog, LogEntry
from platform_workers.event_messages import MAX_MESSAGE_BYTES, Message, read_message
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeRedis

GROUP = "readers"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture(params=["fake", "server"])
def redis(request: pytest.FixtureRequest) -> Iterator[RedisClient]:
    param: str = request.param
    if param == "fake":
        yield FakeRedis()
        return
    embedded: EmbeddedRedis = request.getfixturevalue("server")
    with closing(embedded.client()) as client:
        client.connection.flushall()
        yield client


def completed(job_id: str, domain: JobDomain = TURKIC) -> str:
    return encode_job_event(
        make_completed_event(domain=domain, job_id=job_id, user_id=1, result_id="r", result_bytes=1)
    )


def append(redis: RedisClient, event: str, *, domain: JobDomain = TURKIC, run: str = "1") -> str:
    redis.sadd(DOMAINS_KEY, domain)
    return redis.xadd(f"{domain}:events:log", {"event": event, "run": run}, max_length=1000)


class Idle:
    """Stands for `Event().wait`: remembers how long it was asked to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False


def event_log(
    redis: RedisClient, consumer: str = "one", domains: tuple[JobDomain, ...] = (), limit: int = 100
) -> EventLog:
    return EventLog(redis, group=GROUP, consumer=consumer, idle=Idle(), domains=domains, limit=limit)


def event_of(message: Message | None) -> KnownEventV1:
    assert message is not None
    assert message["kind"] == "event"
    return message["event"]


def reason_of(message: Message | None) -> str:
    assert message is not None
    assert message["kind"] == "undecodable"
    return message["reason"]


def job_ids(entries: list[LogEntry]) -> list[str]:
    return [event_of(entry["message"])["job_id"] for entry in entries]


# -- one message --------------------------------------------------------------------------------------


def test_an_event_comes_out_decoded_with_its_domain() -> None:
    text = completed("j1")
    assert read_message("turkic:events", TURKIC, text.encode()) == {
        "kind": "event",
        "channel": "turkic:events",
        "domain": TURKIC,
        "event": decode_event(text),
    }


def test_a_metrics_event_is_an_event_too() -> None:
    text = b'{"type":"digits.metrics.completed.v1","job_id":"j","user_id":1,"model_id":"m","val_acc":0.5}'
    assert event_of(read_message("digits:events", DIGITS, text))["type"] == "digits.metrics.completed.v1"


def test_a_later_version_is_unknown_and_not_undecodable() -> None:
    text = b'{"type":"turkic.job.completed.v2","anything":1}'
    assert read_message("turkic:events", TURKIC, text) == {
        "kind": "unknown",
        "channel": "turkic:events",
        "event_type": "turkic.job.completed.v2",
        "data": text,
    }


def test_an_event_of_another_domain_is_undecodable_on_this_channel() -> None:
    message = read_message("digits:events", DIGITS, completed("j1").encode())
    assert reason_of(message) == "$.type: expected an event of the domain digits, found another"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 10_000,
        completed("j").replace('"j"', '"a:b"').encode(),
    ],
)
def test_what_is_no_event_keeps_its_bytes_and_a_reason(data: bytes) -> None:
    message = read_message("turkic:events", TURKIC, data)
    assert message["kind"] == "undecodable"
    assert message["data"] == data
    assert message["reason"]


def test_a_message_beyond_the_limit_is_not_decoded() -> None:
    event = completed("j1")
    longest = event + " " * (MAX_MESSAGE_BYTES - len(event))
    assert read_message("turkic:events", TURKIC, longest.encode())["kind"] == "event"
    too_long = longest + " "
    assert reason_of(read_message("turkic:events", TURKIC, too_long.encode())) == "longer than 1048576 bytes"


BYTES: SearchStrategy[bytes] = st.binary(max_size=200)


def for_all_bytes(test: Callable[[bytes], None]) -> Callable[[], None]:
    """`given`, typed: hypothesis declares its decorator with `Callable[..., None]`."""
    decorate: Callable[[Callable[[bytes], None]], Callable[[], None]] = given(BYTES)
    return decorate(test)


@for_all_bytes
def test_no_bytes_raise(data: bytes) -> None:
    assert read_message("turkic:events", TURKIC, data)["kind"] in {"unknown", "undecodable"}


# -- live ---------------------------------------------------------------------------------------------


def test_all_domains_are_heard_when_none_is_named(redis: RedisClient) -> None:
    with LiveEvents(redis) as live:
        live.connect()
        redis.publish("turkic:events", completed("j1"))
        redis.publish("not_heard", completed("j2"))
        redis.publish("new_team:events", completed("j3", job_domain("new_team")))
        assert event_of(live.next(5))["job_id"] == "j1"
        assert event_of(live.next(5))["job_id"] == "j3"
        assert live.next(0) is None


def test_only_the_named_domains_are_heard(redis: RedisClient) -> None:
    with LiveEvents(redis, domains=[TURKIC, DIGITS]) as live:
        live.connect()
        redis.publish("new_team:events", completed("j1", job_domain("new_team")))
        redis.publish("digits:events", completed("j2", DIGITS))
        redis.publish("turkic:events", completed("j3"))
        assert [event_of(live.next(5))["job_id"] for _ in range(2)] == ["j2", "j3"]


@pytest.mark.parametrize("channel", ["Other:events", "a:b:events", ":events", "1a:events"])
def test_channels_of_other_programs_are_passed_over(redis: RedisClient, channel: str) -> None:
    with LiveEvents(redis) as live:
        live.connect()
        redis.publish(channel, b"\x00\x01")
        assert live.next(1) is None


def test_binary_messages_come_out_as_they_were(redis: RedisClient) -> None:
    with LiveEvents(redis) as live:
        live.connect()
        redis.publish("turkic:events", b"\xff\x00\n")
        message = live.next(5)
        assert message is not None
        assert message["kind"] == "undecodable"
        assert message["data"] == b"\xff\x00\n"


def test_next_subscribes_by_itself_and_close_unsubscribes(redis: RedisClient) -> None:
    live = LiveEvents(redis)
    assert not live.is_connected()
    assert live.next(0) is None
    assert live.is_connected()
    live.close()
    live.close()
    assert not live.is_connected()
    redis.publish("turkic:events", completed("lost"))
    assert live.next(0) is None
    redis.publish("turkic:events", completed("heard"))
    assert event_of(live.next(5))["job_id"] == "heard"
    live.close()


def test_a_message_between_two_confirmations_is_kept(server: EmbeddedRedis) -> None:
    """With several channels the first may have a message before the second is confirmed."""
    with closing(server.client()) as redis, LiveEvents(redis, domains=[TURKIC, DIGITS]) as live:
        subscription = redis.subscription()
        subscription.listen_to(channels=["turkic:events"])
        assert subscription.next_message(5) is None
        redis.publish("turkic:events", completed("early"))
        live._subscribe(subscription)
        live._subscription = subscription
        assert event_of(live.next(5))["job_id"] == "early"
        redis.publish("digits:events", completed("later", DIGITS))
        assert event_of(live.next(5))["job_id"] == "later"


def test_after_a_lost_connection_the_next_call_subscribes_anew(server: EmbeddedRedis) -> None:
    with closing(server.client()) as redis, LiveEvents(redis) as live:
        live.connect()
        redis.connection.client_kill_filter(_type="pubsub")
        with pytest.raises(RedisUnavailableError):
            live.next(5)
        assert not live.is_connected()
        assert live.next(0) is None
        assert live.is_connected()
        redis.publish("turkic:events", completed("j1"))
        assert event_of(live.next(5))["job_id"] == "j1"


def test_without_a_server_connecting_is_refused_and_leaves_nothing() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    live = LiveEvents(redis)
    with pytest.raises(RedisUnavailableError):
        live.connect()
    assert not live.is_connected()
    redis.server.connected = True
    live.connect()
    assert live.is_connected()
    live.close()


# -- the durable log ----------------------------------------------------------------------------------


def test_what_was_logged_before_the_first_reader_came_is_read(redis: RedisClient) -> None:
    entry_id = append(redis, completed("j1"), run="3")
    (entry,) = event_log(redis).next(0)
    assert entry["stream"] == "turkic:events:log"
    assert entry["entry_id"] == entry_id
    assert entry["domain"] == TURKIC
    assert entry["run"] == 3
    assert event_of(entry["message"])["job_id"] == "j1"


def test_every_domain_that_has_a_job_is_read_also_one_that_begins_later(redis: RedisClient) -> None:
    log = event_log(redis)
    append(redis, completed("j1"))
    assert job_ids(log.next(0)) == ["j1"]
    append(redis, completed("j2", DIGITS), domain=DIGITS)
    append(redis, completed("j3"))
    assert sorted(job_ids(log.next(0))) == ["j2", "j3"]


def test_only_the_named_domains_are_read(redis: RedisClient) -> None:
    append(redis, completed("j1"))
    append(redis, completed("j2", DIGITS), domain=DIGITS)
    assert job_ids(event_log(redis, domains=(DIGITS,)).next(0)) == ["j2"]


def test_without_a_domain_it_waits_by_the_given_means(redis: RedisClient) -> None:
    idle = Idle()
    redis.sadd(DOMAINS_KEY, "no domain!")
    log = EventLog(redis, group=GROUP, consumer="one", idle=idle)
    assert log.next(0.75) == []
    assert idle.waits == [0.75]
    assert log.states() == {}


def test_two_readers_share_the_entries(redis: RedisClient) -> None:
    for number in range(4):
        append(redis, completed(f"j{number}"))
    one, two = event_log(redis, "one", limit=2), event_log(redis, "two", limit=2)
    assert job_ids(one.next(0)) == ["j0", "j1"]
    assert job_ids(two.next(0)) == ["j2", "j3"]
    assert one.next(0) == []


def test_what_was_not_acknowledged_comes_back_and_what_was_does_not(redis: RedisClient) -> None:
    for number in range(5):
        append(redis, completed(f"j{number}"))
    append(redis, completed("d", DIGITS), domain=DIGITS)
    dead = event_log(redis, "dead")
    entries = dead.next(0)
    done = [entry for entry in entries if job_ids([entry])[0] in {"j0", "d"}]
    dead.acknowledge(done)
    heir = event_log(redis, "heir", limit=3)
    batches = [job_ids(batch) for batch in heir.unfinished(min_idle_seconds=0)]
    assert batches == [["j1", "j2", "j3"], ["j4"]]
    again = [entry for batch in heir.unfinished(min_idle_seconds=0) for entry in batch]
    heir.acknowledge(again)
    assert list(heir.unfinished(min_idle_seconds=0)) == []


def test_what_a_reader_was_given_just_now_is_left_to_it(redis: RedisClient) -> None:
    append(redis, completed("j1"))
    event_log(redis, "busy").next(0)
    assert list(event_log(redis, "heir").unfinished(min_idle_seconds=60)) == []


def test_the_state_tells_what_is_unread_and_what_is_unfinished(redis: RedisClient) -> None:
    log = event_log(redis, limit=2)
    for number in range(5):
        append(redis, completed(f"j{number}"))
    assert log.states() == {}
    first = log.next(0)
    log.acknowledge(first[:1])
    state = log.states()[TURKIC]
    assert state["pending"] == 1
    assert state["last_delivered_id"] == first[1]["entry_id"]


def test_the_lag_is_what_no_reader_has_had_yet(server: EmbeddedRedis) -> None:
    """The fake cannot tell a lag."""
    with closing(server.client()) as redis:
        redis.connection.flushall()
        for number in range(5):
            append(redis, completed(f"j{number}"))
        log = event_log(redis, limit=2)
        log.next(0)
        assert log.states()[TURKIC].get("lag") == 3


def test_groups_are_made_again_when_the_server_lost_them(redis: RedisClient) -> None:
    log = event_log(redis)
    append(redis, completed("j1"))
    log.acknowledge(log.next(0))
    redis.delete("turkic:events:log")
    append(redis, completed("j2"))
    assert job_ids(log.next(0)) == ["j2"]
    redis.delete("turkic:events:log")
    append(redis, completed("j3"))
    assert list(log.unfinished(min_idle_seconds=0)) == []
    assert job_ids(log.next(0)) == ["j3"]


def test_another_refusal_of_the_server_is_not_taken_for_a_missing_group(server: EmbeddedRedis) -> None:
    """The fake breaks where a server refuses."""
    with closing(server.client()) as redis:
        log = event_log(redis, domains=(TURKIC,))
        log.next(0)
        redis.delete("turkic:events:log")
        redis.set("turkic:events:log", "no stream")
        with pytest.raises(RedisCommandError):
            log.next(0)
        redis.connection.flushall()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"event": "{}", "run": "1"}, "$.type: expected str, found missing"),
        ({"run": "1"}, "the entry has no field `event`"),
        ({"event": completed("j1"), "run": "0"}, "the entry's field `run` is no number from 1"),
        ({"event": completed("j1"), "run": "one"}, "the entry's field `run` is no number from 1"),
    ],
)
def test_an_entry_that_is_no_event_comes_out_as_undecodable(
    redis: RedisClient, fields: dict[str, str], reason: str
) -> None:
    redis.sadd(DOMAINS_KEY, TURKIC)
    redis.xadd("turkic:events:log", fields, max_length=10)
    (entry,) = event_log(redis).next(0)
    assert reason_of(entry["message"]) == reason
    assert entry["run"] == 1


def test_an_entry_without_a_run_belongs_to_the_first(redis: RedisClient) -> None:
    redis.sadd(DOMAINS_KEY, TURKIC)
    redis.xadd("turkic:events:log", {"event": completed("j1")}, max_length=10)
    (entry,) = event_log(redis).next(0)
    assert (entry["run"], job_ids([entry])) == (1, ["j1"])


# -- names in the group -------------------------------------------------------------------------------


def readers(redis: RedisClient) -> list[str]:
    return sorted(reader["name"] for reader in redis.xgroup_readers("turkic:events:log", GROUP))


def test_a_reader_takes_its_name_off_when_it_leaves(redis: RedisClient) -> None:
    one, two = event_log(redis, "one"), event_log(redis, "two")
    append(redis, completed("j1"))
    one.acknowledge(one.next(0))
    append(redis, completed("j2"))
    assert job_ids(two.next(0)) == ["j2"]
    one.leave()
    two.leave()
    assert readers(redis) == ["two"], "what two has not acknowledged must stay"
    assert [job_ids(batch) for batch in one.unfinished(min_idle_seconds=0)] == [["j2"]]


def test_names_left_behind_are_cleared_once_they_are_idle(redis: RedisClient) -> None:
    dead, living = event_log(redis, "dead"), event_log(redis, "living")
    append(redis, completed("j1"))
    dead.acknowledge(dead.next(0))
    living.forget_readers(idle_seconds=3600)
    assert readers(redis) == ["dead"]
    living.forget_readers(idle_seconds=0)
    assert readers(redis) == []


def test_no_group_has_no_readers(redis: RedisClient) -> None:
    redis.sadd(DOMAINS_KEY, TURKIC)
    log = event_log(redis)
    log.leave()
    assert readers(redis) == []


def test_progress_and_started_are_events_like_others(redis: RedisClient) -> None:
    """The reader passes every event on; which ones count is for the caller to say."""
    with LiveEvents(redis) as live:
        live.connect()
        started = make_started_event(domain=TURKIC, job_id="j", user_id=1, queue="q")
        progress = make_progress_event(domain=TURKIC, job_id="j", user_id=1, progress=5)
        redis.publish("turkic:events", encode_job_event(started))
        redis.publish("turkic:events", encode_job_event(progress))
        assert event_of(live.next(5)) == started
        assert event_of(live.next(5)) == progress


# -- entries of any kind and length -------------------------------------------------------------------


def append_raw(redis: RedisClient, event: bytes) -> None:
    redis.sadd(DOMAINS_KEY, TURKIC)
    redis.connection.xadd("turkic:events:log", {"event": event})


def sizes_of(entries: list[LogEntry]) -> list[int]:
    return [len(entry["message"]["data"]) for entry in entries if entry["message"]["kind"] == "undecodable"]


def test_an_entry_that_is_no_text_comes_out_as_it_was_written(redis: RedisClient) -> None:
    """Otherwise bytes that the channel refuses would be mended on their way through the log."""
    data = completed("j1").replace('"r"', '"R"').encode().replace(b"R", b"\xff\xfe")
    append_raw(redis, data)
    (entry,) = event_log(redis).next(0)
    message = entry["message"]
    assert (message["kind"], message.get("data")) == ("undecodable", data)


def test_one_read_holds_a_few_megabytes_and_a_longer_entry_alone(redis: RedisClient) -> None:
    """A hundred entries of 10 MB are a gigabyte, if they come in one reply."""
    log = event_log(redis)
    big, huge = READ_BYTES // 3, READ_BYTES + 1
    for size in (huge, big, big, big, 10, 10):
        append_raw(redis, b"x" * size)
    assert [sizes_of(log.next(0.001)) for _ in range(4)] == [[huge], [big, big], [big, 10, 10], []]
    heir = event_log(redis, "two")
    taken = [sizes_of(entries) for entries in heir.unfinished(min_idle_seconds=0)]
    assert taken == [[huge], [big, big], [big, 10, 10]]


def test_the_fullest_log_decides_how_much_is_read(redis: RedisClient) -> None:
    append(redis, completed("j1", DIGITS), domain=DIGITS)
    for _ in range(3):
        append_raw(redis, b"x" * READ_BYTES)
    log = event_log(redis)
    assert [len(log.next(0.001)) for _ in range(4)] == [2, 1, 1, 0]


def test_what_was_trimmed_while_it_was_unfinished_takes_no_room(redis: RedisClient) -> None:
    log = event_log(redis)
    for number in range(3):
        append(redis, completed(f"j{number}"))
    assert len(log.next(0)) == 3
    redis.connection.xtrim("turkic:events:log", maxlen=1, approximate=False)
    heir = event_log(redis, "two")
    assert [job_ids(entries) for entries in heir.unfinished(min_idle_seconds=0)] == [["j2"]]
