"""Reading the durable log, so that no outcome is missed.

It keeps what counts (started, completed, failed) until its consumer group has acknowledged it:

```python
log = EventLog(redis, group="notifier", consumer="notifier-1", idle=stop.wait)
for gap in log.gaps():            # the log was trimmed before it was read: ask the job store
    for entries in log.missed(gap):
        ...
    log.swept(gap)
entries = log.next(timeout=1.0)
...                               # handle them, then:
log.acknowledge(entries)
```
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypedDict, TypeVar

from platform_core.job_events import JobDomain, default_events_log

from platform_workers.domains import known_domains
from platform_workers.errors import RedisCommandError
from platform_workers.event_messages import Message, read_message, undecodable
from platform_workers.finished_jobs import FinishedJob, finished_since
from platform_workers.log_gaps import SWEEP_MARGIN_MS, LogGap, find_gap, is_covered
from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient
from platform_workers.redis.replies import GroupState, StreamEntry, bytes_of

LOG_START: Final = "0-0"

READ_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes of a log are read at once. Only a single entry may be longer."""

_LOG_ROOM: Final = load_script(SCRIPTS, "stream_facts", "log_room")
_LOG_FORGET: Final = load_script(SCRIPTS, "stream_facts", "log_forget")
_NEW: Final = "new"

T = TypeVar("T")

_RUN = re.compile(r"[1-9][0-9]{0,8}")


class LogEntry(TypedDict):
    """One entry of a domain's durable log.

    Attributes:
        stream: the log's key.
        entry_id: the entry's id, `<milliseconds>-<n>`; the milliseconds are when it was appended.
        domain: whose log it is.
        run: the run of the job that the event belongs to, from 1.
        cancelled: whether the `failed` that it tells of is that of a cancelled job.
        message: what the entry says.
    """

    stream: str
    entry_id: str
    domain: JobDomain
    run: int
    cancelled: bool
    message: Message


class EventLog:
    """Reads the durable logs as one consumer of a group; an entry comes back until it is acknowledged.

    Groups begin at the first entry of a log, never at its end, and are made again when they are gone (a
    server that lost its data). Raises `RedisUnavailableError` when Redis does not answer.

    Args:
        redis: the connection.
        group: the readers who share the work; each entry goes to one of them.
        consumer: the name of this reader, no other process's.
        idle: waits that many seconds when no domain has a log yet; `Event().wait`, so that a stop ends it.
        domains: whose logs; empty for every domain that has a job.
        limit: at most this many entries of a log at once; fewer where they are long (`READ_BYTES`).

    Attributes:
        strangers: keys that should be logs and hold something else, as `gaps` found it last. They are left
            out, so that one of them does not keep the other domains' logs from being read.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        group: str,
        consumer: str,
        idle: Callable[[float], object],
        domains: Sequence[JobDomain] = (),
        limit: int = 100,
    ) -> None:
        self._redis = redis
        self._group = group
        self._consumer = consumer
        self._idle = idle
        self._domains = tuple(domains)
        self._limit = limit
        self._grouped: set[str] = set()
        self._swept: dict[str, str] = {}
        self.strangers: tuple[str, ...] = ()

    def next(self, timeout: float) -> list[LogEntry]:
        """Wait up to `timeout` seconds for entries that no reader of the group has had; oldest first."""
        logs = self._logs()
        if not logs:
            self._idle(timeout)
            return []

        streams: list[str] = list(logs)

        def read() -> dict[str, list[StreamEntry]]:
            return self._redis.xread_group(
                group=self._group,
                consumer=self._consumer,
                streams=streams,
                limit=self._room(streams, _NEW),
                block_ms=max(1, int(timeout * 1000)),
            )

        found = self._with_groups(logs, read)
        return [read_entry(log, logs[log], entry) for log in found for entry in found[log]]

    def unfinished(self, *, min_idle_seconds: float) -> Iterator[list[LogEntry]]:
        """Take over, batch by batch, what some reader was given and has not acknowledged.

        Args:
            min_idle_seconds: leave alone what was given out less than this ago: its reader may still be at
                it. 0 takes everything, which is right at start; a repeat does no harm.
        """
        logs = self._logs()
        for log, domain in logs.items():
            position: str | None = LOG_START
            while position is not None:
                take = partial(self._take_over, log, position, int(min_idle_seconds * 1000))
                reached, entries = self._with_groups(logs, take)
                if entries:
                    yield [read_entry(log, domain, entry) for entry in entries]
                position = None if reached == LOG_START else reached

    def gaps(self) -> list[LogGap]:
        """Return where a log was trimmed past what the group has finished.

        Ask before every `next` and `unfinished`: both move the group on, and what was missing is then no
        longer known. What `missed` gives for a gap is to be handled first, and `swept` is to be told.
        """
        found: list[LogGap] = []
        strangers: list[str] = []
        for log, domain in self._known_logs().items():
            try:
                gap = find_gap(self._redis, log, domain, self._group)
            except RedisCommandError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                strangers.append(log)
            else:
                if gap is not None and not is_covered(gap, self._swept.get(log, LOG_START)):
                    found.append(gap)
        self.strangers = tuple(strangers)
        return found

    def missed(self, gap: LogGap) -> Iterator[list[LogEntry]]:
        """Return the outcomes that a gap has taken out of the log, page by page, out of the job store.

        They begin a little before the gap and go on to the present, so most of them are heard twice. There
        is nothing to acknowledge.
        """
        since_ms = max(0, gap["since_ms"] - SWEEP_MARGIN_MS)
        for page in finished_since(self._redis, gap["domain"], since_ms, limit=self._limit):
            yield [_stored_entry(gap, job) for job in page]

    def swept(self, gap: LogGap) -> None:
        """Tell that everything missed by a gap was handled."""
        self._swept[gap["stream"]] = gap["newest"]

    def acknowledge(self, entries: Sequence[LogEntry]) -> None:
        """Tell that the group is done with these entries; call it after they were handled, never before."""
        by_log: dict[str, list[str]] = {}
        for entry in entries:
            by_log.setdefault(entry["stream"], []).append(entry["entry_id"])
        for log, entry_ids in by_log.items():
            self._redis.xack(log, self._group, *entry_ids)

    def states(self) -> Mapping[JobDomain, GroupState]:
        """Return how far the group is in each domain's log; a domain whose log it has not met is left out."""
        found = {domain: self._redis.xgroup_state(log, self._group) for log, domain in self._logs().items()}
        return {domain: state for domain, state in found.items() if state is not None}

    def leave(self) -> None:
        """Take this reader's name off the groups, where it has nothing unfinished.

        A reader that ends without this leaves its name behind; `forget_readers` clears such names.
        """
        self._forget(self._consumer, 0)

    def forget_readers(self, *, idle_seconds: float) -> None:
        """Take off the groups who has nothing unfinished and has not read for this long."""
        self._forget("", int(idle_seconds * 1000))

    def _forget(self, name: str, idle_ms: int) -> None:
        for log in self._logs():
            self._redis.run_script(
                {"script": _LOG_FORGET, "keys": [log], "args": [self._group, name, str(idle_ms)]}
            )

    def _take_over(self, log: str, position: str, min_idle_ms: int) -> tuple[str, list[StreamEntry]]:
        return self._redis.xautoclaim(
            key=log,
            group=self._group,
            consumer=self._consumer,
            min_idle_ms=min_idle_ms,
            start=position,
            limit=self._room([log], position),
        )

    def _room(self, logs: Sequence[str], start: str) -> int:
        """Return how many entries may be read at once; a log full of long ones would fill the memory."""
        (room,) = self._redis.run_script(
            {
                "script": _LOG_ROOM,
                "keys": [*logs],
                "args": [self._group, start, str(self._limit), str(READ_BYTES)],
            }
        )
        return int(room)

    def _logs(self) -> dict[str, JobDomain]:
        """Return the logs to read, by key."""
        return {log: domain for log, domain in self._known_logs().items() if log not in self.strangers}

    def _known_logs(self) -> dict[str, JobDomain]:
        if self._domains:
            return {default_events_log(domain): domain for domain in self._domains}
        return known_domains(self._redis)

    def _with_groups(self, logs: Mapping[str, JobDomain], command: Callable[[], T]) -> T:
        """Run a command that needs the groups; make those that are missing."""
        self._make_groups(logs.keys() - self._grouped)
        try:
            return command()
        except RedisCommandError as error:
            if "NOGROUP" not in str(error):
                raise
        self._make_groups(logs)
        return command()

    def _make_groups(self, logs: Iterable[str]) -> None:
        for log in logs:
            self._redis.xgroup_create(log, self._group, start="0")
            self._grouped.add(log)


def read_entry(log: str, domain: JobDomain, entry: StreamEntry) -> LogEntry:
    """Decode one entry of a domain's durable log; whatever it holds, it has an outcome."""
    fields = entry["fields"]
    run = fields.get("run", "1")
    text = fields.get("event")
    if text is None:
        message: Message = undecodable(log, "the entry has no field `event`", b"")
    elif _RUN.fullmatch(run) is None:
        message = undecodable(log, "the entry's field `run` is no number from 1", bytes_of(text))
    else:
        message = read_message(log, domain, bytes_of(text))
    return {
        "stream": log,
        "entry_id": entry["entry_id"],
        "domain": domain,
        "run": int(run) if message["kind"] == "event" else 1,
        "cancelled": "cancelled" in fields,
        "message": message,
    }


def _stored_entry(gap: LogGap, job: FinishedJob) -> LogEntry:
    """Write a finished job as the log's entry would have been."""
    log, event = gap["stream"], job["event"]
    if event is None:
        reason = f"the record of the finished job {job['job_id']} cannot be read: {job['fault']}"
        message: Message = undecodable(log, reason, b"")
    else:
        message = {"kind": "event", "channel": log, "domain": gap["domain"], "event": event}
    return {
        "stream": log,
        "entry_id": f"{job['finished_ms']}-0",
        "domain": gap["domain"],
        "run": job["run"],
        # Its record says it too, unless the job is run again before the entry is handled.
        "cancelled": job["cancelled"],
        "message": message,
    }
