"""Records and identities as tests need them."""

from datetime import UTC, datetime

from platform_core.job_types import JobRecord, JobStatusLiteral

CREATED = datetime(2026, 1, 2, 11, tzinfo=UTC)


def make_record(job_id: str = "job-1", status: JobStatusLiteral = "queued") -> JobRecord:
    """A complete, ordinary record."""
    return {
        "job_id": job_id,
        "user_id": 7,
        "status": status,
        "progress": 0,
        "message": None,
        "created_at": CREATED,
        "updated_at": CREATED,
        "error": None,
        "job_type": "image.resize",
        "payload": {"width": 3},
        "priority": "normal",
        "queue": "default",
        "attempt_count": 0,
        "max_attempts": 3,
        "run": 1,
    }
