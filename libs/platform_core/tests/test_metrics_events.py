"""The metrics families: what tells their events apart, and what they refuse to write."""

from collections.abc import Callable
from pathlib import Path

import pytest

from platform_core.digits_metrics_events import (
    DigitsMetricsEventV1,
    decode_digits_metrics_event,
    encode_digits_metrics_event,
    is_digits_artifact,
    is_digits_batch,
    is_digits_best,
    is_digits_completed,
    is_digits_config,
    is_digits_epoch,
    is_digits_prune,
    is_digits_upload,
)
from platform_core.errors import DecodeError
from platform_core.trainer_metrics_events import (
    TrainerMetricsEventV1,
    decode_trainer_metrics_event,
    encode_trainer_metrics_event,
    is_trainer_completed,
    is_trainer_config,
    is_trainer_progress,
)

GOLDEN = Path(__file__).parent / "golden"

TRAINER_TESTS: dict[str, Callable[[TrainerMetricsEventV1], bool]] = {
    "config": is_trainer_config,
    "progress": is_trainer_progress,
    "completed": is_trainer_completed,
}
DIGITS_TESTS: dict[str, Callable[[DigitsMetricsEventV1], bool]] = {
    "config": is_digits_config,
    "batch": is_digits_batch,
    "epoch": is_digits_epoch,
    "best": is_digits_best,
    "artifact": is_digits_artifact,
    "upload": is_digits_upload,
    "prune": is_digits_prune,
    "completed": is_digits_completed,
}


@pytest.mark.parametrize("name", TRAINER_TESTS)
def test_each_trainer_event_is_of_exactly_one_kind(name: str) -> None:
    event = decode_trainer_metrics_event((GOLDEN / "trainer" / f"metrics.{name}.v1.json").read_bytes())
    assert [other for other, is_kind in TRAINER_TESTS.items() if is_kind(event)] == [name]


@pytest.mark.parametrize("name", DIGITS_TESTS)
def test_each_digits_event_is_of_exactly_one_kind(name: str) -> None:
    event = decode_digits_metrics_event((GOLDEN / "digits" / f"metrics.{name}.v1.json").read_bytes())
    assert [other for other, is_kind in DIGITS_TESTS.items() if is_kind(event)] == [name]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_run_that_diverged_is_not_written_as_broken_json(loss: float) -> None:
    with pytest.raises(DecodeError, match=r"^\$\.test_loss: expected finite number, found float$"):
        encode_trainer_metrics_event(
            {
                "type": "trainer.metrics.completed.v1",
                "job_id": "a",
                "user_id": 1,
                "test_loss": loss,
                "test_ppl": 1.0,
                "artifact_path": "/m",
            }
        )
    with pytest.raises(DecodeError, match=r"^\$\.val_acc: expected finite number, found float$"):
        encode_digits_metrics_event(
            {
                "type": "digits.metrics.completed.v1",
                "job_id": "a",
                "user_id": 1,
                "model_id": "m",
                "val_acc": loss,
            }
        )
