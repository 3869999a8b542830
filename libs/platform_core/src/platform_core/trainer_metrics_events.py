"""Metrics events of the `trainer` domain: what a training run reports while it learns.

They travel on `trainer:events` beside the lifecycle events, never inside them. Units are in the names: `_mb`
is megabytes, `_per_sec` for each second. A loss or perplexity (`_ppl`) is passed on as the run computes it.
"""

from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from typing_extensions import TypeIs

from platform_core.event_codec import EventFamily, Int64, JobId, TypedShape
from platform_core.job_events import TRAINER


class TrainerConfigV1(TypedDict):
    """The run's settings, once at its start."""

    type: Literal["trainer.metrics.config.v1"]
    job_id: JobId
    user_id: Int64
    model_family: str
    model_size: str
    total_epochs: Int64
    queue: str
    cpu_cores: NotRequired[Int64]
    memory_mb: NotRequired[Int64]
    optimal_threads: NotRequired[Int64]
    optimal_workers: NotRequired[Int64]
    batch_size: NotRequired[Int64]
    learning_rate: NotRequired[float]


class TrainerProgressV1(TypedDict):
    """The run's figures after a step."""

    type: Literal["trainer.metrics.progress.v1"]
    job_id: JobId
    user_id: Int64
    epoch: Int64
    total_epochs: Int64
    step: Int64
    train_loss: float
    train_ppl: float
    grad_norm: float
    samples_per_sec: float
    val_loss: NotRequired[float]
    val_ppl: NotRequired[float]


class TrainerCompletedV1(TypedDict):
    """The run's figures on the test set, once at its end."""

    type: Literal["trainer.metrics.completed.v1"]
    job_id: JobId
    user_id: Int64
    test_loss: float
    test_ppl: float
    artifact_path: str


TrainerMetricsEventV1: TypeAlias = TrainerConfigV1 | TrainerProgressV1 | TrainerCompletedV1

TRAINER_METRICS: Final[EventFamily[TrainerMetricsEventV1]] = EventFamily(
    group="metrics",
    version=1,
    domain=TRAINER,
    shapes={
        "config": TypedShape(TrainerConfigV1),
        "progress": TypedShape(TrainerProgressV1),
        "completed": TypedShape(TrainerCompletedV1),
    },
)


def encode_trainer_metrics_event(event: TrainerMetricsEventV1) -> str:
    """Write a trainer metrics event as the one compact JSON object that goes on the wire.

    Raises:
        DecodeError: a field is missing, undeclared or does not fit; NaN and infinities do not.
        UnknownEventError: the event's `type` is of no trainer metrics event.
    """
    return TRAINER_METRICS.encode(event)


def decode_trainer_metrics_event(text: str | bytes) -> TrainerMetricsEventV1:
    """Read a trainer metrics event from the wire; undeclared fields are left out.

    Raises:
        DecodeError: malformed.
        UnknownEventError: well-formed, of another family or a later version. Not an error to log.
    """
    return TRAINER_METRICS.decode(text)


def is_trainer_config(event: TrainerMetricsEventV1) -> TypeIs[TrainerConfigV1]:
    """Tell whether the event gives the run's settings."""
    return event["type"] == "trainer.metrics.config.v1"


def is_trainer_progress(event: TrainerMetricsEventV1) -> TypeIs[TrainerProgressV1]:
    """Tell whether the event gives figures after a step."""
    return event["type"] == "trainer.metrics.progress.v1"


def is_trainer_completed(event: TrainerMetricsEventV1) -> TypeIs[TrainerCompletedV1]:
    """Tell whether the event gives the figures on the test set."""
    return event["type"] == "trainer.metrics.completed.v1"
