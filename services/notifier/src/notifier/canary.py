"""The notifier's own message through Redis: proof that the subscription hears, and how long that takes.

A subscription can be dead while both ends believe that it lives: a cut cable, a firewall that forgot the
connection. Nothing else would show that, for silence is what a quiet day sounds like. So every few seconds a
number is published on a channel that the same connection listens to. If it does not come back, the
notifier is deaf, says so, and subscribes anew on another connection.

The log needs no canary: it is asked, and answers or fails. See `LogFeed.read_at` and `LagWatch`.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from platform_core.clock import Clock
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient, Subscription
from platform_workers.redis.replies import LiveMessage
from typing_extensions import override

EVERY_SECONDS: Final = 5.0
"""How long after one canary the next one is sent, whether or not the first has come back."""

DEAF_SECONDS: Final = 10.0
"""Without a canary for this long the notifier counts as deaf: two in a row did not come back."""

CONFIRMATION_SECONDS: Final = 5.0
"""How long the server may take to confirm the subscription to the canary's channel."""


class CanaryObserver(Protocol):
    """Who counts canaries and subscriptions."""

    def subscribed(self) -> None:
        """There is a new subscription: the first one, or one in place of another that was lost."""

    def canary_came_back(self, seconds: float) -> None:
        """One came back, so long after it was sent."""

    def went_deaf(self) -> None:
        """None came back, and nothing else was heard; the subscription is given up for a new one."""


class Canary:
    """Sends canaries and notes which of them come back. Thread-safe: one thread sends, another one hears.

    Args:
        redis: where canaries are published. No key is made, so none is left behind.
        replica: the name of this process, no other's; its canaries are its own.
        clock: the present time.
        observer: counts.
        to_send: told that a canary is wanted at once: there is a new subscription to try.
    """

    def __init__(
        self,
        *,
        redis: RedisClient,
        replica: str,
        clock: Clock,
        observer: CanaryObserver,
        to_send: Callable[[], None],
    ) -> None:
        self.channel: Final = f"notify:canary:{replica}"
        self._redis = redis
        self._clock = clock
        self._observer = observer
        self._to_send = to_send
        self._lock = threading.Lock()
        self._number = 0
        self._answered = 0
        self._listening = False
        self._proven = False
        self._heard_at = 0.0
        self._sent_at: float | None = None
        self._unanswered_since: float | None = None

    def send_if_due(self) -> None:
        """Publish the next canary if it is time, and if there is a subscription to hear it.

        Raises:
            RedisUnavailableError: Redis does not answer; that tells nothing about the subscription.
        """
        now = self._clock.monotonic()
        with self._lock:
            too_early = self._sent_at is not None and now - self._sent_at < EVERY_SECONDS
            if too_early or not self._listening:
                return
            self._number += 1
            number = self._number
            self._sent_at = now
        self._redis.publish(self.channel, str(number))
        # Only now: while Redis itself stands still nobody is deaf, and a subscription that is kept hears
        # what is published when Redis goes on. The other thread may have heard it already.
        with self._lock:
            if self._answered < number and self._unanswered_since is None:
                self._unanswered_since = now

    def listens(self) -> None:
        """Note that there is a new subscription; nothing is proven of it yet."""
        with self._lock:
            self._listening = True
            self._heard_at = self._clock.monotonic()
            # Since when none has come back stays: a new subscription can be as deaf as the one before.
            self._sent_at = None
        self._observer.subscribed()
        self._to_send()

    def listens_no_more(self) -> None:
        """Note that the subscription was given up."""
        with self._lock:
            self._listening = self._proven = False

    def hear(self, message: LiveMessage) -> bool:
        """Note a message that came through the subscription; True if it was a canary, and is done with."""
        now = self._clock.monotonic()
        with self._lock:
            self._heard_at = now
            if message["channel"] != self.channel:
                return False
            # An older one is late by more than the time between two, and the newest is still to come.
            sent_at = self._sent_at
            is_newest = sent_at is not None and message["data"] == str(self._number).encode()
            if is_newest:
                self._proven, self._unanswered_since = True, None
                self._answered = self._number
        if sent_at is not None and is_newest:
            self._observer.canary_came_back(now - sent_at)
        return True

    def is_proven(self) -> bool:
        """Tell whether a canary came back through the present subscription."""
        with self._lock:
            return self._proven

    def unanswered_seconds(self) -> float:
        """Return for how long canaries have been sent and none came back; 0 if the last one did."""
        now = self._clock.monotonic()
        with self._lock:
            return 0.0 if self._unanswered_since is None else now - self._unanswered_since

    def is_deaf(self) -> bool:
        """Tell whether none came back for too long."""
        return self.unanswered_seconds() >= DEAF_SECONDS

    def give_up_if_deaf(self) -> None:
        """Give the subscription up if nothing at all came through it for too long.

        If other messages come, it lives and is only behind; a new one would lose what is on its way.

        Raises:
            RedisUnavailableError: it is given up; whoever holds it closes it and subscribes anew.
        """
        now = self._clock.monotonic()
        with self._lock:
            silent = now - self._heard_at
        if self.is_deaf() and silent >= DEAF_SECONDS:
            self._observer.went_deaf()
            raise RedisUnavailableError(
                f"the subscription is deaf: in {silent:.0f} s it heard nothing, not even its own canary"
            )


class CanaryRedis(RedisClient):
    """A connection whose subscriptions also hear the canary; nobody who uses one notices.

    Args:
        redis: the connection.
        canary: told what the subscriptions hear.
        clock: the present time.
    """

    def __init__(self, redis: RedisClient, canary: Canary, clock: Clock) -> None:
        super().__init__(redis.connection)
        self._redis = redis
        self._canary = canary
        self._clock = clock

    @override
    def subscription(self) -> Subscription:
        """Return a new subscription to the canary's channel alone, once it is told to listen."""
        return _CanarySubscription(self._redis.subscription(), self._canary, self._clock)


class _CanarySubscription(Subscription):
    def __init__(self, subscription: Subscription, canary: Canary, clock: Clock) -> None:
        self._subscription = subscription
        self._canary = canary
        self._clock = clock

    @override
    def listen_to(self, *, channels: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        """Listen to the canary first, so that the confirmations that follow are those of the caller."""
        self._subscription.listen_to(channels=[self._canary.channel])
        self._subscription.next_message(CONFIRMATION_SECONDS)
        self._subscription.listen_to(channels=channels, patterns=patterns)
        self._canary.listens()

    @override
    def next_message(self, timeout: float) -> LiveMessage | None:
        until = self._clock.monotonic() + timeout
        message = self._subscription.next_message(timeout)
        # To return None at once would be taken for silence, or for a confirmation.
        while message is not None and self._canary.hear(message):
            message = self._subscription.next_message(max(0.0, until - self._clock.monotonic()))
        if message is None:
            # Only now: what waits to be read, after a pause of the whole process, would be lost.
            self._canary.give_up_if_deaf()
        return message

    @override
    def close(self) -> None:
        self._canary.listens_no_more()
        self._subscription.close()
