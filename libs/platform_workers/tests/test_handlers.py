"""The registry: typed payloads, limits, and clear words for what is unknown."""

from typing import TypedDict

import pytest
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue

from platform_workers.errors import HandlerRegistrationError, UnknownJobTypeError
from platform_workers.handlers import DEFAULT_LIMITS, HandlerRegistry, JobResult, JobRun
from platform_workers.testing import FakeJobRun


class ResizePayload(TypedDict):
    width: int


def resize(payload: ResizePayload, job: JobRun) -> JobResult:
    return {"result_id": f"{job.job_id}-{payload['width']}", "result_bytes": payload["width"]}


@pytest.fixture
def registry(domain: JobDomain) -> HandlerRegistry:
    registry = HandlerRegistry(domain=domain)
    registry.register(
        "image.resize", ResizePayload, resize, max_attempts=2, timeout_seconds=9, backoff_seconds=1
    )
    return registry


def test_a_handler_gets_its_decoded_payload(registry: HandlerRegistry) -> None:
    bound = registry.get("image.resize")["bind"]({"width": 3})
    assert bound(FakeJobRun(registry.domain)) == {"result_id": "job-1-3", "result_bytes": 3}


@pytest.mark.parametrize(
    ("payload", "path"), [({}, "$.payload.width"), ({"width": "3"}, "$.payload.width"), ([], "$.payload")]
)
def test_a_wrong_payload_is_refused_with_the_path(
    payload: JsonValue, path: str, registry: HandlerRegistry
) -> None:
    with pytest.raises(DecodeError) as caught:
        registry.get("image.resize")["bind"](payload)
    assert caught.value.path == path


def test_an_unknown_type_is_refused_with_the_known_ones(registry: HandlerRegistry) -> None:
    with pytest.raises(UnknownJobTypeError, match=r"'image.rotate'; known: image.resize"):
        registry.get("image.rotate")
    with pytest.raises(UnknownJobTypeError, match="known: none"):
        HandlerRegistry(domain=registry.domain).get("image.rotate")


def test_limits_fall_back_for_a_type_this_process_does_not_know(registry: HandlerRegistry) -> None:
    assert registry.limits_of("image.resize") == {
        "max_attempts": 2, "timeout_seconds": 9, "backoff_seconds": 1,
    }  # fmt: skip
    assert registry.limits_of("image.rotate") == DEFAULT_LIMITS


@pytest.mark.parametrize("name", ["", "Image", "image resize", "image..resize", ".x", "9x", "x" * 65])
def test_a_malformed_type_is_refused(name: str, registry: HandlerRegistry) -> None:
    with pytest.raises(HandlerRegistrationError):
        registry.register(name, ResizePayload, resize)


def test_a_type_is_registered_once(registry: HandlerRegistry) -> None:
    with pytest.raises(HandlerRegistrationError, match="already"):
        registry.register("image.resize", ResizePayload, resize)


@pytest.mark.parametrize(("attempts", "timeout", "backoff"), [(0, 1, 1.0), (1, 0, 1.0), (1, 1, -1.0)])
def test_limits_must_make_sense(
    attempts: int, timeout: int, backoff: float, registry: HandlerRegistry
) -> None:
    with pytest.raises(HandlerRegistrationError, match="max_attempts"):
        registry.register(
            "a",
            ResizePayload,
            resize,
            max_attempts=attempts,
            timeout_seconds=timeout,
            backoff_seconds=backoff,
        )
