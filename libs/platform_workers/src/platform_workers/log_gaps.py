"""Whether a durable log was trimmed past what its readers have finished.

A log keeps about its last 100,000 entries. Readers that were away for longer than that find its beginning
gone. What it said stands in the job store all the same: `finished_jobs` reads it from there.
"""

from typing import Final, TypedDict

from platform_core.job_events import JobDomain

from platform_workers.lua_scripts import SCRIPTS, load_script
from platform_workers.redis import RedisClient

_LOG_GAP: Final = load_script(SCRIPTS, "stream_facts", "log_gap")

SWEEP_MARGIN_MS: Final = 10 * 60 * 1000
"""How much earlier than the gap a sweep begins: the log's times are the server's, those of the job store are
the workers', and the log may be trimmed between a look and the read that follows."""


class LogGap(TypedDict):
    """Entries that the group can never read.

    Attributes:
        stream: the log's key.
        domain: whose log it is.
        since_ms: when the last entry before them was appended, in milliseconds since 1970; 0 if they reach
            back to the beginning.
        kept_from: an entry id; all of them are before it.
        newest: the id of the log's newest entry.
    """

    stream: str
    domain: JobDomain
    since_ms: int
    kept_from: str
    newest: str


def find_gap(redis: RedisClient, log: str, domain: JobDomain, group: str) -> LogGap | None:
    """Return what is missing for a group, or None if it can read everything.

    A group that is not there yet will read from the beginning.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    reply = redis.run_script({"script": _LOG_GAP, "keys": [log], "args": [group]})
    if reply == ["whole"]:
        return None
    _, cursor, kept_from, newest = reply
    return {
        "stream": log,
        "domain": domain,
        "since_ms": id_parts(cursor)[0],
        "kept_from": kept_from,
        "newest": newest,
    }


def is_covered(gap: LogGap, swept_to: str) -> bool:
    """Tell whether a look into the job store, made when `swept_to` was the newest entry, has found it all."""
    return id_parts(gap["kept_from"]) <= id_parts(swept_to)


def id_parts(entry_id: str) -> tuple[int, int]:
    """Return the two numbers of an entry id, by which ids are ordered."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
