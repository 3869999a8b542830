"""The circuit of a provider: open while its account is refused, so that no mail dies of a wrong key.

While it is open nothing is sent but one probe a minute; when a mail passes it closes. A provider that only
asked for a pause (429) is left alone until then, without alarm. Both are kept in Redis, because every replica
must keep to them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.clock import Clock, to_iso, to_millis
from platform_core.json_values import JsonObject, convert_as
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from platform_notify.providers.base import SendResult
from platform_notify.retry import GIVE_UP_AFTER, MAX_RETRY_AFTER, wait_asked

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS_DIGITS: Final = 14

SCRIPTS: Final = Path(__file__).parent / "scripts"

PROBE_PAUSE: Final = timedelta(seconds=60)
"""The time between two probes of an open circuit."""

DEFAULT_PAUSE: Final = timedelta(seconds=10)
"""How long to leave alone a provider that said "too much" and not for how long: Mailtrap counts 10 s."""

_OPEN = load_script(SCRIPTS, "circuit_open")
_CLOSE = load_script(SCRIPTS, "circuit_close")
_PAUSE = load_script(SCRIPTS, "provider_pause")

# A delivery that outlived the open circuit is given up at most this long after it closed.
_REMEMBER_CLOSED = GIVE_UP_AFTER + MAX_RETRY_AFTER

CircuitChange: TypeAlias = Literal["open", "close", "keep"]


class CircuitState(TypedDict):
    """How a provider's circuit stands.

    Attributes:
        opened_at: since when it is open.
        why: what the provider said when it refused the account.
        closed_at: when it was closed, if that was lately.
        paused_until: until when the provider asked to be left alone; absent if it did not, or that is over.
    """

    state: Literal["open", "closed"]
    opened_at: NotRequired[datetime]
    why: NotRequired[str]
    closed_at: NotRequired[datetime]
    paused_until: NotRequired[datetime]


def decide_circuit(results: Sequence[SendResult]) -> CircuitChange:
    """Decide what the results of one sending mean for the circuit. Pure.

    A refused account opens it, whatever else passed before. A mail that was taken, or refused for itself,
    shows that the account is well.
    """
    classes = {"sent" if result["outcome"] == "sent" else result["error_class"] for result in results}
    if "auth" in classes:
        return "open"
    return "close" if classes & {"sent", "refused"} else "keep"


def decide_pause(results: Sequence[SendResult]) -> timedelta:
    """Decide how long to leave the provider alone after these results. Pure.

    Returns:
        The longest wait asked for with a 429; zero if there was none.
    """
    pauses = [
        wait_asked(result["retry_after"]) or DEFAULT_PAUSE
        for result in results
        if result["outcome"] == "failed" and result["error_class"] == "rate_limited"
    ]
    return max(pauses, default=timedelta(0))


def why_refused(results: Sequence[SendResult]) -> str:
    """Give what the provider said about the account; empty if it took it."""
    for result in results:
        if result["outcome"] == "failed" and result["error_class"] == "auth":
            return result["detail"]
    return ""


def circuit_key(provider: str) -> str:
    """Return the key of a provider's circuit."""
    return f"notify:circuit:{provider}"


def pause_key(provider: str) -> str:
    """Return the key of the time until which a provider asked to be left alone."""
    return f"notify:pause:{provider}"


class Circuit:
    """One provider's circuit in Redis. Its methods raise `RedisUnavailableError` if Redis does not answer."""

    def __init__(self, redis: RedisClient, provider: str, clock: Clock) -> None:
        self._redis = redis
        self._provider = provider
        self._clock = clock

    def open(self, why: str) -> bool:
        """Open it, or put off the next probe; True for the one caller who opened it, who raises the alarm.

        Args:
            why: what the provider said, without secrets.
        """
        now = self._clock.now()
        pause = str(milliseconds(PROBE_PAUSE))
        reply = self._redis.run_script(
            {
                "script": _OPEN,
                "keys": [circuit_key(self._provider)],
                "args": [str(to_millis(now)), to_iso(now), pause, why],
            }
        )
        return reply == ["opened"]

    def close(self) -> bool:
        """Close it; True for the one caller who closed it."""
        reply = self._redis.run_script(
            {
                "script": _CLOSE,
                "keys": [circuit_key(self._provider)],
                "args": [to_iso(self._clock.now()), str(milliseconds(_REMEMBER_CLOSED))],
            }
        )
        return reply == ["closed"]

    def pause(self, duration: timedelta) -> None:
        """Send nothing for that long."""
        now = self._clock.now()
        self._redis.run_script(
            {
                "script": _PAUSE,
                "keys": [pause_key(self._provider)],
                "args": [str(to_millis(now + duration)), str(to_millis(now))],
            }
        )

    def state(self) -> CircuitState:
        """Return how it stands.

        Raises:
            DecodeError: what is stored is no circuit.
        """
        fields = self._redis.hgetall(circuit_key(self._provider))
        record: JsonObject = {"state": "closed", **fields}
        state = convert_as(record, CircuitState, "circuit")
        paused_until = self._paused_until()
        if paused_until is not None:
            state["paused_until"] = paused_until
        return state

    def _paused_until(self) -> datetime | None:
        text = self._redis.get(pause_key(self._provider)) or ""
        # Anything else was written by hand, and no claim keeps to it.
        if not (text.isascii() and text.isdigit() and len(text) <= _MILLIS_DIGITS):
            return None
        until = _EPOCH + timedelta(milliseconds=int(text))
        return until if until > self._clock.now() else None


def milliseconds(duration: timedelta) -> int:
    """Return a duration in whole milliseconds, as Redis counts."""
    return duration // timedelta(milliseconds=1)
