"""What became of the mails about a job: `GET /v1/jobs/{domain}/{job_id}/deliveries`.

The notifier writes the records; here they are only read. A mail's text is left out: it says what the job's
record says.
"""

from contextlib import suppress

from litestar import Response, Router, route
from litestar.params import FromPath
from platform_core.clock import SystemClock, to_iso
from platform_core.errors import DecodeError
from platform_core.job_events import job_domain
from platform_core.json_values import JsonObject, JsonValue
from platform_notify.decision import SKIP_WORDS
from platform_notify.deliveries import AttemptNote, Delivery, ReplayNote
from platform_notify.delivery_store import DeliveryStore

from jobs_api.http.access import READS
from jobs_api.http.answers import READ, json_response
from jobs_api.http.services import Services
from jobs_api.job_records import DamagedRecordError, JobRecords


def delivery_routes(services: Services) -> Router:
    """Return the route of a job's deliveries."""
    records, store = services["records"], DeliveryStore(services["redis"], SystemClock())

    @route(
        "/{domain:str}/{job_id:str}/deliveries",
        http_method=READ,
        opt=READS,
        sync_to_thread=True,
        summary="Read a job's deliveries",
    )
    def deliveries(domain: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
        """Give every delivery of the job, oldest first; none for a job that has not ended.

        One that was gathered into a digest has the digest's own delivery in `told_in`.
        """
        found, digests = _deliveries_of(store, domain, job_id)
        if not found:
            _find_job(records, domain, job_id)
        documents: JsonValue = [
            _told_document(delivery, digests.get(delivery.get("digest", ""))) for delivery in found
        ]
        return json_response(documents)

    return Router("/v1/jobs", route_handlers=[deliveries], tags=["jobs"])


def delivery_document(delivery: Delivery) -> JsonObject:
    """Return a delivery as JSON; what is not known yet is absent, and durations are in milliseconds."""
    document: JsonObject = {
        "delivery_id": delivery["delivery_id"],
        "domain": delivery["domain"],
        "job_id": delivery["job_id"],
        "run": delivery["run"],
        "event": delivery["event"],
        "channel": delivery["channel"],
        "recipient": delivery["recipient"],
        "state": delivery["state"],
        "decided_by": delivery["layer"],
        "detail": delivery["detail"],
        "created_at": to_iso(delivery["created_at"]),
        "attempts": [_attempt_document(note) for note in delivery.get("attempts", [])],
        "message_ids": [*delivery.get("message_ids", [])],
        "interrupted": delivery.get("interrupted", 0),
        "replays": [_replay_document(note) for note in delivery.get("replays", [])],
        "being_sent": "claim" in delivery,
        "may_have_been_delivered": "unsure" in delivery,
    }
    if "reason" in delivery:
        document["reason"] = delivery["reason"]
        document["reason_text"] = SKIP_WORDS[delivery["reason"]]
    if "gathered" in delivery:
        document["gathered"] = delivery["gathered"]
    if "held_until" in delivery:
        document["held_until"] = to_iso(delivery["held_until"])
    if "digest" in delivery:
        document["digest"] = delivery["digest"]
    if "provider" in delivery:
        document["provider"] = delivery["provider"]
    if "template_version" in delivery:
        document["template_version"] = delivery["template_version"]
    if "answer" in delivery:
        document["answer"] = delivery["answer"]
    if delivery["state"] == "waiting" and "due_at" in delivery:
        document["due_at"] = to_iso(delivery["due_at"])
    if "settled_at" in delivery:
        document["settled_at"] = to_iso(delivery["settled_at"])
        took = delivery["settled_at"] - delivery["created_at"]
        document["duration_ms"] = round(took.total_seconds() * 1000)
    return document


def _told_document(delivery: Delivery, digest: Delivery | None) -> JsonObject:
    document = delivery_document(delivery)
    if digest is not None:
        document["told_in"] = delivery_document(digest)
    return document


def _deliveries_of(
    store: DeliveryStore, domain: str, job_id: str
) -> tuple[list[Delivery], dict[str, Delivery]]:
    """Return a job's deliveries and the digests that tell of them; none for a domain that can't be one."""
    try:
        checked = job_domain(domain)
    except DecodeError:
        return [], {}
    try:
        found = store.of_job(checked, job_id)
        return found, store.digests_of(found)
    except DecodeError as error:
        raise DamagedRecordError(f"a delivery of job {domain}/{job_id} is damaged: {error}") from error


def _find_job(records: JobRecords, domain: str, job_id: str) -> None:
    """Raise `JobNotFoundError` if there is no such job."""
    # A record of another team may have fewer fields than this service can read; but it is there.
    with suppress(DamagedRecordError):
        records.load(domain, job_id)


def _attempt_document(note: AttemptNote) -> JsonObject:
    return {
        "at": to_iso(note["at"]),
        "provider": note["provider"],
        "result": note["result"],
        "answer": note["detail"],
        "may_have_been_delivered": note["ambiguous"],
        "duration_ms": note["duration_ms"],
    }


def _replay_document(note: ReplayNote) -> JsonObject:
    return {"at": to_iso(note["at"]), "was": note["was"]}
