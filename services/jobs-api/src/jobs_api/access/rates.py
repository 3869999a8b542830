"""How fast somebody may ask: a token bucket for each key or address, in the memory of this process."""

from collections import OrderedDict
from typing import Final, NamedTuple

from platform_core.clock import Clock

MAX_BUCKETS: Final = 10_000
"""How many are remembered; the one that asked longest ago is forgotten first, and starts afresh."""


class _Bucket(NamedTuple):
    tokens: float
    at: float


class TokenBuckets:
    """Counts requests. A bucket holds one second's worth, and is full for whoever has not asked for a while.

    Args:
        per_second: how many requests a second; 0 for any number.
        clock: the time.
        max_buckets: how many askers are remembered.
    """

    def __init__(self, per_second: int, *, clock: Clock, max_buckets: int = MAX_BUCKETS) -> None:
        self._per_second = per_second
        self._clock = clock
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, who: str) -> float:
        """Count a request; return 0, or in how many seconds the next one will be taken."""
        if self._per_second == 0:
            return 0.0
        now = self._clock.monotonic()
        bucket = self._buckets.pop(who, _Bucket(float(self._per_second), now))
        tokens = min(float(self._per_second), bucket.tokens + (now - bucket.at) * self._per_second)
        granted = tokens >= 1.0
        self._buckets[who] = _Bucket(tokens - 1.0 if granted else tokens, now)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1.0 - tokens) / self._per_second

    def __len__(self) -> int:
        return len(self._buckets)
