"""The durable logs as a victim: all notifiers are killed, and they are trimmed before they are back.

What they had not read by then is gone from the log, and only the job store still tells of it.
"""

from collections.abc import Sequence

from platform_core.job_events import JobDomain, default_events_log
from platform_workers.log_gaps import id_parts
from platform_workers.redis import RedisClient, connect
from platform_workers.redis.replies import text_of

from chaos.blows import Blow
from chaos.jobs import QUEUES
from chaos.log_reading import Logged, read_log
from chaos.processes import Member, RedisMember
from chaos.settling import GROUP


class TrimmedLog:
    """Trims the logs, and remembers what they said.

    Attributes:
        entries: those that were trimmed away.
        unread: job and run of those that no notifier had finished by then. Where the job has been run again
            since, nothing tells of that run any more.
    """

    def __init__(self, url: str, redis: RedisMember, notifiers: Sequence[Member]) -> None:
        self.entries: list[Logged] = []
        self.unread: set[tuple[str, int]] = set()
        self._url = url
        self._redis = redis
        self._notifiers = notifiers

    def strike(self, blow: Blow) -> bool:
        """Kill every notifier; False if none ran."""
        hit = [notifier.strike(blow) for notifier in self._notifiers]
        return any(hit)

    def recover(self) -> None:
        """Trim the logs, if Redis answers, and start the notifiers again."""
        if self._redis.answering:
            redis = connect(self._url)
            for domain in QUEUES:
                self._trim(redis, domain)
            redis.close()
        for notifier in self._notifiers:
            notifier.recover()

    def _trim(self, redis: RedisClient, domain: JobDomain) -> None:
        log, found = default_events_log(domain), list(read_log(redis, domain))
        if not found:
            return
        # The last one that was read stays: what comes after it was not seen here yet.
        gone, kept_from = found[:-1], found[-1]["entry_id"]
        state = redis.xgroup_state(log, GROUP)
        read_to = "0-0" if state is None else state["last_delivered_id"]
        in_hand = set[str]()
        if state is not None and state["pending"]:
            pending = redis.connection.xpending_range(log, GROUP, "-", "+", state["pending"])
            in_hand = {text_of(entry["message_id"]) for entry in pending}
        self.entries += gone
        self.unread |= {
            (entry["job_id"], entry["run"])
            for entry in gone
            if id_parts(entry["entry_id"]) > id_parts(read_to) or entry["entry_id"] in in_hand
        }
        redis.connection.xtrim(log, minid=kept_from, approximate=False)
