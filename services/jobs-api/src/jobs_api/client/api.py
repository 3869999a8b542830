"""The API as the client sees it: one method a request."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from platform_core.json_values import JsonObject, encode_json

from jobs_api.client.connection import CHUNK_BYTES, Connection, Download, decoded
from jobs_api.client.documents import Job, Uploaded
from jobs_api.client.server_events import ServerEvent, parse_server_events

SILENCE_SECONDS: Final = 30.0
"""An event stream that says nothing for this long is dead: the server sends a sign of life every ten."""


class JobsApi:
    """The API at one address.

    Every method raises `ServerUnreachableError` and `RefusedError`.

    Args:
        connection: the way to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page_url(self, domain: str, job_id: str) -> str:
        """Return the address of a job's page, for a browser."""
        return f"{self._connection.address}/jobs/{domain}/{job_id}"

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

            text = self._connection.call(
                "POST",
                "/v1/files",
                params={"name": path.name},
                content=chunks(),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            )
        return decoded(text, Uploaded)

    def submit(self, body: JsonObject) -> Job:
        """Submit a job."""
        content = encode_json(body).encode()
        headers = {"Content-Type": "application/json"}
        return decoded(self._connection.call("POST", "/v1/jobs", content=content, headers=headers), Job)

    def job_text(self, domain: str, job_id: str) -> str:
        """Return a job's record as the JSON text that the API gave."""
        return self._connection.call("GET", f"/v1/jobs/{domain}/{job_id}").decode()

    def job(self, domain: str, job_id: str) -> Job:
        """Return a job's record."""
        return decoded(self.job_text(domain, job_id), Job)

    def result(self, domain: str, job_id: str) -> AbstractContextManager[Download]:
        """Open a job's result."""
        return self._connection.stream(f"/v1/jobs/{domain}/{job_id}/result")

    def events(self, domain: str, job_id: str) -> Iterator[ServerEvent]:
        """Give a job's events as they come, until the server ends the stream."""
        with self._connection.stream(f"/v1/jobs/{domain}/{job_id}/events", SILENCE_SECONDS) as answer:
            yield from parse_server_events(answer.lines())
