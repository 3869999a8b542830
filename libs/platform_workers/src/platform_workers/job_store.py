"""Job records in Redis: one hash of strings a job, written together with its index entries.

`BaseJobStore` keeps any team's own status type through a `JobStoreEncoder`; the platform's full record is
in `platform_workers.job_record_store`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Literal, Protocol, TypeVar

from platform_core.clock import Clock, SystemClock, to_millis
from platform_core.errors import DecodeError
from platform_core.event_codec import JobId
from platform_core.job_events import JobDomain
from platform_core.job_types import BaseJobStatus, JobStatusLiteral, job_key
from platform_core.json_values import PayloadCodec

from platform_workers.errors import JobExistsError
from platform_workers.lua_scripts import SCRIPTS, ScriptCall, load_script
from platform_workers.redis import RedisClient

DEFAULT_RETENTION = timedelta(days=30)
"""How long a finished record stays before it expires with its index entries."""

JOB_SAVE = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "job_save")
JOBS_PURGE = load_script(SCRIPTS, "key_types", "job_buckets", "job_index", "jobs_purge")

LOG_LENGTH: Final = 200
"""How many lines a job's log keeps."""

_MAX_DIGITS: Final = 19  # of a signed 64-bit number
_LINE_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")

SaveMode = Literal["save", "create"]

T = TypeVar("T")
StatusT = TypeVar("StatusT", bound=BaseJobStatus)


class JobStoreEncoder(Protocol[T]):
    """How a status type becomes a hash of strings and comes back."""

    def encode(self, status: T) -> dict[str, str]:
        """Return the hash's fields; an absent optional field is left out, not written empty."""

    def decode(self, job_id: str, raw: Mapping[str, str]) -> T:
        """Return the status.

        Raises:
            DecodeError: A field is missing or invalid; the error names it.
        """


def parse_status(raw: Mapping[str, str]) -> JobStatusLiteral:
    """Return the hash's `status`.

    Raises:
        DecodeError: The field is missing or no known status.
    """
    match required_str(raw, "status"):
        case "queued":
            return "queued"
        case "processing":
            return "processing"
        case "completed":
            return "completed"
        case "failed":
            return "failed"
        case "cancelled":
            return "cancelled"
        case _:
            raise DecodeError("status", "queued|processing|completed|failed|cancelled", "str")


def parse_int_field(raw: Mapping[str, str], field: str) -> int:
    """Return a whole number.

    Raises:
        DecodeError: The field is missing or not a number in decimal digits.
    """
    text = required_str(raw, field)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise DecodeError(field, "int in decimal digits", "str")
    return int(text)


def parse_datetime_field(raw: Mapping[str, str], field: str) -> datetime:
    """Return a point in time, in UTC.

    Raises:
        DecodeError: The field is missing, not ISO 8601, has no offset, or is none in UTC (before the
            year 1 or after 9999).
    """
    text = required_str(raw, field)
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            raise DecodeError(field, "ISO 8601 time with offset", "time without offset")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DecodeError(field, "ISO 8601 time with offset", "str") from None


_JOB_ID: Final = PayloadCodec(JobId)


def check_job_id(job_id: str) -> None:
    """Make sure that a job id can be part of a Redis key and of an event.

    Raises:
        DecodeError: It is empty, too long, or holds `:`, white space or a control character.
    """
    _JOB_ID.decode(job_id, "$.job_id")


def required_str(raw: Mapping[str, str], field: str) -> str:
    """Return the field's text.

    Raises:
        DecodeError: The field is missing.
    """
    value = raw.get(field)
    if value is None:
        raise DecodeError(field, "str", "missing")
    return value


def parse_optional_str(raw: Mapping[str, str], field: str) -> str | None:
    """Return the field's text, or None when it is absent or empty (older writers stored empty strings)."""
    return raw.get(field) or None


class BaseJobStore(Generic[StatusT]):
    """Saves and loads job records of one domain.

    Args:
        redis: The connection.
        domain: Whose jobs.
        encoder: Turns the status type into a hash and back.
        clock: Where "now" comes from.
        retention: How long a finished record stays.
        optional_fields: Fields the encoder may leave out; one it leaves out is removed from the hash.
    """

    def __init__(
        self,
        *,
        redis: RedisClient,
        domain: JobDomain,
        encoder: JobStoreEncoder[StatusT],
        clock: Clock | None = None,
        retention: timedelta = DEFAULT_RETENTION,
        optional_fields: Sequence[str] = (),
    ) -> None:
        self._optional_fields = optional_fields
        self._redis = redis
        self._domain = domain
        self._encoder = encoder
        self._clock = SystemClock() if clock is None else clock
        self._retention = retention
        self._retention_ms = int(retention.total_seconds() * 1000)

    @property
    def retention(self) -> timedelta:
        """How long a finished record stays."""
        return self._retention

    @property
    def domain(self) -> JobDomain:
        """Whose jobs this store keeps."""
        return self._domain

    def save(self, status: StatusT) -> None:
        """Write the record and its index entries in one step. Fields the encoder does not know stay.

        This is the raw write: it follows whatever status it is given. The rules of the life cycle are kept
        by the job context (`platform_workers.job_context`).
        """
        self._redis.run_script(self.save_call(status, mode="save", message=""))

    def load(self, job_id: str) -> StatusT | None:
        """Return the record, or None when there is none.

        Raises:
            DecodeError: The stored hash has a missing or invalid field; the error names it.
        """
        raw = self._redis.hgetall(job_key(self._domain, job_id))
        return self._encoder.decode(job_id, raw) if raw else None

    def save_call(self, status: StatusT, *, mode: SaveMode, message: str) -> ScriptCall:
        """Return the script call that writes a record, to be run alone or in a transaction.

        Args:
            status: The record.
            mode: "save" to write over, "create" to refuse when there is a record already.
            message: Line for the job's log; empty for none.

        Raises:
            DecodeError: The job id cannot be part of a key.
        """
        check_job_id(status["job_id"])
        fields = self._encoder.encode(status)
        pairs = [part for pair in fields.items() for part in pair]
        now = str(to_millis(self._clock.now()))
        job_id = status["job_id"]
        return {
            "script": JOB_SAVE,
            "keys": [job_key(self._domain, job_id)],
            "args": [
                self._domain, job_id, mode, now, str(self._retention_ms), message, str(len(fields)),
                *pairs, *(name for name in self._optional_fields if name not in fields),
            ],
        }  # fmt: skip

    def purge(self, *, limit: int = 500) -> int:
        """Remove up to `limit` finished records past their retention from every index.

        Every outcome already removes a few; this is for a domain that has gone quiet.

        Returns:
            How many were removed.
        """
        now = str(to_millis(self._clock.now()))
        removed = self._redis.run_script(
            {
                "script": JOBS_PURGE,
                "keys": [],
                "args": [self._domain, now, str(self._retention_ms), str(limit)],
            }
        )
        return int(removed[0])

    def list_ids(self, index: str = "all", *, offset: int = 0, limit: int = 50) -> list[str]:
        """Return job ids of one index, newest first.

        Args:
            index: "all", or what `job_listing.index_name` makes of a filter ("status:failed:user:7").
            offset: How many to leave out.
            limit: How many to return.
        """
        return self._redis.zrange(
            f"{self._domain}:jobs:{index}", offset, offset + limit - 1, newest_first=True
        )

    def count(self, index: str = "all") -> int:
        """Return how many jobs an index holds."""
        return self._redis.zcard(f"{self._domain}:jobs:{index}")


def raise_if_exists(reply: Sequence[str], job_id: str) -> None:
    """Read the reply of a save in mode "create".

    Raises:
        JobExistsError: There was a record under this id; nothing was written.
    """
    if reply[0] == "exists":
        raise JobExistsError(f"job {job_id} exists already")


def read_log(
    redis: RedisClient, domain: JobDomain, job_id: str, *, after: str = "", limit: int = LOG_LENGTH
) -> Iterator[dict[str, str]]:
    """Yield the job's log, oldest line first: `id` (stream id, milliseconds first), `level`, `message`.

    Args:
        redis: The connection.
        domain: The job's domain.
        job_id: The job.
        after: Id of the last line that is known already; empty to begin at the first one.
        limit: At most how many lines.

    Raises:
        DecodeError: `after` is no id of a line.
    """
    if after and _LINE_ID.fullmatch(after) is None:
        raise DecodeError("$.after", "id of a line, as 1767351600000-0", "str")
    start = f"({after}" if after else "-"
    for entry in redis.xrange(f"{job_key(domain, job_id)}:log", start, limit=limit):
        yield {"id": entry["entry_id"], "level": "info", "message": "", **entry["fields"]}
