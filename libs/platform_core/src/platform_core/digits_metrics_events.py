"""Metrics events of the `digits` domain: a training run of a digits model, batch by batch.

They travel on `digits:events` beside the lifecycle events, never inside them. Units are in the names: `_mb`
is megabytes, `_pct` percent, `_s` seconds, `_bytes` bytes, `_per_sec` for each second. An accuracy (`_acc`)
or a loss is passed on as the run computes it.
"""

from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from typing_extensions import TypeIs

from platform_core.event_codec import EventFamily, Int64, JobId, TypedShape
from platform_core.job_events import DIGITS


class DigitsConfigV1(TypedDict):
    """The run's settings, once at its start."""

    type: Literal["digits.metrics.config.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    total_epochs: Int64
    queue: str
    cpu_cores: NotRequired[Int64]
    optimal_threads: NotRequired[Int64]
    memory_mb: NotRequired[Int64]
    optimal_workers: NotRequired[Int64]
    max_batch_size: NotRequired[Int64]
    batch_size: NotRequired[Int64]
    device: NotRequired[str]
    learning_rate: NotRequired[float]
    aug_rotate: NotRequired[float]
    aug_translate: NotRequired[float]
    noise_prob: NotRequired[float]
    dots_prob: NotRequired[float]
    augment: NotRequired[bool]


class DigitsBatchV1(TypedDict):
    """Figures and memory after a batch."""

    type: Literal["digits.metrics.batch.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    epoch: Int64
    total_epochs: Int64
    batch: Int64
    total_batches: Int64
    batch_loss: float
    batch_acc: float
    avg_loss: float
    samples_per_sec: float
    main_rss_mb: Int64
    workers_rss_mb: Int64
    worker_count: Int64
    cgroup_usage_mb: Int64
    cgroup_limit_mb: Int64
    cgroup_pct: float
    anon_mb: Int64
    file_mb: Int64


class DigitsEpochV1(TypedDict):
    """Figures after an epoch."""

    type: Literal["digits.metrics.epoch.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    epoch: Int64
    total_epochs: Int64
    train_loss: float
    val_acc: float
    time_s: float


class DigitsBestV1(TypedDict):
    """The best epoch so far."""

    type: Literal["digits.metrics.best.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    epoch: Int64
    val_acc: float


class DigitsArtifactV1(TypedDict):
    """The trained model was written to a path."""

    type: Literal["digits.metrics.artifact.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    path: str


class DigitsUploadV1(TypedDict):
    """The trained model was uploaded; `status` is the HTTP status of the answer."""

    type: Literal["digits.metrics.upload.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    status: Int64
    model_bytes: Int64
    manifest_bytes: Int64
    file_id: str
    file_sha256: str


class DigitsPruneV1(TypedDict):
    """Old models were deleted."""

    type: Literal["digits.metrics.prune.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    deleted_count: Int64


class DigitsCompletedV1(TypedDict):
    """The run's last figures, once at its end."""

    type: Literal["digits.metrics.completed.v1"]
    job_id: JobId
    user_id: Int64
    model_id: str
    val_acc: float


DigitsMetricsEventV1: TypeAlias = (
    DigitsConfigV1
    | DigitsBatchV1
    | DigitsEpochV1
    | DigitsBestV1
    | DigitsArtifactV1
    | DigitsUploadV1
    | DigitsPruneV1
    | DigitsCompletedV1
)

DIGITS_METRICS: Final[EventFamily[DigitsMetricsEventV1]] = EventFamily(
    group="metrics",
    version=1,
    domain=DIGITS,
    shapes={
        "config": TypedShape(DigitsConfigV1),
        "batch": TypedShape(DigitsBatchV1),
        "epoch": TypedShape(DigitsEpochV1),
        "best": TypedShape(DigitsBestV1),
        "artifact": TypedShape(DigitsArtifactV1),
        "upload": TypedShape(DigitsUploadV1),
        "prune": TypedShape(DigitsPruneV1),
        "completed": TypedShape(DigitsCompletedV1),
    },
)


def encode_digits_metrics_event(event: DigitsMetricsEventV1) -> str:
    """Write a digits metrics event as the one compact JSON object that goes on the wire.

    Raises:
        DecodeError: a field is missing, undeclared or does not fit; NaN and infinities do not.
        UnknownEventError: the event's `type` is of no digits metrics event.
    """
    return DIGITS_METRICS.encode(event)


def decode_digits_metrics_event(text: str | bytes) -> DigitsMetricsEventV1:
    """Read a digits metrics event from the wire; undeclared fields are left out.

    Raises:
        DecodeError: malformed.
        UnknownEventError: well-formed, of another family or a later version. Not an error to log.
    """
    return DIGITS_METRICS.decode(text)


def is_digits_config(event: DigitsMetricsEventV1) -> TypeIs[DigitsConfigV1]:
    """Tell whether the event gives the run's settings."""
    return event["type"] == "digits.metrics.config.v1"


def is_digits_batch(event: DigitsMetricsEventV1) -> TypeIs[DigitsBatchV1]:
    """Tell whether the event gives figures after a batch."""
    return event["type"] == "digits.metrics.batch.v1"


def is_digits_epoch(event: DigitsMetricsEventV1) -> TypeIs[DigitsEpochV1]:
    """Tell whether the event gives figures after an epoch."""
    return event["type"] == "digits.metrics.epoch.v1"


def is_digits_best(event: DigitsMetricsEventV1) -> TypeIs[DigitsBestV1]:
    """Tell whether the event names the best epoch so far."""
    return event["type"] == "digits.metrics.best.v1"


def is_digits_artifact(event: DigitsMetricsEventV1) -> TypeIs[DigitsArtifactV1]:
    """Tell whether the event names the written model."""
    return event["type"] == "digits.metrics.artifact.v1"


def is_digits_upload(event: DigitsMetricsEventV1) -> TypeIs[DigitsUploadV1]:
    """Tell whether the event reports an upload."""
    return event["type"] == "digits.metrics.upload.v1"


def is_digits_prune(event: DigitsMetricsEventV1) -> TypeIs[DigitsPruneV1]:
    """Tell whether the event reports deleted models."""
    return event["type"] == "digits.metrics.prune.v1"


def is_digits_completed(event: DigitsMetricsEventV1) -> TypeIs[DigitsCompletedV1]:
    """Tell whether the event gives the run's last figures."""
    return event["type"] == "digits.metrics.completed.v1"
