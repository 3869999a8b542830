"""A provider's circuit and its pauses."""

from datetime import timedelta

import pytest
from pipeline_kit import NOON, keys_without_ttl
from platform_core.errors import DecodeError
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock

from platform_notify.circuit import (
    DEFAULT_PAUSE,
    Circuit,
    CircuitChange,
    circuit_key,
    decide_circuit,
    decide_pause,
    pause_key,
    why_refused,
)
from platform_notify.providers.base import ErrorClass, SendResult, failed, sent


def results(*classes: str) -> list[SendResult]:
    words: dict[str, ErrorClass] = {
        "connect": "connect", "timeout": "timeout", "rate_limited": "rate_limited", "server": "server",
        "refused": "refused", "auth": "auth", "unexpected": "unexpected", "no_time": "no_time",
    }  # fmt: skip
    return [sent([], "ok") if name == "sent" else failed(words[name], f"says {name}") for name in classes]


@pytest.mark.parametrize(
    ("classes", "change"),
    [
        ((), "keep"),
        (("sent",), "close"),
        (("refused",), "close"),
        (("auth",), "open"),
        (("sent", "auth"), "open"),
        (("connect",), "keep"),
        (("timeout",), "keep"),
        (("rate_limited",), "keep"),
        (("server",), "keep"),
        (("unexpected",), "keep"),
        (("server", "sent"), "close"),
        (("no_time",), "keep"),
        (("no_time", "sent"), "close"),
    ],
)
def test_what_results_mean_for_the_circuit(classes: tuple[str, ...], change: CircuitChange) -> None:
    assert decide_circuit(results(*classes)) == change


def test_the_longest_wait_asked_for_with_a_429_holds_for_all() -> None:
    asked: list[SendResult] = [
        failed("rate_limited", "slow down", retry_after=20.0),
        failed("rate_limited", "slow down", retry_after=40.0),
        failed("server", "broken", retry_after=900.0),
    ]
    assert decide_pause(asked) == timedelta(seconds=40)
    assert decide_pause(results("rate_limited")) == DEFAULT_PAUSE
    assert decide_pause(results("sent", "server")) == timedelta(0)


def test_why_the_account_was_refused() -> None:
    assert why_refused(results("sent", "auth")) == "says auth"
    assert why_refused(results("sent", "server")) == ""


def test_one_caller_opens_it_and_one_closes_it(redis: RedisClient, clock: FakeClock) -> None:
    one, two = Circuit(redis, "mailtrap", clock), Circuit(redis, "mailtrap", clock)
    assert one.state() == {"state": "closed"}
    assert one.open("401 Unauthorized")
    clock.advance(10)
    assert not two.open("401 again")
    assert two.state() == {"state": "open", "opened_at": NOON, "why": "401 again"}
    clock.advance(10)
    assert two.close()
    assert not one.close()
    assert one.state() == {"state": "closed", "closed_at": NOON + timedelta(seconds=20)}
    assert keys_without_ttl(redis) == []


def test_a_circuit_that_opens_again_stays_until_it_is_closed(redis: RedisClient, clock: FakeClock) -> None:
    circuit = Circuit(redis, "mailtrap", clock)
    circuit.open("401")
    circuit.close()
    assert circuit.open("401")
    assert redis.ttl(circuit_key("mailtrap")) == -1
    assert circuit.state()["state"] == "open"


def test_each_provider_has_its_own(redis: RedisClient, clock: FakeClock) -> None:
    Circuit(redis, "smtp", clock).open("535")
    assert Circuit(redis, "mailtrap", clock).state() == {"state": "closed"}


def test_a_pause_ends_by_itself_and_a_shorter_one_does_not_cut_it(
    redis: RedisClient, clock: FakeClock
) -> None:
    circuit = Circuit(redis, "mailtrap", clock)
    key = pause_key("mailtrap")
    circuit.pause(timedelta(seconds=30))
    circuit.pause(timedelta(seconds=5))
    assert redis.get(key) == str(1767355230000)
    assert 25 < redis.ttl(key) <= 30
    circuit.pause(timedelta(seconds=60))
    assert redis.get(key) == str(1767355260000)


def test_a_pause_of_no_length_is_none(redis: RedisClient, clock: FakeClock) -> None:
    Circuit(redis, "mailtrap", clock).pause(timedelta(0))
    assert redis.keys("notify:*") == []


def test_what_is_no_circuit_is_refused(redis: RedisClient, clock: FakeClock) -> None:
    redis.hset(circuit_key("mailtrap"), {"state": "ajar"})
    with pytest.raises(DecodeError, match=r"circuit\.state"):
        Circuit(redis, "mailtrap", clock).state()


def test_a_pause_is_told_until_it_is_over(redis: RedisClient, clock: FakeClock) -> None:
    circuit = Circuit(redis, "mailtrap", clock)
    until = clock.now() + timedelta(minutes=50)
    circuit.pause(timedelta(minutes=50))
    assert circuit.state() == {"state": "closed", "paused_until": until}
    clock.advance(50 * 60)
    assert circuit.state() == {"state": "closed"}


@pytest.mark.parametrize("text", ["soon", "-1", "٣", "9" * 30])
def test_a_pause_that_somebody_wrote_by_hand_is_none(redis: RedisClient, clock: FakeClock, text: str) -> None:
    redis.set(pause_key("mailtrap"), text)
    assert Circuit(redis, "mailtrap", clock).state() == {"state": "closed"}
