"""The notifier's message to itself: it comes back while the subscription hears, and only then."""

from collections.abc import Callable, Iterator

import pytest
from notifier_kit import completed, heard, publish
from platform_core.job_events import DIGITS, TURKIC
from platform_workers.errors import RedisUnavailableError
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient, Subscription
from platform_workers.redis.replies import LiveMessage
from platform_workers.testing import FakeClock
from typing_extensions import override

from notifier.canary import DEAF_SECONDS, EVERY_SECONDS, Canary, CanaryRedis

AWAY = RedisUnavailableError("away")
SOON = 0.5


class Noted:
    """Notes what the canary tells, and how often one was wanted."""

    def __init__(self) -> None:
        self.round_trips: list[float] = []
        self.deaf = 0
        self.wanted = 0
        self.subscriptions = 0

    def subscribed(self) -> None:
        self.subscriptions += 1

    def canary_came_back(self, seconds: float) -> None:
        self.round_trips.append(seconds)

    def went_deaf(self) -> None:
        self.deaf += 1

    def want(self) -> None:
        self.wanted += 1


class Mute(RedisClient):
    """Publishes nothing: what is given to it is lost on the way, or refused, until it is well."""

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis.connection)
        self.fault: RedisUnavailableError | None = None
        self.well = False
        self.during: Callable[[], object] = list[str]
        self.given: list[str | bytes] = []

    @override
    def publish(self, channel: str, data: str | bytes) -> int:
        self.given.append(data)
        if self.fault is not None:
            raise self.fault
        self.during()
        return super().publish(channel, data) if self.well else 0


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def canary(redis: RedisClient, clock: FakeClock, noted: Noted) -> Canary:
    return Canary(redis=redis, replica="one", clock=clock, observer=noted, to_send=noted.want)


@pytest.fixture
def mute(redis: RedisClient) -> Mute:
    return Mute(redis)


@pytest.fixture
def lost(mute: Mute, clock: FakeClock, noted: Noted) -> Canary:
    """A canary that is never heard."""
    return Canary(redis=mute, replica="one", clock=clock, observer=noted, to_send=noted.want)


@pytest.fixture
def live(redis: RedisClient, canary: Canary, clock: FakeClock) -> Iterator[LiveEvents]:
    with LiveEvents(CanaryRedis(redis, canary, clock), domains=[TURKIC, DIGITS]) as events:
        yield events


def test_a_canary_comes_back_through_the_subscription_and_its_way_is_measured(
    canary: Canary, live: LiveEvents, clock: FakeClock, noted: Noted
) -> None:
    live.connect()
    assert noted.wanted == 1
    canary.send_if_due()
    clock.advance(0.25)
    assert not canary.is_proven()
    assert canary.unanswered_seconds() == 0.25
    assert live.next(SOON) is None
    assert noted.round_trips == [0.25]
    assert canary.is_proven()
    assert canary.unanswered_seconds() == 0.0


def test_events_pass_before_and_after_a_canary(redis: RedisClient, canary: Canary, live: LiveEvents) -> None:
    live.connect()
    publish(redis, completed("j1"))
    canary.send_if_due()
    publish(redis, completed("j2", DIGITS))
    assert [live.next(SOON), live.next(SOON)] == [heard(completed("j1")), heard(completed("j2", DIGITS))]
    assert canary.is_proven()


def test_every_domain_is_subscribed_once_it_is_connected(
    redis: RedisClient, canary: Canary, live: LiveEvents
) -> None:
    """The canary's own confirmation is not taken for that of a domain."""
    live.connect()
    assert redis.publish("digits:events", "x") == 1
    assert redis.publish(canary.channel, "x") == 1


def test_nothing_is_sent_before_somebody_listens(lost: Canary, mute: Mute) -> None:
    lost.send_if_due()
    assert mute.given == []
    assert lost.unanswered_seconds() == 0.0


def test_the_next_one_is_sent_after_a_while_whether_or_not_the_first_came_back(
    lost: Canary, mute: Mute, clock: FakeClock
) -> None:
    lost.listens()
    lost.send_if_due()
    clock.advance(EVERY_SECONDS - 0.1)
    lost.send_if_due()
    assert mute.given == ["1"]
    clock.advance(0.1)
    lost.send_if_due()
    assert mute.given == ["1", "2"]
    assert lost.unanswered_seconds() == EVERY_SECONDS


def test_one_that_was_lost_makes_nobody_deaf_if_the_next_comes_back(
    lost: Canary, clock: FakeClock, noted: Noted
) -> None:
    lost.listens()
    lost.send_if_due()
    clock.advance(EVERY_SECONDS)
    lost.send_if_due()
    assert lost.hear({"channel": lost.channel, "data": b"2"})
    clock.advance(DEAF_SECONDS)
    assert not lost.is_deaf()
    assert noted.round_trips == [0.0]


def test_an_old_one_is_no_proof(lost: Canary, clock: FakeClock, noted: Noted) -> None:
    lost.listens()
    lost.send_if_due()
    clock.advance(EVERY_SECONDS)
    lost.send_if_due()
    assert lost.hear({"channel": lost.channel, "data": b"1"})
    assert not lost.is_proven()
    assert lost.unanswered_seconds() == EVERY_SECONDS
    assert noted.round_trips == []


def test_one_that_nobody_sent_is_no_proof(lost: Canary, noted: Noted) -> None:
    lost.listens()
    assert lost.hear({"channel": lost.channel, "data": b"0"})
    assert not lost.is_proven()
    assert noted.round_trips == []


def test_a_subscription_that_hears_nothing_is_given_up(lost: Canary, clock: FakeClock, noted: Noted) -> None:
    lost.listens()
    lost.send_if_due()
    clock.advance(DEAF_SECONDS - 0.1)
    lost.give_up_if_deaf()
    clock.advance(0.1)
    assert lost.is_deaf()
    with pytest.raises(RedisUnavailableError, match="in 10 s it heard nothing"):
        lost.give_up_if_deaf()
    assert noted.deaf == 1


def test_one_that_hears_other_messages_is_only_behind(lost: Canary, clock: FakeClock, noted: Noted) -> None:
    """A new subscription would lose what is on its way to this one."""
    lost.listens()
    lost.send_if_due()
    clock.advance(DEAF_SECONDS)
    assert not lost.hear({"channel": "turkic:events", "data": b"{}"})
    lost.give_up_if_deaf()
    assert lost.is_deaf()
    assert noted.deaf == 0


def test_a_deaf_ear_subscribes_anew_and_hears_again(
    redis: RedisClient, clock: FakeClock, noted: Noted, lost: Canary, mute: Mute
) -> None:
    with LiveEvents(CanaryRedis(redis, lost, clock)) as live:
        live.connect()
        lost.send_if_due()
        clock.advance(DEAF_SECONDS)
        with pytest.raises(RedisUnavailableError):
            live.next(SOON)
        assert not live.is_connected()
        live.connect()
        # It is deaf until it is proven to hear, and it gets its time to prove that.
        assert live.next(SOON) is None
        assert lost.is_deaf()
        assert noted.wanted == 2
        assert not lost.is_proven()
        mute.well = True
        lost.send_if_due()
        publish(redis, completed())
        assert live.next(SOON) == heard(completed())
        assert lost.is_proven()
        assert not lost.is_deaf()


def test_what_waits_to_be_read_is_heard_after_a_pause_of_the_process(
    redis: RedisClient, clock: FakeClock, lost: Canary
) -> None:
    with LiveEvents(CanaryRedis(redis, lost, clock)) as live:
        live.connect()
        lost.send_if_due()
        publish(redis, completed())
        clock.advance(DEAF_SECONDS)
        assert live.next(SOON) == heard(completed())


def test_nobody_is_deaf_while_redis_stands_still(lost: Canary, mute: Mute, clock: FakeClock) -> None:
    deaf: list[bool] = []

    def stand_still() -> None:
        clock.advance(DEAF_SECONDS)
        deaf.append(lost.is_deaf())

    mute.during = stand_still
    lost.listens()
    lost.send_if_due()
    assert deaf == [False]


def test_one_that_is_heard_before_the_sender_goes_on_is_heard(
    lost: Canary, mute: Mute, clock: FakeClock
) -> None:
    mute.during = lambda: lost.hear({"channel": lost.channel, "data": b"1"})
    lost.listens()
    lost.send_if_due()
    clock.advance(1)
    assert lost.is_proven()
    assert lost.unanswered_seconds() == 0.0


def test_a_connection_that_the_server_cut_hears_again(
    redis: RedisClient, clock: FakeClock, canary: Canary, live: LiveEvents, noted: Noted
) -> None:
    live.connect()
    redis.connection.client_kill_filter(_type="pubsub")
    with pytest.raises(RedisUnavailableError):
        live.next(SOON)
    assert not canary.is_proven()
    live.connect()
    canary.send_if_due()
    publish(redis, completed())
    assert live.next(SOON) == heard(completed())
    assert canary.is_proven()
    assert noted.subscriptions == 2


def test_a_publish_that_fails_tells_nothing_about_the_subscription(
    lost: Canary, mute: Mute, clock: FakeClock
) -> None:
    lost.listens()
    mute.fault = AWAY
    with pytest.raises(RedisUnavailableError):
        lost.send_if_due()
    assert lost.unanswered_seconds() == 0.0
    mute.fault = None
    clock.advance(EVERY_SECONDS)
    lost.send_if_due()
    clock.advance(1)
    mute.fault = AWAY
    clock.advance(EVERY_SECONDS)
    with pytest.raises(RedisUnavailableError):
        lost.send_if_due()
    assert lost.unanswered_seconds() == EVERY_SECONDS + 1


def test_no_key_is_left(redis: RedisClient, canary: Canary, live: LiveEvents) -> None:
    live.connect()
    canary.send_if_due()
    live.next(SOON)
    assert redis.keys("*") == []


class Talkative(Subscription):
    """Gives one canary after the other; each call takes a second of its timeout."""

    def __init__(self, channel: str, clock: FakeClock) -> None:
        self._channel = channel
        self._clock = clock
        self.timeouts: list[float] = []

    @override
    def next_message(self, timeout: float) -> LiveMessage | None:
        self.timeouts.append(timeout)
        self._clock.advance(min(1.0, timeout))
        return {"channel": self._channel, "data": b"0"} if timeout else None


class Given(RedisClient):
    """Gives out the subscription of the test."""

    def __init__(self, redis: RedisClient, subscription: Subscription) -> None:
        super().__init__(redis.connection)
        self._given = subscription

    @override
    def subscription(self) -> Subscription:
        return self._given


def test_canaries_do_not_make_anybody_wait_for_longer(
    redis: RedisClient, canary: Canary, clock: FakeClock
) -> None:
    talkative = Talkative(canary.channel, clock)
    assert CanaryRedis(Given(redis, talkative), canary, clock).subscription().next_message(2.5) is None
    assert talkative.timeouts == [2.5, 1.5, 0.5, 0.0]
