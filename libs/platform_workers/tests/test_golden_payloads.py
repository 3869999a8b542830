"""Golden payloads: a payload that an old release took and this one does not is a fault that is named."""

from pathlib import Path
from typing import NotRequired, TypedDict

import pytest
from platform_core.job_events import JobDomain

from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.testing import golden_payload_faults


class GrownPayload(TypedDict):
    """A payload that has grown by an optional field, which is safe."""

    width: int
    colour: NotRequired[str]


class BrokenPayload(TypedDict):
    """A payload that has grown by a required field: waiting jobs cannot have it."""

    width: int
    height: int


def run(payload: GrownPayload | BrokenPayload, job: JobRun) -> JobResult:
    return {"result_id": f"{job.job_id}-{payload['width']}", "result_bytes": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "image.resize").mkdir()
    (tmp_path / "image.resize" / "v1.json").write_text('{"width":3}')
    return tmp_path


@pytest.fixture
def registry(domain: JobDomain) -> HandlerRegistry:
    return HandlerRegistry(domain=domain)


def test_an_optional_field_more_breaks_nothing(registry: HandlerRegistry, folder: Path) -> None:
    registry.register("image.resize", GrownPayload, run)
    assert golden_payload_faults(registry, folder) == []


def test_a_payload_that_is_refused_now_is_named(registry: HandlerRegistry, folder: Path) -> None:
    registry.register("image.resize", BrokenPayload, run)
    (fault,) = golden_payload_faults(registry, folder)
    assert fault == "image.resize/v1.json: $.payload.height: expected int, found missing"


def test_a_type_without_a_payload_is_named(registry: HandlerRegistry, folder: Path) -> None:
    registry.register("image.resize", GrownPayload, run)
    registry.register("image.rotate", GrownPayload, run)
    (fault,) = golden_payload_faults(registry, folder)
    assert fault.startswith("image.rotate: there is no golden payload")


def test_a_type_that_went_while_its_jobs_may_wait_is_named(registry: HandlerRegistry, folder: Path) -> None:
    (fault,) = golden_payload_faults(registry, folder)
    assert fault.startswith("image.resize: no such job type is registered")
