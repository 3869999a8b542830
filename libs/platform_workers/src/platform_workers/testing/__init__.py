"""Testing kit: a fake that runs the real scripts, a real embedded server, and recorders.

`FakeRedis` and `EmbeddedRedis` give the same `RedisClient`; one contract suite of this package runs on both.
"""

from platform_workers.testing.embedded_redis import EmbeddedRedis
from platform_workers.testing.fakes import FakeClock, FakeJobRun, FakeLogger, FakeQueue, FakeRedis, LogLine
from platform_workers.testing.golden_payloads import golden_payload_faults

__all__ = [
    "EmbeddedRedis",
    "FakeClock",
    "FakeJobRun",
    "FakeLogger",
    "FakeQueue",
    "FakeRedis",
    "LogLine",
    "golden_payload_faults",
]
