"""One mail of each kind, for previews and for the golden files.

`python -m platform_notify.sample_mails DIR` writes them.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from platform_notify.digest_rendering import DigestFacts, render_digest
from platform_notify.rendering import MailFacts, RenderedMail, render_mail

_CREATED = datetime(2026, 3, 9, 8, 15, 4, tzinfo=UTC)

_BASE: MailFacts = {
    "domain": "files",
    "job_id": "01J9ZQ4M6T8V2K5R7C3X",
    "job_type": "csv.column_stats",
    "event": "SUCCESS",
    "error_kind": None,
    "message": None,
    "attempts": 1,
    "created_at": _CREATED,
    "started_at": _CREATED + timedelta(seconds=2),
    "finished_at": _CREATED + timedelta(minutes=2, seconds=7),
    "result_id": None,
    "result_bytes": None,
    "link": "https://jobs.example.com/jobs/files/01J9ZQ4M6T8V2K5R7C3X",
}

SAMPLES: dict[str, MailFacts] = {
    "success": {
        **_BASE,
        "message": "1,204,331 rows in 14 columns read",
        "result_id": "files/results/01J9ZQ4M6T8V2K5R7C3X.json",
        "result_bytes": 12_431,
    },
    "success_bare": {
        **_BASE,
        "domain": "turkic",
        "job_id": "8f14e45fceea167a5a36dedd4bea2543",
        "job_type": None,
        "attempts": None,
        "created_at": None,
        "started_at": None,
        "finished_at": None,
        "link": None,
    },
    "user_fault": {
        **_BASE,
        "event": "FAILURE",
        "error_kind": "user",
        "message": 'Row 1,874 has 9 fields, but the header has 14.\nIt begins with "Ankara;2021-04-30;".',
    },
    "system_fault": {
        **_BASE,
        "event": "FAILURE",
        "error_kind": "system",
        "message": "The worker was stopped while the job was running.",
        "attempts": 3,
        "started_at": _CREATED + timedelta(minutes=4),
        "finished_at": _CREATED + timedelta(hours=1, minutes=9),
    },
    "failure_unexplained": {
        **_BASE,
        "domain": "trainer",
        "job_id": "run-42",
        "job_type": None,
        "event": "FAILURE",
        "attempts": 2,
        "started_at": None,
        "link": None,
    },
    "hostile": {
        **_BASE,
        "event": "FAILURE",
        "error_kind": "user",
        "job_type": "csv.dedup\r\nBcc: everyone@example.com",
        "job_id": "x" * 128,
        "message": "<script>alert(1)</script>\r\n\x1b[31m\u202e{{ 7 * 7 }} & " + "w" * 120 + "\nlast line",
        "link": "javascript:alert(1)",
    },
}


_FAILED: MailFacts = {**SAMPLES["user_fault"], "link": None}

_REASONS: tuple[tuple[str, str | None], ...] = (
    ("csv.column_stats", "Row 1,874 has 9 fields, but the header has 14."),
    ("csv.deduplicate", "The worker was stopped while the job was running."),
    ("json.canonicalize", None),
)

DIGESTS: dict[str, DigestFacts] = {
    "digest": {
        "domain": "files",
        "event": "FAILURE",
        "total": 17,
        "span": timedelta(minutes=10),
        "items": [
            {
                **_FAILED,
                "job_type": _REASONS[number % 3][0],
                "message": _REASONS[number % 3][1],
                "job_id": f"01J9ZQ4M6T8V2K5R{number:04}",
                "finished_at": _CREATED + timedelta(seconds=35 * number),
                "link": f"https://jobs.example.com/jobs/files/01J9ZQ4M6T8V2K5R{number:04}",
            }
            for number in range(17)
        ],
    },
    "digest_success": {
        "domain": "turkic",
        "event": "SUCCESS",
        "total": 204,
        "span": timedelta(hours=3),
        "items": [
            {**SAMPLES["success_bare"], "job_id": f"run-{number}", "message": "9,120 words read"}
            for number in range(3)
        ],
    },
    "digest_hostile": {
        "domain": "files",
        "event": "FAILURE",
        "total": 1,
        "span": timedelta(seconds=20),
        "items": [SAMPLES["hostile"]],
    },
}

UNSUBSCRIBE: Final = "https://jobs.example.com/unsubscribe?token=v1.WyJ1bnN1YnNjcmliZSJd.c2lnbmF0dXJl"
"""Where the samples lead that can be stopped; the token is none."""

STOPPABLE: Final = frozenset({"success", "user_fault", "digest"})


def render_samples() -> dict[str, RenderedMail]:
    """Write each sample, by its name."""
    mails: dict[str, RenderedMail] = {}
    for name, facts in SAMPLES.items():
        mails[name] = render_mail(facts, UNSUBSCRIBE if name in STOPPABLE else None)
    for name, digest in DIGESTS.items():
        mails[name] = render_digest(digest, UNSUBSCRIBE if name in STOPPABLE else None)
    return mails


def write_samples(folder: Path) -> None:
    """Write each sample as `NAME.txt` (with its subject) and `NAME.html`."""
    for name, mail in render_samples().items():
        text = f"Subject: {mail['subject']}\n\n{mail['text']}"
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        (folder / f"{name}.html").write_text(mail["html"], encoding="utf-8")


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
