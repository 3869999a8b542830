"""What a failed request to Mailtrap means: one pure decision from the answer, or from the lack of one.

Where two readings are possible the choice is the one that loses no mail: a wrong inbox (404), an unpaid
account (402) or any other 4xx that is not known to be about the mail opens the circuit like a wrong key, it
does not kill every mail.
"""

from collections.abc import Sequence
from datetime import datetime

from platform_core.errors import DecodeError
from platform_core.json_values import JsonValue, decode_json
from requests.exceptions import (
    ConnectionError as LostConnectionError,
)
from requests.exceptions import (
    ConnectTimeout,
    RequestException,
    Timeout,
)
from urllib3.exceptions import NewConnectionError

from platform_notify.providers.base import ErrorClass, Failed, failed
from platform_notify.providers.http_notes import AnswerNote, EndlessAnswerError
from platform_notify.providers.retry_after import parse_retry_after
from platform_notify.providers.secret import Secret

_REFUSED = frozenset({400, 413, 422})
_REQUEST_TIMEOUT = 408
_TOO_EARLY = 425
_TOO_MANY_REQUESTS = 429
_OK = 200
_MULTIPLE_CHOICES = 300
_BAD_REQUEST = 400
_SERVER_ERROR = 500

_BROKEN_OFF = (LostConnectionError, EndlessAnswerError)


def is_success(note: AnswerNote) -> bool:
    """Tell whether the answer is a 2xx."""
    return _OK <= note["status"] < _MULTIPLE_CHOICES


def status_class(status: int) -> ErrorClass:
    """Say what a status other than 2xx means."""
    if status in _REFUSED:
        return "refused"
    if status == _TOO_MANY_REQUESTS:
        return "rate_limited"
    if status == _REQUEST_TIMEOUT:
        return "timeout"
    if status >= _SERVER_ERROR or status == _TOO_EARLY:
        return "server"
    return "auth" if status >= _BAD_REQUEST else "unexpected"


def fault_of_answer(
    note: AnswerNote, words: Sequence[str], now: datetime, secrets: Sequence[Secret]
) -> Failed:
    """Judge an answer other than 2xx.

    Args:
        note: the answer.
        words: what Mailtrap said is wrong.
        now: the present time, for a Retry-After that is a date.
        secrets: what must not be seen in the detail.
    """
    error_class = status_class(note["status"])
    return failed(
        error_class,
        f"HTTP {note['status']}: {'; '.join(words) or 'no reason given'}",
        secrets=secrets,
        retry_after=parse_retry_after(note["retry_after"], now),
        # A gateway that gave up, or a server that broke, may have done so after the mail went out.
        ambiguous=error_class == "timeout" or note["status"] >= _SERVER_ERROR,
    )


def fault_of_unread(note: AnswerNote, secrets: Sequence[Secret]) -> Failed:
    """Judge a 2xx that is not the answer the API describes."""
    try:
        value: JsonValue = decode_json(note["body"])
    except DecodeError:
        value = None
    if isinstance(value, dict) and value.get("success") is False:
        errors = value.get("errors")
        words = [str(item) for item in errors] if isinstance(errors, list) else [str(errors or "")]
        detail = f"HTTP {note['status']}, success false: {'; '.join(words) or 'no reason given'}"
        return failed("refused", detail, secrets=secrets)
    size = len(note["body"])
    return failed("server", f"HTTP {note['status']} with {size} bytes nobody can read", ambiguous=True)


def fault_without_answer(error: Exception, *, in_handshake: bool = False) -> Failed:
    """Judge a request that got no whole answer.

    Args:
        error: what came of it.
        in_handshake: it came while TLS was agreed upon: a bad certificate, a server that speaks no TLS or
            another kind, a line that was cut. Nothing of the request was written then.

    The libraries' own texts are not used: they can quote the request's headers, and so the key.
    """
    reasons = _reasons(error)
    names = " <- ".join(type(reason).__name__ for reason in reasons)
    last = reasons[-1]
    # The operating system's words (`Connection refused`) quote nothing.
    harmless = isinstance(last, OSError) and not isinstance(last, RequestException)
    detail = f"{names}: {last}" if harmless else names
    never_connected = any(isinstance(reason, NewConnectionError) for reason in reasons)
    if in_handshake or never_connected or isinstance(error, ConnectTimeout):
        return failed("connect", detail)
    if any(isinstance(reason, TimeoutError | Timeout) for reason in reasons):
        return failed("timeout", detail, ambiguous=True)
    if isinstance(error, _BROKEN_OFF):
        return failed("server", detail, ambiguous=True)
    return failed("unexpected", detail)


def _reasons(error: Exception) -> list[BaseException]:
    """Give the error and what it came from, down to the first cause."""
    reasons: list[BaseException] = []
    reason: BaseException | None = error
    while reason is not None:
        reasons.append(reason)
        reason = reason.__cause__ or reason.__context__
    return reasons
