"""What the durable logs say: which job started and ended when, in which run."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias, TypedDict

from platform_core.job_events import (
    JobDomain,
    decode_job_event,
    default_events_log,
    is_completed,
    is_started,
)
from platform_core.notifications import EventWord
from platform_workers.redis import RedisClient

Word: TypeAlias = Literal["started", "completed", "failed", "cancelled"]

OUTCOME_WORDS: Final = frozenset({"completed", "failed", "cancelled"})


class Logged(TypedDict):
    """One entry of a durable log."""

    domain: JobDomain
    entry_id: str
    job_id: str
    run: int
    word: Word


def read_log(redis: RedisClient, domain: JobDomain) -> Iterator[Logged]:
    """Return every entry of a domain's log, oldest first."""
    start = "-"
    while page := redis.xrange(default_events_log(domain), start):
        for entry in page:
            event = decode_job_event(entry["fields"]["event"])
            word: Word = "cancelled" if "cancelled" in entry["fields"] else "failed"
            if is_started(event):
                word = "started"
            elif is_completed(event):
                word = "completed"
            yield {
                "domain": domain,
                "entry_id": entry["entry_id"],
                "job_id": event["job_id"],
                "run": int(entry["fields"]["run"]),
                "word": word,
            }
        start = f"({page[-1]['entry_id']}"


def outcomes_in(entries: Iterable[Logged]) -> list[Logged]:
    """Return the entries that tell how a run ended."""
    return [entry for entry in entries if entry["word"] in OUTCOME_WORDS]


def event_word_of(outcome: Logged) -> EventWord:
    """Return how a person names an outcome; a cancelled run is no success."""
    return "SUCCESS" if outcome["word"] == "completed" else "FAILURE"
