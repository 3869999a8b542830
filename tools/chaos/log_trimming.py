"""The durable log as a victim: all notifiers are killed, and it is trimmed before they are back.

What they had not read by then is gone from the log, and only the job store still tells of it.
"""

from collections.abc import Sequence

from platform_core.job_events import default_events_log
from platform_workers.redis import connect

from chaos.blows import Blow
from chaos.counting import Outcome, read_outcomes
from chaos.jobs import CHAOS
from chaos.processes import Member, RedisMember


class TrimmedLog:
    """Trims the log, and remembers what it said.

    Attributes:
        outcomes: those that were trimmed away.
    """

    def __init__(self, url: str, redis: RedisMember, notifiers: Sequence[Member]) -> None:
        self.outcomes: list[Outcome] = []
        self._url = url
        self._redis = redis
        self._notifiers = notifiers

    def strike(self, blow: Blow) -> bool:
        """Kill every notifier; False if none ran."""
        hit = [notifier.strike(blow) for notifier in self._notifiers]
        return any(hit)

    def recover(self) -> None:
        """Trim the log, if Redis answers, and start the notifiers again."""
        if self._redis.answering:
            self._trim()
        for notifier in self._notifiers:
            notifier.recover()

    def _trim(self) -> None:
        redis = connect(self._url)
        found = list(read_outcomes(redis))
        if found:
            # The last one that was read stays: what comes after it was not seen here yet.
            self.outcomes += found[:-1]
            redis.connection.xtrim(default_events_log(CHAOS), minid=found[-1]["entry_id"], approximate=False)
        redis.close()
