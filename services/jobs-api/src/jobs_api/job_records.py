"""Reads the jobs of every domain, and gives them as the JSON that the API answers with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypedDict

from platform_core.clock import to_iso
from platform_core.errors import DecodeError, PlatformError
from platform_core.event_codec import JobId
from platform_core.job_events import JobDomain, job_domain
from platform_core.job_types import JobRecord, job_key
from platform_core.json_values import JsonObject, convert_as
from platform_workers.errors import JobNotFoundError
from platform_workers.job_record_store import JobRecordEncoder
from platform_workers.job_store import LOG_LENGTH, read_log
from platform_workers.redis import RedisClient

# A team may keep a status type of its own with the base fields alone. Its jobs can be read
# here too; what they do not have is filled in for reading and left out of the answer.
_NOT_IN_BASE: Final[Mapping[str, str]] = {
    "job_type": "",
    "payload": "null",
    "priority": "normal",
    "queue": "",
    "attempt_count": "0",
    "max_attempts": "1",
    "run": "1",
}


class DamagedRecordError(PlatformError):
    """What is stored of a job can't be read: a fault of whoever wrote it, not of who asks."""


class FoundJob(TypedDict):
    """A job as read.

    Attributes:
        domain: its domain.
        record: its record.
        document: the record as JSON, with ISO 8601 times and the domain.
    """

    domain: JobDomain
    record: JobRecord
    document: JsonObject


class JobRecords:
    """Reads job records and logs of any domain.

    Args:
        redis: the connection.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._encoder = JobRecordEncoder()

    def load(self, domain: str, job_id: str) -> FoundJob:
        """Return a job.

        Args:
            domain: as it came from a client.
            job_id: as it came from a client.

        Raises:
            JobNotFoundError: there is no such job; also for a domain or an id that can't be one.
            DamagedRecordError: a field of the stored record is missing or invalid; the message names it.
            RedisUnavailableError: Redis does not answer.
        """
        checked, key = self._key(domain, job_id)
        raw = self._redis.hgetall(key)
        if not raw:
            raise _not_found(domain, job_id)
        try:
            return self._read(checked, job_id, raw)
        except DecodeError as error:
            raise DamagedRecordError(f"the record of job {domain}/{job_id} is damaged: {error}") from error

    def summary(self, domain: JobDomain, job_id: str, fields: Mapping[str, str]) -> JsonObject:
        """Return what a list shows of a job: its document, as far as it can be made of these fields.

        Raises:
            DecodeError: a field is invalid, or one that every job has is missing; the path names it.
        """
        return self._read(domain, job_id, fields)["document"]

    def log_lines(
        self, domain: str, job_id: str, *, after: str = "", limit: int = LOG_LENGTH
    ) -> list[JsonObject]:
        """Return a part of a job's log, oldest line first: `id`, `time`, `level` and `message`.

        Args:
            domain: as it came from a client.
            job_id: as it came from a client.
            after: the id of the last line that is known already; empty for the beginning.
            limit: at most how many lines.

        Raises:
            JobNotFoundError: there is no such job.
            DecodeError: `after` is no id of a line.
            RedisUnavailableError: Redis does not answer.
        """
        found = self.load(domain, job_id)
        return [
            {
                "id": line["id"],
                "time": _time_of(line["id"]),
                "level": line["level"],
                "message": line["message"],
            }
            for line in read_log(self._redis, found["domain"], job_id, after=after, limit=limit)
        ]

    def _read(self, domain: JobDomain, job_id: str, raw: Mapping[str, str]) -> FoundJob:
        record = self._encoder.decode(job_id, {**_NOT_IN_BASE, **raw})
        document = job_document(domain, record)
        for name in _NOT_IN_BASE.keys() - raw.keys():
            del document[name]
        return {"domain": domain, "record": record, "document": document}

    def _key(self, domain: str, job_id: str) -> tuple[JobDomain, str]:
        try:
            checked = job_domain(domain)
            return checked, job_key(checked, convert_as(job_id, JobId))
        except DecodeError:
            raise _not_found(domain, job_id) from None


def job_document(domain: JobDomain, record: JobRecord) -> JsonObject:
    """Return a record as JSON; an absent optional field is absent here too."""
    document: JsonObject = {
        "domain": domain,
        "job_id": record["job_id"],
        "job_type": record["job_type"],
        "status": record["status"],
        "progress": record["progress"],
        "message": record["message"],
        "error": record["error"],
        "user_id": record["user_id"],
        "priority": record["priority"],
        "queue": record["queue"],
        "run": record["run"],
        "attempt_count": record["attempt_count"],
        "max_attempts": record["max_attempts"],
        "created_at": to_iso(record["created_at"]),
        "updated_at": to_iso(record["updated_at"]),
        "payload": record["payload"],
    }
    times: dict[str, datetime | None] = {
        "run_after": record.get("run_after"),
        "started_at": record.get("started_at"),
        "finished_at": record.get("finished_at"),
        "locked_until": record.get("locked_until"),
    }
    document |= {name: to_iso(moment) for name, moment in times.items() if moment is not None}
    if "locked_by" in record:
        document["locked_by"] = record["locked_by"]
    if "result_id" in record:
        document["result_id"] = record["result_id"]
    if "result_bytes" in record:
        document["result_bytes"] = record["result_bytes"]
    if "error_kind" in record:
        document["error_kind"] = record["error_kind"]
    if "context" in record:
        document["context"] = record["context"]
    if "notifications" in record:
        document["notifications"] = record["notifications"]
    return document


def _not_found(domain: str, job_id: str) -> JobNotFoundError:
    return JobNotFoundError(f"there is no job {domain}/{job_id}")


def _time_of(entry_id: str) -> str:
    """Return the time in a stream entry's id, whose first part is milliseconds since 1970."""
    milliseconds = int(entry_id.partition("-")[0])
    return to_iso(datetime.fromtimestamp(milliseconds / 1000, tz=UTC))
