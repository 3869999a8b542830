"""Durations, sizes and moments as a person says them. Pure functions, the same on every machine."""

from datetime import UTC, datetime, timedelta

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_HOUR, _DAY = 60, 1440
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIZES = ("kB", "MB", "GB")
_LARGEST = "TB"
_STEP = 1000


def human_duration(duration: timedelta) -> str:
    """Say a duration by its two largest units, such as `2 min 5 s`; a negative one counts as none."""
    seconds = round(duration.total_seconds())
    if seconds < 1:
        return "less than a second"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            word = "days" if unit == "day" and count > 1 else unit
            parts.append(f"{count} {word}")
        elif parts:
            break
    return " ".join(parts[:2])


def human_span(duration: timedelta) -> str:
    """Say a stretch of time to follow `in the last`: `minute`, `10 minutes`, `3 hours`, `2 days`."""
    minutes = max(1, round(duration.total_seconds() / 60))
    if minutes >= 2 * _DAY:
        return f"{round(minutes / _DAY)} days"
    if minutes >= 2 * _HOUR:
        return f"{round(minutes / _HOUR)} hours"
    return "minute" if minutes == 1 else f"{minutes} minutes"


def human_size(size: int) -> str:
    """Say a number of bytes, such as `12.4 kB` (1 kB is 1,000 bytes)."""
    if size < _STEP:
        return "1 byte" if size == 1 else f"{size} bytes"
    amount = float(size)
    for unit in _SIZES:
        amount /= _STEP
        # 999.95 would be written as 1000.0.
        if amount < _STEP - 0.05:
            return f"{amount:.1f} {unit}"
    return f"{amount / _STEP:,.1f} {_LARGEST}"


def human_time(moment: datetime) -> str:
    """Say a moment in UTC, such as `21 Nov 2026, 09:26 UTC`.

    Args:
        moment: aware.
    """
    there = moment.astimezone(UTC)
    # Not strftime: its month names follow the machine's language.
    return f"{there.day} {_MONTHS[there.month - 1]} {there.year}, {there:%H:%M} UTC"
