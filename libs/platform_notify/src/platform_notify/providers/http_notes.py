"""A transport for `requests` that keeps what an SDK throws away: the last answer, and how far a request came.

It also reads no answer without end: only so many bytes, and only for so long.
"""

import ssl
from collections.abc import Mapping
from io import BytesIO
from socket import socket
from typing import Final, TypedDict

from platform_core.clock import Clock
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as LostConnectionError
from typing_extensions import override
from urllib3 import HTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

MAX_BODY_BYTES: Final = 8_000_000
"""The longest answer that is read: one for 500 mails has about 100 kB."""

_CHUNK_BYTES: Final = 65_536


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


class EndlessAnswerError(OSError):
    """The answer is longer than any that is meant for us."""


class SlowAnswerError(TimeoutError):
    """The answer had not come whole when the time was up, though each part of it came soon enough."""


class NotingAdapter(HTTPAdapter):
    """Sends requests as usual and keeps a note of the last answer.

    Args:
        clock: measures how long an answer takes.
        seconds: how long one may take from the beginning of its request; looked at whenever a part has come.

    Attributes:
        note: the last answer; None from the moment a request goes out until its answer is read whole.
    """

    note: AnswerNote | None = None

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self._tls = _NotingTls(ssl.PROTOCOL_TLS_CLIENT)
        manager: PoolManager = self.poolmanager
        settings: dict[str, object] = manager.connection_pool_kw
        settings["ssl_context"] = self._tls

    @property
    def in_handshake(self) -> bool:
        """Whether the last request ended before TLS was agreed upon: then nothing of it was written."""
        return self._tls.in_handshake

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
        """Send one request; see `requests.adapters.HTTPAdapter.send`.

        Raises:
            EndlessAnswerError: the answer is too long.
            SlowAnswerError: it took too long.
        """
        self.note = None
        self._tls.in_handshake = False
        until = self._clock.monotonic() + self._seconds
        response = super().send(request, stream, timeout, verify, cert, proxies)
        try:
            body = self._read(response, until)
        except BaseException:
            # What else may come must not be taken for the next answer.
            response.close()
            raise
        # Read already, and read again by whoever asks for it.
        response.raw = BytesIO(body)
        self.note = {
            "status": response.status_code,
            "retry_after": response.headers.get("Retry-After"),
            "body": body,
        }
        return response

    def _read(self, response: Response, until: float) -> bytes:
        raw: HTTPResponse = response.raw
        body = bytearray()
        try:
            # One part as it comes: to wait for a whole chunk of a trickle would take for ever.
            while part := raw.read1(_CHUNK_BYTES, decode_content=True):
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise EndlessAnswerError(f"the answer is longer than {MAX_BODY_BYTES:,} bytes")
                if self._clock.monotonic() > until:
                    raise SlowAnswerError(f"the answer took longer than {self._seconds:g} s")
        except HTTPError as error:
            raise LostConnectionError(error) from error
        return bytes(body)


class _NotingTls(ssl.SSLContext):
    """What TLS is spoken with, and whether it is being agreed upon at this moment."""

    in_handshake = False

    @override
    def wrap_socket(
        self,
        sock: socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        self.in_handshake = True
        # Raises if the connection was reset already: `ssl` would leave the socket of such a one open.
        sock.getpeername()
        wrapped = super().wrap_socket(
            sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
        )
        self.in_handshake = False
        return wrapped
