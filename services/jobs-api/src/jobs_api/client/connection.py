"""The way to the API: requests, answers decoded, and the kinds of error that a request can end in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NotRequired, TypedDict, TypeVar
from urllib.parse import urlsplit

import httpx
from platform_core.errors import DecodeError, SettingsError
from platform_core.json_values import decode_as

from jobs_api.client.errors import RefusedError, ServerUnreachableError
from jobs_api.settings import ClientSettings

CHUNK_BYTES: Final = 256 * 1024
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 60.0

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Fault(TypedDict):
    field: str
    detail: str


class _Problem(TypedDict):
    type: NotRequired[str]
    detail: str
    errors: NotRequired[list[_Fault]]


class Download:
    """A file on its way to the client.

    Attributes:
        size: its size in bytes; None when the server did not say.
        media_type: what kind of file it is; empty when the server did not say.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        length: str = response.headers.get("content-length", "")
        self.size = int(length) if length.isdigit() else None
        content_type: str = response.headers.get("content-type", "")
        self.media_type = content_type.partition(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """Give the content, once."""
        yield from self._response.iter_bytes(CHUNK_BYTES)

    def lines(self) -> Iterator[str]:
        """Give the content line by line, once."""
        yield from self._response.iter_lines()


class Connection:
    """Requests to the API at one address.

    Every method raises `ServerUnreachableError` and `RefusedError`.

    Args:
        http: the vendor's client, with the API's address as its base.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @property
    def address(self) -> str:
        """The API's address, without a slash at its end and without a password."""
        return _shown(self._http.base_url).rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request; return the answer, its body read."""
        with self._reaching():
            response = self._http.request(method, path, params=params, content=content, headers=headers)
        self._raise_if_refused(response)
        return response

    @contextmanager
    def stream(self, path: str, silence_seconds: float = ANSWER_SECONDS) -> Iterator[Download]:
        """Open an answer whose body is read bit by bit.

        Args:
            path: what to GET.
            silence_seconds: how long nothing may come before the connection counts as lost.
        """
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, read=silence_seconds)
        with self._reaching(), self._http.stream("GET", path, timeout=timeout) as response:
            if response.is_error:
                response.read()
            self._raise_if_refused(response)
            yield Download(response)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.RequestError as error:
            why = str(error) or type(error).__name__
            raise ServerUnreachableError(
                f"The jobs API at {self.address} does not answer ({why}). Is it running, and is "
                "JOBS_API_URL right?"
            ) from None

    def _raise_if_refused(self, response: httpx.Response) -> None:
        if not response.is_error:
            return
        try:
            problem = decode_as(response.content, _Problem)
        except DecodeError:
            raise ServerUnreachableError(
                f"{_shown(response.url)} answered {response.status_code}, and not as a jobs API does. "
                "Is JOBS_API_URL right?"
            ) from None
        lines = [f"{fault['field']}: {fault['detail']}" for fault in problem.get("errors", [])]
        told = "\n".join(lines) or problem["detail"]
        location: str = response.headers.get("location", "")
        word = problem.get("type", "").rpartition(":")[2]
        raise RefusedError(
            f"{told}{self._advice(response, word)}",
            status=response.status_code,
            word=word,
            location=location,
        )

    def _advice(self, response: httpx.Response, word: str) -> str:
        """Return what to do about a refusal that has to do with who asks, or where."""
        match response.status_code:
            case 401 if "Authorization" in self._http.headers:
                return "\nIs JOBS_API_KEY right?"
            case 401:
                return "\nSet JOBS_API_KEY to a key of this API."
            case 403:
                return "\nThe key in JOBS_API_KEY may not do this; ask whoever runs the API for one that may."
            case 404 if word == "request":
                return f"\nIs JOBS_API_URL right? It is {self.address}."
            case 429:
                seconds: str = response.headers.get("retry-after", "")
                return f"\nTry again in {seconds} s." if seconds.isdigit() else "\nTry again in a while."
            case _:
                return ""


def open_http(settings: ClientSettings, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return a client for the API of the settings.

    Args:
        settings: the API's address, and who asks.
        transport: answers in place of the network.

    Raises:
        SettingsError: `JOBS_API_URL` is no URL, or a proxy of the environment is none, or its certificates
            can't be read.
    """
    url, key = settings["api_url"], settings.get("api_key")
    try:
        http = httpx.Client(
            base_url=url,
            transport=transport,
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A proxy of the environment can't reach this machine's own loopback.
            trust_env=urlsplit(url).hostname not in LOOPBACK_HOSTS,
        )
        # A name of the network is read only when it is asked for, and may be none.
        httpx.URL(url).host.encode("idna")
    except OSError as error:
        why = error.strerror or "it holds no certificate"
        raise SettingsError((f"SSL_CERT_FILE or SSL_CERT_DIR can't be used: {why}",)) from None
    except (httpx.InvalidURL, ValueError):
        fault = "JOBS_API_URL, or a proxy's address in the environment, is no URL that can be used"
        raise SettingsError((fault,)) from None
    return http


T = TypeVar("T")


def decoded(text: str | bytes, target: type[T]) -> T:
    """Return an answer as the document that it should be.

    Raises:
        ServerUnreachableError: it is another one, so this is no jobs API.
    """
    try:
        return decode_as(text, target)
    except DecodeError as error:
        raise no_jobs_api(error) from None


def no_jobs_api(error: DecodeError) -> ServerUnreachableError:
    """Return the error for an answer in a form that no jobs API gives."""
    return ServerUnreachableError(
        f"What answers is no jobs API that this client knows ({error}). Is JOBS_API_URL right?"
    )


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(username=None, password=None)) if url.userinfo else str(url)
