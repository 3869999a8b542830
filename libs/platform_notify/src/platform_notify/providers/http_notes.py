"""A transport for `requests` that keeps what an SDK throws away: the last answer."""

from collections.abc import Mapping
from typing import TypedDict

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from typing_extensions import override


class AnswerNote(TypedDict):
    """What came back.

    Attributes:
        status: the HTTP status.
        retry_after: the header, as it stands.
        body: the whole body, unpacked.
    """

    status: int
    retry_after: str | None
    body: bytes


class NotingAdapter(HTTPAdapter):
    """Sends requests as usual and keeps a note of the last answer.

    Attributes:
        note: the last answer; None from the moment a request goes out until its answer is read whole.
    """

    note: AnswerNote | None = None

    @override
    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request; see `requests.adapters.HTTPAdapter.send`."""
        self.note = None
        response = super().send(request, stream, timeout, verify, cert, proxies)
        body: bytes = response.content
        self.note = {
            "status": response.status_code,
            "retry_after": response.headers.get("Retry-After"),
            "body": body,
        }
        return response
