"""Stand-ins for tests: Redis in memory (with Lua), a queue, a run and a logger that record, a clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from fakeredis import FakeServer, FakeStrictRedis
from platform_core.job_events import JobDomain, encode_job_event, make_progress_event
from platform_core.json_values import JsonValue
from platform_core.logging import LogField

from platform_workers.job_queue import AttemptName, AttemptTicket
from platform_workers.job_transitions import LogLevel
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient


class FakeRedis(RedisClient):
    """A `RedisClient` on a server in this process's memory, with bytes on the connection as in production.

    It runs the project's Lua scripts, so code under test takes the same path as on a real server. Two
    instances made with the same `server` see the same data.

    Args:
        server: The memory to use; a new one by default. `server.connected = False` plays an outage.
    """

    def __init__(self, server: FakeServer | None = None) -> None:
        self.server = FakeServer(version=(7, 2)) if server is None else server
        super().__init__(FakeStrictRedis(server=self.server))


class FakeQueue:
    """A `JobQueue` without RQ: it runs the script and keeps the ticket.

    Attributes:
        tickets: Every attempt enqueued, with the time it may start at (None for at once).
        withdrawn: Every attempt taken back.
    """

    def __init__(self, redis: RedisClient, name: str = "default") -> None:
        self._redis = redis
        self._name = name
        self.tickets: list[tuple[AttemptTicket, datetime | None]] = []
        self.withdrawn: list[AttemptName] = []

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._name

    def enqueue(
        self,
        ticket: AttemptTicket,
        alongside: ScriptCall,
        *,
        run_at: datetime | None,
        unless: str | None = None,
    ) -> list[str]:
        """Run the script and remember the ticket, as the real queue does both."""
        if unless is not None and self._redis.hgetall(unless):
            return ["exists"]
        reply = self._redis.run_script(alongside)
        self.tickets.append((ticket, run_at))
        return reply

    def withdraw(self, name: AttemptName) -> None:
        """Remember it."""
        self.withdrawn.append(name)


class FakeJobRun:
    """A `JobRun` to call a handler with in a test; it keeps what the handler tells.

    ```python
    run = FakeJobRun(job_domain("greetings"))
    assert greet({"name": "Ada"}, run) == {"result_id": "Hello, Ada!", "result_bytes": 11}
    assert run.progress == [(99, "Hello, Ada!")]
    ```

    Attributes:
        progress: Every progress told, oldest first: percent and message.
        lines: Every line written to the job's log, oldest first: level and message.
    """

    def __init__(
        self, domain: JobDomain, *, job_id: str = "job-1", user_id: int = 1, attempt: int = 1
    ) -> None:
        self.domain = domain
        self.job_id = job_id
        self.user_id = user_id
        self.attempt = attempt
        self.progress: list[tuple[int, str | None]] = []
        self.lines: list[tuple[LogLevel, str]] = []

    def publish_progress(
        self, progress: int, message: str | None = None, *, payload: JsonValue = None
    ) -> None:
        """Keep it; what a real run refuses is refused here too."""
        event = make_progress_event(
            domain=self.domain,
            job_id=self.job_id,
            user_id=self.user_id,
            progress=progress,
            message=message,
            payload=payload,
        )
        encode_job_event(event)
        self.progress.append((progress, message))

    def log(self, message: str, level: LogLevel = "info") -> None:
        """Keep the line."""
        self.lines.append((level, message))


class LogLine(TypedDict):
    """One line a logger was given."""

    level: str
    event: str
    fields: dict[str, LogField]


class FakeLogger:
    """A `Logger` that keeps its lines.

    Attributes:
        lines: What was logged, oldest first.
    """

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def debug(self, event: str, **fields: LogField) -> None:
        """Keep a line of level debug."""
        self.lines.append({"level": "debug", "event": event, "fields": fields})

    def info(self, event: str, **fields: LogField) -> None:
        """Keep a line of level info."""
        self.lines.append({"level": "info", "event": event, "fields": fields})

    def warning(self, event: str, **fields: LogField) -> None:
        """Keep a line of level warning."""
        self.lines.append({"level": "warning", "event": event, "fields": fields})

    def error(self, event: str, **fields: LogField) -> None:
        """Keep a line of level error."""
        self.lines.append({"level": "error", "event": event, "fields": fields})

    def events(self, *levels: str) -> Sequence[str]:
        """Return the names of the lines of these levels, or of all."""
        return [line["event"] for line in self.lines if not levels or line["level"] in levels]


class FakeClock:
    """A `Clock` that stands until it is moved.

    Args:
        now: Where it starts; noon of 2 January 2026, UTC, by default.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 2, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._start = now

    def now(self) -> datetime:
        """Return the time it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds it was moved since it was made."""
        return (self._now - self._start).total_seconds()

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self._now += timedelta(seconds=seconds)
