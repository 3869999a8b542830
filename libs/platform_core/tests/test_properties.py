"""Properties that hold for every input: what was written comes back, and no bytes crash a decoder."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from platform_core.digits_metrics_events import DIGITS_METRICS, decode_digits_metrics_event
from platform_core.errors import DecodeError, UnknownEventError
from platform_core.event_families import decode_event
from platform_core.job_events import (
    ErrorKind,
    JobDomain,
    JobEventV1,
    decode_job_event,
    encode_job_event,
    job_domain,
    make_completed_event,
    make_failed_event,
    make_progress_event,
    make_started_event,
)
from platform_core.json_values import (
    JsonObject,
    JsonValue,
    decode_as,
    decode_json,
    encode_json,
    to_json_value,
)
from platform_core.notifications import (
    NotificationIntent,
    decode_context,
    decode_notifications,
    decode_preferences,
)
from platform_core.trainer_metrics_events import TRAINER_METRICS, decode_trainer_metrics_event

T = TypeVar("T")


def for_all(strategy: SearchStrategy[T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """`given`, typed: hypothesis declares its decorator with `Callable[..., None]`."""
    decorate: Callable[[Callable[[T], None]], Callable[[], None]] = given(strategy)
    return decorate


def containers(inner: SearchStrategy[JsonValue]) -> SearchStrategy[JsonValue]:
    arrays: SearchStrategy[JsonValue] = st.lists(inner)
    objects: SearchStrategy[JsonValue] = st.dictionaries(TEXT, inner)
    return arrays | objects


INT64: SearchStrategy[int] = st.integers(-(2**63), 2**63 - 1)
FLOATS: SearchStrategy[float] = st.floats(allow_nan=False, allow_infinity=False)
TEXT: SearchStrategy[str] = st.text()
OPTIONAL_TEXT: SearchStrategy[str | None] = st.none() | TEXT
DOMAINS: SearchStrategy[JobDomain] = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True).map(job_domain)
JOB_IDS: SearchStrategy[str] = st.from_regex(r"[A-Za-z0-9_.\-é]{1,128}", fullmatch=True)
ERROR_KINDS: SearchStrategy[ErrorKind] = st.sampled_from(("user", "system"))
SCALARS: SearchStrategy[JsonValue] = st.none() | st.booleans() | st.integers() | FLOATS | TEXT
JSON_VALUES: SearchStrategy[JsonValue] = st.recursive(SCALARS, containers, max_leaves=20)

STARTED: SearchStrategy[JobEventV1] = st.builds(
    make_started_event, domain=DOMAINS, job_id=JOB_IDS, user_id=INT64, queue=TEXT
)
PROGRESS: SearchStrategy[JobEventV1] = st.builds(
    make_progress_event,
    domain=DOMAINS,
    job_id=JOB_IDS,
    user_id=INT64,
    progress=st.integers(0, 100),
    message=OPTIONAL_TEXT,
    payload=JSON_VALUES,
)
COMPLETED: SearchStrategy[JobEventV1] = st.builds(
    make_completed_event,
    domain=DOMAINS,
    job_id=JOB_IDS,
    user_id=INT64,
    result_id=TEXT,
    result_bytes=st.integers(0, 2**63 - 1),
)
FAILED: SearchStrategy[JobEventV1] = st.builds(
    make_failed_event, domain=DOMAINS, job_id=JOB_IDS, user_id=INT64, error_kind=ERROR_KINDS, message=TEXT
)


@for_all(STARTED | PROGRESS | COMPLETED | FAILED)
def test_a_lifecycle_event_comes_back_as_it_was_written(event: JobEventV1) -> None:
    assert decode_event(encode_job_event(event)) == event


@for_all(JSON_VALUES)
def test_a_json_value_comes_back_as_it_was_written(value: JsonValue) -> None:
    assert decode_json(encode_json(value)) == value


# The metrics events of the contract, field by field; `?` marks an optional one.
TRAINER_FIELDS = {
    "config": "model_family s, model_size s, total_epochs i, queue s, cpu_cores i?, memory_mb i?,"
    " optimal_threads i?, optimal_workers i?, batch_size i?, learning_rate f?",
    "progress": "epoch i, total_epochs i, step i, train_loss f, train_ppl f, grad_norm f, samples_per_sec f,"
    " val_loss f?, val_ppl f?",
    "completed": "test_loss f, test_ppl f, artifact_path s",
}
DIGITS_FIELDS = {
    "config": "model_id s, total_epochs i, queue s, cpu_cores i?, optimal_threads i?, memory_mb i?,"
    " optimal_workers i?, max_batch_size i?, batch_size i?, device s?, learning_rate f?, aug_rotate f?,"
    " aug_translate f?, noise_prob f?, dots_prob f?, augment b?",
    "batch": "model_id s, epoch i, total_epochs i, batch i, total_batches i, batch_loss f, batch_acc f,"
    " avg_loss f, samples_per_sec f, main_rss_mb i, workers_rss_mb i, worker_count i, cgroup_usage_mb i,"
    " cgroup_limit_mb i, cgroup_pct f, anon_mb i, file_mb i",
    "epoch": "model_id s, epoch i, total_epochs i, train_loss f, val_acc f, time_s f",
    "best": "model_id s, epoch i, val_acc f",
    "artifact": "model_id s, path s",
    "upload": "model_id s, status i, model_bytes i, manifest_bytes i, file_id s, file_sha256 s",
    "prune": "model_id s, deleted_count i",
    "completed": "model_id s, val_acc f",
}
BOOLS: SearchStrategy[bool] = st.booleans()
KINDS: dict[str, SearchStrategy[JsonValue]] = {"s": TEXT, "i": INT64, "f": FLOATS, "b": BOOLS}


def metrics_events(domain: str, fields: dict[str, str]) -> SearchStrategy[JsonObject]:
    strategies: list[SearchStrategy[JsonObject]] = []
    for name, line in fields.items():
        words = [field.split() for field in line.split(", ")]
        event_type: SearchStrategy[JsonValue] = st.just(f"{domain}.metrics.{name}.v1")
        required: dict[str, SearchStrategy[JsonValue]] = {
            "type": event_type,
            "job_id": JOB_IDS,
            "user_id": INT64,
        }
        required |= {field: KINDS[kind] for field, kind in words if "?" not in kind}
        optional = {field: KINDS[kind[0]] for field, kind in words if "?" in kind}
        strategies.append(st.fixed_dictionaries(required, optional=optional))
    return st.one_of(strategies)


@for_all(metrics_events("trainer", TRAINER_FIELDS))
def test_a_trainer_metrics_event_comes_back_as_it_was_written(event: JsonObject) -> None:
    assert to_json_value(decode_event(TRAINER_METRICS.encode(event))) == event


@for_all(metrics_events("digits", DIGITS_FIELDS))
def test_a_digits_metrics_event_comes_back_as_it_was_written(event: JsonObject) -> None:
    assert to_json_value(decode_event(DIGITS_METRICS.encode(event))) == event


GOLDEN_BYTES = [path.read_bytes() for path in sorted((Path(__file__).parent / "golden").rglob("*.json"))]
BYTES: SearchStrategy[bytes] = st.binary()
# `characters()` has lone surrogates too, which `text()` leaves out.
ANY_TEXT: SearchStrategy[str] = st.text(st.characters())
JSON_TEXT: SearchStrategy[str] = JSON_VALUES.map(encode_json)
SOME_WIRE: SearchStrategy[bytes] = st.sampled_from(GOLDEN_BYTES)


def spoilt(wire: bytes, start: int, length: int, junk: bytes) -> bytes:
    return wire[:start] + junk + wire[start + length :]


SPOILT_EVENTS: SearchStrategy[bytes] = st.builds(
    spoilt, SOME_WIRE, st.integers(0, 400), st.integers(0, 40), BYTES
)
DECODERS: tuple[Callable[[str | bytes], object], ...] = (
    decode_event,
    decode_job_event,
    decode_trainer_metrics_event,
    decode_digits_metrics_event,
    decode_json,
    decode_preferences,
    lambda text: decode_as(text, NotificationIntent),
)


@for_all(BYTES | SPOILT_EVENTS | ANY_TEXT | JSON_TEXT)
def test_no_input_crashes_a_decoder_with_anything_but_its_own_error(text: str | bytes) -> None:
    for decode in DECODERS:
        with suppress(DecodeError, UnknownEventError):
            decode(text)


@for_all(JSON_VALUES)
def test_no_json_value_crashes_the_notification_decoders(value: JsonValue) -> None:
    shapes: list[JsonValue] = [value, {"email": value}, {"email": {"enabled": True, "on": value}}]
    for shape in shapes:
        with suppress(DecodeError):
            decode_context(shape)
        with suppress(DecodeError):
            decode_notifications(shape)
