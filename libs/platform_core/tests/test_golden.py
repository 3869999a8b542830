"""Every event, over all eight domains, byte for byte as it stands in `golden/`.

The files are the contract with other teams' services. No test writes them; a change to one is a break.
"""

from pathlib import Path

import pytest

from platform_core.digits_metrics_events import (
    DigitsMetricsEventV1,
    decode_digits_metrics_event,
    encode_digits_metrics_event,
)
from platform_core.event_families import decode_event
from platform_core.job_events import (
    KNOWN_DOMAINS,
    JobDomain,
    JobEventV1,
    decode_job_event,
    encode_job_event,
    make_completed_event,
    make_failed_event,
    make_progress_event,
    make_started_event,
)
from platform_core.trainer_metrics_events import (
    TrainerMetricsEventV1,
    decode_trainer_metrics_event,
    encode_trainer_metrics_event,
)

GOLDEN = Path(__file__).parent / "golden"
JOB = "3f2c9a54-8d1e-4b7a-9c0d-5e6f7a8b9c0d"
MODEL = "mnist-resnet18"


def job_events(domain: JobDomain) -> dict[str, JobEventV1]:
    user = 41 + KNOWN_DOMAINS.index(domain)
    return {
        "job.started.v1": make_started_event(domain=domain, job_id=JOB, user_id=user, queue=domain),
        "job.progress.v1": make_progress_event(
            domain=domain,
            job_id=JOB,
            user_id=user,
            progress=50,
            message='Sözlər: 3 of 6 → "half", C:\\tmp\n',
            payload={
                "file": 3,
                "share": 0.5,
                "tags": ["a", None, True, -1],
                "nested": {"empty": {}, "list": []},
            },
        ),
        "job.progress.v1.plain": make_progress_event(domain=domain, job_id=JOB, user_id=user, progress=0),
        "job.completed.v1": make_completed_event(
            domain=domain, job_id=JOB, user_id=user, result_id=f"{domain}-result-1", result_bytes=1048576
        ),
        "job.failed.v1": make_failed_event(
            domain=domain,
            job_id=JOB,
            user_id=user,
            error_kind="user",
            message="row 3 has 2 columns, the header has 4",
        ),
        "job.failed.v1.system": make_failed_event(
            domain=domain, job_id=JOB, user_id=user, error_kind="system", message="the worker was lost"
        ),
    }


TRAINER_EVENTS: dict[str, TrainerMetricsEventV1] = {
    "metrics.config.v1": {
        "type": "trainer.metrics.config.v1",
        "job_id": JOB,
        "user_id": 43,
        "model_family": "gpt2",
        "model_size": "small",
        "total_epochs": 3,
        "queue": "trainer",
        "cpu_cores": 8,
        "memory_mb": 15896,
        "optimal_threads": 4,
        "optimal_workers": 2,
        "batch_size": 16,
        "learning_rate": 0.0005,
    },
    "metrics.config.v1.plain": {
        "type": "trainer.metrics.config.v1",
        "job_id": JOB,
        "user_id": 43,
        "model_family": "gpt2",
        "model_size": "small",
        "total_epochs": 3,
        "queue": "trainer",
    },
    "metrics.progress.v1": {
        "type": "trainer.metrics.progress.v1",
        "job_id": JOB,
        "user_id": 43,
        "epoch": 1,
        "total_epochs": 3,
        "step": 120,
        "train_loss": 2.25,
        "train_ppl": 9.5,
        "grad_norm": 0.875,
        "samples_per_sec": 310.5,
        "val_loss": 2.5,
        "val_ppl": 12.125,
    },
    "metrics.progress.v1.plain": {
        "type": "trainer.metrics.progress.v1",
        "job_id": JOB,
        "user_id": 43,
        "epoch": 1,
        "total_epochs": 3,
        "step": 120,
        "train_loss": 2.25,
        "train_ppl": 9.5,
        "grad_norm": 0.875,
        "samples_per_sec": 310.5,
    },
    "metrics.completed.v1": {
        "type": "trainer.metrics.completed.v1",
        "job_id": JOB,
        "user_id": 43,
        "test_loss": 2.125,
        "test_ppl": 8.375,
        "artifact_path": "/models/trainer/run-1",
    },
}

DIGITS_EVENTS: dict[str, DigitsMetricsEventV1] = {
    "metrics.config.v1": {
        "type": "digits.metrics.config.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "total_epochs": 10,
        "queue": "digits",
        "cpu_cores": 8,
        "optimal_threads": 4,
        "memory_mb": 15896,
        "optimal_workers": 2,
        "max_batch_size": 512,
        "batch_size": 256,
        "device": "cpu",
        "learning_rate": 0.001,
        "aug_rotate": 10.0,
        "aug_translate": 0.125,
        "noise_prob": 0.25,
        "dots_prob": 0.0,
        "augment": True,
    },
    "metrics.config.v1.plain": {
        "type": "digits.metrics.config.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "total_epochs": 10,
        "queue": "digits",
    },
    "metrics.batch.v1": {
        "type": "digits.metrics.batch.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "epoch": 2,
        "total_epochs": 10,
        "batch": 30,
        "total_batches": 235,
        "batch_loss": 0.25,
        "batch_acc": 0.9375,
        "avg_loss": 0.375,
        "samples_per_sec": 1850.5,
        "main_rss_mb": 640,
        "workers_rss_mb": 512,
        "worker_count": 2,
        "cgroup_usage_mb": 1300,
        "cgroup_limit_mb": 4096,
        "cgroup_pct": 31.75,
        "anon_mb": 1100,
        "file_mb": 200,
    },
    "metrics.epoch.v1": {
        "type": "digits.metrics.epoch.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "epoch": 2,
        "total_epochs": 10,
        "train_loss": 0.125,
        "val_acc": 0.96875,
        "time_s": 42.5,
    },
    "metrics.best.v1": {
        "type": "digits.metrics.best.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "epoch": 2,
        "val_acc": 0.96875,
    },
    "metrics.artifact.v1": {
        "type": "digits.metrics.artifact.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "path": "/models/mnist-resnet18/model.pt",
    },
    "metrics.upload.v1": {
        "type": "digits.metrics.upload.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "status": 201,
        "model_bytes": 44782541,
        "manifest_bytes": 2048,
        "file_id": "file-77",
        "file_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "metrics.prune.v1": {
        "type": "digits.metrics.prune.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "deleted_count": 3,
    },
    "metrics.completed.v1": {
        "type": "digits.metrics.completed.v1",
        "job_id": JOB,
        "user_id": 44,
        "model_id": MODEL,
        "val_acc": 0.984375,
    },
}


def golden(domain: str, name: str) -> bytes:
    return (GOLDEN / domain / f"{name}.json").read_bytes()


@pytest.mark.parametrize("domain", KNOWN_DOMAINS)
def test_lifecycle_events_are_the_golden_bytes_and_come_back_equal(domain: JobDomain) -> None:
    for name, event in job_events(domain).items():
        wire = golden(domain, name)
        assert encode_job_event(event).encode() == wire, name
        assert decode_job_event(wire) == event, name
        assert decode_event(wire) == event, name


@pytest.mark.parametrize("name", TRAINER_EVENTS)
def test_trainer_metrics_events_are_the_golden_bytes_and_come_back_equal(name: str) -> None:
    event = TRAINER_EVENTS[name]
    wire = golden("trainer", name)
    assert encode_trainer_metrics_event(event).encode() == wire
    assert decode_trainer_metrics_event(wire) == event
    assert decode_event(wire) == event


@pytest.mark.parametrize("name", DIGITS_EVENTS)
def test_digits_metrics_events_are_the_golden_bytes_and_come_back_equal(name: str) -> None:
    event = DIGITS_EVENTS[name]
    wire = golden("digits", name)
    assert encode_digits_metrics_event(event).encode() == wire
    assert decode_digits_metrics_event(wire) == event
    assert decode_event(wire) == event


def test_every_golden_file_is_compared() -> None:
    compared = {f"{domain}/{name}" for domain in KNOWN_DOMAINS for name in job_events(domain)}
    compared |= {f"trainer/{name}" for name in TRAINER_EVENTS} | {f"digits/{name}" for name in DIGITS_EVENTS}
    files = {str(path.relative_to(GOLDEN)).removesuffix(".json") for path in GOLDEN.rglob("*.json")}
    assert files == compared
