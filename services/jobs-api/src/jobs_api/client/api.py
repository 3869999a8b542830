"""The API as the client sees it: one method a request, answers decoded, two kinds of error."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NotRequired, TypedDict, TypeVar
from urllib.parse import urlsplit

import httpx
from platform_core.errors import DecodeError, PlatformError
from platform_core.job_events import ErrorKind
from platform_core.job_types import JobStatusLiteral
from platform_core.json_values import JsonObject, decode_as, encode_json

from jobs_api.client.server_events import ServerEvent, parse_server_events

CHUNK_BYTES: Final = 256 * 1024
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 30.0
"""An event stream that says nothing for this long is dead: the server sends a sign of life every ten."""

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Job(TypedDict):
    """What the client reads of a job's record; the API's document has more."""

    domain: str
    job_id: str
    status: JobStatusLiteral
    progress: int
    message: str | None
    error: str | None
    created_at: str
    job_type: NotRequired[str]
    attempt_count: NotRequired[int]
    max_attempts: NotRequired[int]
    started_at: NotRequired[str]
    finished_at: NotRequired[str]
    run_after: NotRequired[str]
    result_id: NotRequired[str]
    result_bytes: NotRequired[int]
    error_kind: NotRequired[ErrorKind]


class Uploaded(TypedDict):
    """What the API says of a file it took."""

    file_id: str
    name: str
    bytes: int


class _Fault(TypedDict):
    field: str
    detail: str


class _Problem(TypedDict):
    detail: str
    errors: NotRequired[list[_Fault]]


class ServerUnreachableError(PlatformError):
    """The API does not answer, or what answers is no jobs API: the address or the server is at fault."""


class RefusedError(PlatformError):
    """The API answered and refused; the message says why, in its words.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Download:
    """A file on its way to the client.

    Attributes:
        size: its size in bytes; None when the server did not say.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        length: str = response.headers.get("content-length", "")
        self.size = int(length) if length.isdigit() else None

    def chunks(self) -> Iterator[bytes]:
        """Give the content, once."""
        yield from self._response.iter_bytes(CHUNK_BYTES)


class JobsApi:
    """The API at one address.

    Every method raises `ServerUnreachableError` and `RefusedError`.

    Args:
        http: the vendor's client, with the API's address as its base.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def page_url(self, domain: str, job_id: str) -> str:
        """Return the address of a job's page, for a browser."""
        return f"{str(self._http.base_url).rstrip('/')}/jobs/{domain}/{job_id}"

    def upload(self, path: Path, on_bytes: Callable[[int], None]) -> Uploaded:
        """Send a local file.

        Args:
            path: the file.
            on_bytes: told how many bytes were sent, chunk by chunk.

        Raises:
            OSError: the file can't be read.
        """
        with path.open("rb") as source:
            size = path.stat().st_size

            def chunks() -> Iterator[bytes]:
                while chunk := source.read(CHUNK_BYTES):
                    yield chunk
                    on_bytes(len(chunk))

            text = self._call(
                "POST",
                "/v1/files",
                params={"name": path.name},
                content=chunks(),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            )
        return _decoded(text, Uploaded)

    def submit(self, body: JsonObject) -> Job:
        """Submit a job."""
        content = encode_json(body).encode()
        return _decoded(
            self._call("POST", "/v1/jobs", content=content, headers={"Content-Type": "application/json"}), Job
        )

    def job_text(self, domain: str, job_id: str) -> str:
        """Return a job's record as the JSON text that the API gave."""
        return self._call("GET", f"/v1/jobs/{domain}/{job_id}").decode()

    def job(self, domain: str, job_id: str) -> Job:
        """Return a job's record."""
        return _decoded(self.job_text(domain, job_id), Job)

    @contextmanager
    def result(self, domain: str, job_id: str) -> Iterator[Download]:
        """Open a job's result."""
        with self._stream(f"/v1/jobs/{domain}/{job_id}/result", ANSWER_SECONDS) as response:
            yield Download(response)

    def events(self, domain: str, job_id: str) -> Iterator[ServerEvent]:
        """Give a job's events as they come, until the server ends the stream."""
        with self._stream(f"/v1/jobs/{domain}/{job_id}/events", SILENCE_SECONDS) as response:
            yield from parse_server_events(response.iter_lines())

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        with self._reaching():
            response = self._http.request(method, path, params=params, content=content, headers=headers)
        _raise_if_refused(response)
        return response.content

    @contextmanager
    def _stream(self, path: str, silence_seconds: float) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, read=silence_seconds)
        with self._reaching(), self._http.stream("GET", path, timeout=timeout) as response:
            if response.is_error:
                response.read()
            _raise_if_refused(response)
            yield response

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise ServerUnreachableError(
                f"The jobs API at {self._http.base_url} does not answer ({why}). Is it running, and is "
                "JOBS_API_URL right?"
            ) from None


def open_http(api_url: str) -> httpx.Client:
    """Return a client for the API at `api_url`."""
    return httpx.Client(
        base_url=api_url,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        # A proxy of the environment can't reach this machine's own loopback.
        trust_env=urlsplit(api_url).hostname not in LOOPBACK_HOSTS,
    )


T = TypeVar("T")


def _decoded(text: str | bytes, target: type[T]) -> T:
    try:
        return decode_as(text, target)
    except DecodeError as error:
        raise ServerUnreachableError(
            f"What answers is no jobs API that this client knows ({error}). Is JOBS_API_URL right?"
        ) from None


def _raise_if_refused(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        problem = decode_as(response.content, _Problem)
    except DecodeError:
        raise ServerUnreachableError(
            f"{response.url} answered {response.status_code}, and not as a jobs API does. "
            "Is JOBS_API_URL right?"
        ) from None
    lines = [f"{fault['field']}: {fault['detail']}" for fault in problem.get("errors", [])]
    raise RefusedError("\n".join(lines) or problem["detail"], status=response.status_code)
