"""A team adds events of its own: TypedDicts and one registration."""

from typing import Literal, TypedDict

from platform_core.event_codec import EventFamily, Int64, JobId, TypedShape, decode_event_of
from platform_core.event_families import EVENT_FAMILIES, KnownEventV1
from platform_core.job_events import QR, encode_job_event, make_started_event


class QrScanV1(TypedDict):
    """A code was read."""

    type: Literal["qr.scans.read.v1"]
    job_id: JobId
    codes: Int64


QR_SCANS: EventFamily[QrScanV1] = EventFamily(
    group="scans", version=1, domain=QR, shapes={"read": TypedShape(QrScanV1)}
)


def test_a_family_reads_and_writes_its_own_events() -> None:
    """The family checks both ways, by the types in the TypedDict."""
    event: QrScanV1 = {"type": "qr.scans.read.v1", "job_id": "job-1", "codes": 3}
    assert QR_SCANS.encode(event) == '{"type":"qr.scans.read.v1","job_id":"job-1","codes":3}'
    assert QR_SCANS.decode(QR_SCANS.encode(event)) == event


def test_one_reader_serves_several_families() -> None:
    """Messages of all families share a channel; each goes to the family that knows its type."""
    families: tuple[EventFamily[QrScanV1 | KnownEventV1], ...] = (QR_SCANS, *EVENT_FAMILIES)
    scan: QrScanV1 = {"type": "qr.scans.read.v1", "job_id": "job-1", "codes": 3}
    started = make_started_event(domain=QR, job_id="job-1", user_id=7, queue="qr")
    assert decode_event_of(families, QR_SCANS.encode(scan)) == scan
    assert decode_event_of(families, encode_job_event(started)) == started
