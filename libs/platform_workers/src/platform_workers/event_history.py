"""Reading the durable logs without a consumer group: any number of readers, each at a position of its own.

`EventLog` shares the entries among its readers and remembers what they finished. A reader that only shows
events (a stream to a browser) keeps its position itself and asks for what came after it:

```python
history = EventHistory(redis)
page = history.page(TURKIC, after="0-0")
if page["fate"] != "whole":       # some of it was trimmed away before it was read
    ...
for entry in page["entries"]:
    ...
```
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.job_events import JobDomain, default_events_log

from platform_workers.domains import known_domains
from platform_workers.event_log import LOG_START, READ_BYTES, LogEntry, read_entry
from platform_workers.event_messages import MAX_MESSAGE_BYTES
from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient
from platform_workers.redis.replies import StreamEntry

_LOG_PAGE: Final = load_script(SCRIPTS, "stream_facts", "log_page")

LOG_END: Final = "+"

LogFate: TypeAlias = Literal["whole", "trimmed", "reset"]
"""What became of the log since the position: nothing is missing; entries after it were trimmed away (or may
have been); it ends before the position, so it is another one (a server that lost its data)."""

_FATES: Final[Mapping[str, LogFate]] = {"whole": "whole", "trimmed": "trimmed", "reset": "reset"}


class HistoryPage(TypedDict):
    """What a domain's log holds after a position.

    Attributes:
        fate: whether something after the position is gone.
        newest: the id of the log's newest entry, also one that is trimmed; `0-0` without a log.
        entries: oldest first.
        more: True when there may be another page.
    """

    fate: LogFate
    newest: str
    entries: list[LogEntry]
    more: bool


class EventHistory:
    """Reads the durable logs. Raises `RedisUnavailableError` when Redis does not answer.

    Args:
        redis: the connection.
        limit: at most this many entries a page; fewer where they are long (`READ_BYTES`).
    """

    def __init__(self, redis: RedisClient, *, limit: int = 500) -> None:
        self._redis = redis
        self._limit = limit

    def domains(self) -> list[JobDomain]:
        """Return every domain that has a job, sorted."""
        return list(known_domains(self._redis).values())

    def newest(self, domain: JobDomain) -> str:
        """Return the id of the newest entry of a domain's log; `0-0` when there is no log."""
        return self.page(domain, after=LOG_START, last=LOG_START)["newest"]

    def page(self, domain: JobDomain, *, after: str, last: str = LOG_END) -> HistoryPage:
        """Read the entries that follow a position.

        Args:
            domain: whose log.
            after: the entry id to go on from; `0-0` for the beginning.
            last: the last entry id that is wanted.
        """
        log = default_events_log(domain)
        arguments = [after, last, str(self._limit), str(READ_BYTES), str(2 * MAX_MESSAGE_BYTES)]
        reply = self._redis.run_script({"script": _LOG_PAGE, "keys": [log], "args": arguments})
        texts = iter(reply)
        fate, newest, rest = _FATES[next(texts)], next(texts), next(texts)
        entries = [read_entry(log, domain, entry) for entry in _stream_entries(texts)]
        return {"fate": fate, "newest": newest, "entries": entries, "more": rest == "more"}


def _stream_entries(texts: Iterator[str]) -> Iterator[StreamEntry]:
    for entry_id in texts:
        fields = {next(texts): next(texts) for _ in range(int(next(texts)))}
        yield {"entry_id": entry_id, "fields": fields}
