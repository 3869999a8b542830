"""The `Retry-After` header of an HTTP answer (RFC 9110 section 10.2.3): seconds, or a date."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = 86_400.0


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read how long to wait.

    Args:
        text: the header's value, None if there is none.
        now: the present time, aware; a date is counted from it.

    Returns:
        Seconds from now, 0 to one day; None if there is no header or nobody can read it.
    """
    if text is None:
        return None
    words = text.strip()
    if words.isascii() and words.isdigit():
        # A longer number is more than a day, and Python refuses to read very long ones.
        seconds = MAX_RETRY_AFTER if len(words) > len("86400") else float(words)
    else:
        try:
            moment = parsedate_to_datetime(words)
        except (ValueError, OverflowError):
            # The second one: an offset from UTC beyond all numbers.
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
