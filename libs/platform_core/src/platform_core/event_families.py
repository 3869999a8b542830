"""Every family of events that this library knows, in one place.

To add a family: write its module of TypedDicts and one `EventFamily`, then name it in `KnownEventV1` and
in `EVENT_FAMILIES` below. A team that keeps its family in its own package calls `decode_event_of` with it.
"""

from typing import Final, TypeAlias

from typing_extensions import TypeIs

from platform_core.digits_metrics_events import DIGITS_METRICS, DigitsMetricsEventV1
from platform_core.event_codec import EventFamily, decode_event_of
from platform_core.job_events import JOB_EVENTS, JobEventV1
from platform_core.trainer_metrics_events import TRAINER_METRICS, TrainerMetricsEventV1

KnownEventV1: TypeAlias = TrainerMetricsEventV1 | DigitsMetricsEventV1 | JobEventV1

# Metrics first, lifecycle next.
EVENT_FAMILIES: Final[tuple[EventFamily[KnownEventV1], ...]] = (TRAINER_METRICS, DIGITS_METRICS, JOB_EVENTS)


def decode_event(text: str | bytes) -> KnownEventV1:
    """Read any known event from the wire.

    Raises:
        DecodeError: malformed.
        UnknownEventError: well-formed, of no family known here. Not an error to log.
    """
    return decode_event_of(EVENT_FAMILIES, text)


def is_job_event(event: KnownEventV1) -> TypeIs[JobEventV1]:
    """Tell whether the event is one of a job's lifecycle; only these carry `domain`."""
    return "domain" in event
