"""Listening to channels."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from redis.client import PubSub

from platform_workers.redis.faults import translated_errors
from platform_workers.redis.replies import LiveMessage, text_of


class Subscription:
    """Channels one process listens to. After a lost connection it subscribes again by itself.

    Pub/sub is at most once: what was published while the connection was gone is not delivered. Who must
    not miss anything reads the durable log as well (`platform_workers.event_log`).
    """

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def listen_to(self, *, channels: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        """Add channels by name and by glob pattern.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        with translated_errors():
            if channels:
                self._pubsub.subscribe(*channels)
            if patterns:
                self._pubsub.psubscribe(*patterns)

    def next_message(self, timeout: float) -> LiveMessage | None:
        """Wait up to `timeout` seconds for a message; None when there was none (or only a confirmation).

        Raises:
            RedisUnavailableError: The connection is gone; calling again reconnects and subscribes anew.
        """
        with translated_errors():
            message: dict[str, object] | None = self._pubsub.get_message(
                ignore_subscribe_messages=True, timeout=timeout
            )
        if message is None:
            return None
        data = message["data"]
        return {
            "channel": text_of(message["channel"]),
            "data": data if isinstance(data, bytes) else text_of(data).encode(),
        }

    def close(self) -> None:
        """Give the connection back."""
        self._pubsub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
