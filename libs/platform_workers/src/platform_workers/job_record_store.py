"""The platform's own job record (`JobRecord`) as a Redis hash."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from platform_core.clock import Clock, to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import ErrorKind, JobDomain
from platform_core.job_types import JobPriority, JobRecord
from platform_core.json_values import decode_json, encode_json

from platform_workers.job_store import (
    DEFAULT_RETENTION,
    BaseJobStore,
    parse_datetime_field,
    parse_int_field,
    parse_optional_str,
    parse_status,
    required_str,
)
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient

OPTIONAL_FIELDS: Final = (
    "message", "error", "run_after", "started_at", "finished_at", "locked_by", "locked_until", "result_id",
    "result_bytes", "error_kind", "timeout_seconds", "context", "notifications", "request_digest",
)  # fmt: skip

OptionalText = Literal["locked_by", "result_id", "request_digest"]
OptionalNumber = Literal["result_bytes", "timeout_seconds"]
OptionalTime = Literal["run_after", "started_at", "finished_at", "locked_until"]


class JobRecordEncoder:
    """`JobRecord` to a hash of strings and back. Absent optional fields are absent from the hash."""

    def encode(self, status: JobRecord) -> dict[str, str]:
        """Return the hash's fields."""
        fields = {
            "job_id": status["job_id"],
            "user_id": str(status["user_id"]),
            "status": status["status"],
            "progress": str(status["progress"]),
            "created_at": to_iso(status["created_at"]),
            "updated_at": to_iso(status["updated_at"]),
            "job_type": status["job_type"],
            "payload": encode_json(status["payload"]),
            "priority": status["priority"],
            "queue": status["queue"],
            "attempt_count": str(status["attempt_count"]),
            "max_attempts": str(status["max_attempts"]),
            "run": str(status["run"]),
        }
        texts = {
            "message": status["message"],
            "error": status["error"],
            "locked_by": status.get("locked_by"),
            "result_id": status.get("result_id"),
            "error_kind": status.get("error_kind"),
            "request_digest": status.get("request_digest"),
        }
        fields |= {name: text for name, text in texts.items() if text is not None}
        times: dict[str, datetime | None] = {
            "run_after": status.get("run_after"),
            "started_at": status.get("started_at"),
            "finished_at": status.get("finished_at"),
            "locked_until": status.get("locked_until"),
        }
        fields |= {name: to_iso(moment) for name, moment in times.items() if moment is not None}
        if "result_bytes" in status:
            fields["result_bytes"] = str(status["result_bytes"])
        if "timeout_seconds" in status:
            fields["timeout_seconds"] = str(status["timeout_seconds"])
        if "context" in status:
            fields["context"] = encode_json(status["context"])
        if "notifications" in status:
            fields["notifications"] = encode_json(status["notifications"])
        return fields

    def decode(self, job_id: str, raw: Mapping[str, str]) -> JobRecord:
        """Return the record.

        Raises:
            DecodeError: A field is missing or invalid; the error names it.
        """
        record: JobRecord = {
            "job_id": job_id,
            "user_id": parse_int_field(raw, "user_id"),
            "status": parse_status(raw),
            "progress": parse_int_field(raw, "progress"),
            "message": parse_optional_str(raw, "message"),
            "created_at": parse_datetime_field(raw, "created_at"),
            "updated_at": parse_datetime_field(raw, "updated_at"),
            "error": parse_optional_str(raw, "error"),
            "job_type": required_str(raw, "job_type"),
            "payload": decode_json(required_str(raw, "payload")),
            "priority": parse_priority(raw),
            "queue": required_str(raw, "queue"),
            "attempt_count": parse_int_field(raw, "attempt_count"),
            "max_attempts": parse_int_field(raw, "max_attempts"),
            "run": parse_int_field(raw, "run"),
        }
        for name in _TIMES:
            if name in raw:
                record[name] = parse_datetime_field(raw, name)
        for number in _NUMBERS:
            if number in raw:
                record[number] = parse_int_field(raw, number)
        for text in _TEXTS:
            if text in raw:
                record[text] = raw[text]
        if "error_kind" in raw:
            record["error_kind"] = _parse_error_kind(raw)
        if "context" in raw:
            record["context"] = decode_json(raw["context"])
        if "notifications" in raw:
            record["notifications"] = decode_json(raw["notifications"])
        return record


_TEXTS: Final[tuple[OptionalText, ...]] = ("locked_by", "result_id", "request_digest")
_NUMBERS: Final[tuple[OptionalNumber, ...]] = ("result_bytes", "timeout_seconds")
_TIMES: Final[tuple[OptionalTime, ...]] = ("run_after", "started_at", "finished_at", "locked_until")


def parse_priority(raw: Mapping[str, str]) -> JobPriority:
    """Return the hash's `priority`.

    Raises:
        DecodeError: The field is missing or no known priority.
    """
    match required_str(raw, "priority"):
        case "high":
            return "high"
        case "normal":
            return "normal"
        case "low":
            return "low"
        case _:
            raise DecodeError("priority", "high|normal|low", "str")


def _parse_error_kind(raw: Mapping[str, str]) -> ErrorKind:
    match raw["error_kind"]:
        case "user":
            return "user"
        case "system":
            return "system"
        case _:
            raise DecodeError("error_kind", "user|system", "str")


class JobRecordStore(BaseJobStore[JobRecord]):
    """The records of one domain.

    Args:
        redis: The connection.
        domain: Whose jobs.
        clock: Where "now" comes from.
        retention: How long a finished record stays.
    """

    def __init__(
        self,
        *,
        redis: RedisClient,
        domain: JobDomain,
        clock: Clock | None = None,
        retention: timedelta = DEFAULT_RETENTION,
    ) -> None:
        super().__init__(
            redis=redis,
            domain=domain,
            encoder=JobRecordEncoder(),
            clock=clock,
            retention=retention,
            optional_fields=OPTIONAL_FIELDS,
        )

    def create_call(self, record: JobRecord) -> ScriptCall:
        """Return the script call that writes a new record and refuses when there is one under its id."""
        return self.save_call(record, mode="create", message=f"submitted as {record['job_type']}")
