"""Hearing job events live, from the channels. What is published while nobody listens is gone.

```python
with LiveEvents(redis) as live:
    live.connect()
    heard = live.next(timeout=1.0)
```

Who must not miss an outcome reads the durable log as well (`event_log`) and handles a repeat as nothing new.
"""

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from platform_core.errors import DecodeError, PlatformError
from platform_core.job_events import JobDomain, default_events_channel, job_domain

from platform_workers.event_messages import Message, read_message
from platform_workers.redis import RedisClient, Subscription
from platform_workers.redis.replies import LiveMessage

ALL_CHANNELS: Final = "*:events"

CONFIRMATION_SECONDS: Final = 5.0
"""How long to wait for the server to confirm a subscription."""


class LiveEvents:
    """The events that are published from now on, on the channels of some domains or of all.

    Args:
        redis: the connection.
        domains: whose events; empty for every domain, also those that begin later.
    """

    def __init__(self, redis: RedisClient, *, domains: Sequence[JobDomain] = ()) -> None:
        self._redis = redis
        self._channels = [default_events_channel(domain) for domain in domains]
        self._subscription: Subscription | None = None
        self._early: deque[LiveMessage] = deque()

    def is_connected(self) -> bool:
        """Tell whether there is a subscription, as far as is known here."""
        return self._subscription is not None

    def connect(self) -> None:
        """Subscribe; what is published after this returns is heard. Nothing happens if it is done already.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        self._connected()

    def next(self, timeout: float) -> Message | None:
        """Wait up to `timeout` seconds for a message; None when there was none.

        Other programs may use channels that end in `:events` too; what is published there is passed over.

        Raises:
            RedisUnavailableError: the connection is gone, and so is what is published until the next
                call, which subscribes anew.
        """
        subscription = self._connected()
        if self._early:
            return _read_live(self._early.popleft())
        try:
            message = subscription.next_message(timeout)
        except PlatformError:
            self.close()
            raise
        return None if message is None else _read_live(message)

    def close(self) -> None:
        """Unsubscribe and give the connection back."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> Subscription:
        if self._subscription is None:
            subscription = self._redis.subscription()
            try:
                self._subscribe(subscription)
            except PlatformError:
                subscription.close()
                raise
            self._subscription = subscription
        return self._subscription

    def _subscribe(self, subscription: Subscription) -> None:
        if self._channels:
            subscription.listen_to(channels=self._channels)
        else:
            subscription.listen_to(patterns=[ALL_CHANNELS])
        # The server confirms each channel. Until then it may be busy with what others sent before.
        confirmed = 0
        while confirmed < max(1, len(self._channels)):
            message = subscription.next_message(CONFIRMATION_SECONDS)
            if message is None:
                confirmed += 1
            else:
                self._early.append(message)


def _read_live(message: LiveMessage) -> Message | None:
    channel = message["channel"]
    try:
        domain = job_domain(channel.removesuffix(":events"))
    except DecodeError:
        return None
    return read_message(channel, domain, message["data"])
