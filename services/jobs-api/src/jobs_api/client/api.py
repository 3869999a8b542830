"""The API as the client sees it: one method a request."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, TypedDict, TypeVar
from urllib.parse import quote

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, convert_as, decode_json, encode_json, type_name

from jobs_api.client.connection import CHUNK_BYTES, Connection, Download, decoded, no_jobs_api
from jobs_api.client.documents import Job, JobLog, JobPage, JobType, Uploaded
from jobs_api.client.errors import RefusedError
from jobs_api.client.server_events import ServerEvent, parse_server_events

SILENCE_SECONDS: Final = 30.0
"""An event stream that says nothing for this long is dead: the server sends a sign of life every ten."""

JSON_BODY: Final = {"Content-Type": "application/json"}
EVENT_STREAM: Final = "text/event-stream"
OK: Final = 200
CHANGED_MEANWHILE: Final = 412
MAX_CHANGE_TRIES: Final = 5


class Submitted(TypedDict):
    """A job that was submitted; `repeated` if it was so before, under the same idempotency key."""

    job: Job
    repeated: bool


class KnownType(TypedDict):
    """A job type: what the client reads of it, the schema of its payload, and all that the API gave."""

    about: JobType
    schema: JsonObject
    document: JsonObject


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
        headers = {"Content-Type": "application/octet-stream"}
        with path.open("rb") as source:
            # How much will come out of a pipe nobody knows.
            if path.is_file():
                headers["Content-Length"] = str(path.stat().st_size)

            def chunks() -> Iterator[bytes]:
                while chunk := _read(source, path):
                    yield chunk
                    on_bytes(len(chunk))

            params = {"name": _unicode_name(path)}
            answer = self._connection.call(
                "POST", "/v1/files", params=params, content=chunks(), headers=headers
            )
        return decoded(answer.content, Uploaded)

    def submit(self, body: JsonObject, idempotency_key: str | None = None) -> Submitted:
        """Submit a job.

        Args:
            body: the request.
            idempotency_key: the same for every attempt to submit one job; 1 to 255 visible ASCII characters.
        """
        headers = {**JSON_BODY}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        content = encode_json(body).encode()
        answer = self._connection.call("POST", "/v1/jobs", content=content, headers=headers)
        return {"job": decoded(answer.content, Job), "repeated": answer.status_code == OK}

    def file_of_job(self, path: str) -> str:
        """Return the id of the file that a job works on; empty if it works on none.

        Args:
            path: of the job, as the API gave it.
        """
        payload = _object(self._text(path)).get("payload")
        file_id = payload.get("file_id") if isinstance(payload, dict) else None
        return file_id if isinstance(file_id, str) else ""

    def file_digest(self, file_id: str) -> str:
        """Return the SHA-256 of a stored file, in hexadecimal."""
        answer = self._connection.call("HEAD", f"/v1/files/{quote(file_id, safe='')}")
        tag: str = answer.headers.get("etag", "")
        return tag.strip('"')

    def job_text(self, domain: str, job_id: str) -> str:
        """Return a job's record as the JSON text that the API gave."""
        return self._text(job_path(domain, job_id))

    def job(self, domain: str, job_id: str) -> Job:
        """Return a job's record."""
        return decoded(self.job_text(domain, job_id), Job)

    def queue_text(self, domain: str, job_id: str) -> str:
        """Return how a job's queue stands as the JSON text that the API gave."""
        return self._text(f"{job_path(domain, job_id)}/queue")

    def jobs(self, filters: Mapping[str, str]) -> JobPage:
        """Return a page of the list of jobs.

        Args:
            filters: the parameters of the query, `limit` and `cursor` among them.
        """
        document = _object(self._text("/v1/jobs", filters))
        documents = _objects(document.get("jobs"), "jobs")
        page: JobPage = {"jobs": [_converted(each, Job) for each in documents], "documents": documents}
        cursor = document.get("next_cursor")
        if isinstance(cursor, str):
            page["next_cursor"] = cursor
        return page

    def log(self, domain: str, job_id: str, after: str | None, limit: int) -> JobLog:
        """Return lines of a job's log, oldest first.

        Args:
            domain: the job's domain.
            job_id: the job.
            after: the id of the last line that is known already.
            limit: how many at most.
        """
        params = {"limit": str(limit)} if after is None else {"limit": str(limit), "after": after}
        return decoded(self._text(f"{job_path(domain, job_id)}/log", params), JobLog)

    def act(self, domain: str, job_id: str, action: str) -> str:
        """Do something to a job (`cancel`, `retry`); return its record as the JSON text that the API gave."""
        return self._connection.call("POST", f"{job_path(domain, job_id)}/{action}").text

    def statistics_text(self, params: Mapping[str, str]) -> str:
        """Return the statistics as the JSON text that the API gave."""
        return self._text("/v1/stats", params)

    def job_types(self) -> list[KnownType]:
        """Return the job types that the API takes."""
        documents = _objects(_object(self._text("/v1/job-types")).get("job_types"), "job_types")
        return [
            {
                "about": _converted(document, JobType),
                "schema": _as_object(document.get("payload_schema"), "payload_schema"),
                "document": document,
            }
            for document in documents
        ]

    def preferences(self, user_id: str) -> JsonObject:
        """Return a user's notification preferences; an empty object where there are none."""
        return _object(self._text(_preferences_path(user_id)))

    def set_preferences(self, user_id: str, document: JsonObject) -> JsonObject:
        """Replace a user's notification preferences; return them as stored."""
        return self._put_preferences(user_id, document, {})

    def change_preferences(self, user_id: str, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
        """Change a user's notification preferences; return them as stored.

        Args:
            user_id: the user.
            change: makes the new ones of the old ones. It is called again if somebody else, such as the user
                by a click in a mail, has changed them meanwhile.
        """
        tries = 0
        while True:
            tries += 1
            answer = self._connection.call("GET", _preferences_path(user_id))
            version: str | None = answer.headers.get("etag")
            unless_changed = {} if version is None else {"If-Match": version}
            try:
                return self._put_preferences(user_id, change(_object(answer.text)), unless_changed)
            except RefusedError as error:
                if error.status != CHANGED_MEANWHILE or tries == MAX_CHANGE_TRIES:
                    raise

    def _put_preferences(self, user_id: str, document: JsonObject, headers: Mapping[str, str]) -> JsonObject:
        content = encode_json(document).encode()
        answer = self._connection.call(
            "PUT", _preferences_path(user_id), content=content, headers={**JSON_BODY, **headers}
        )
        return _object(answer.text)

    def result(self, domain: str, job_id: str) -> AbstractContextManager[Download]:
        """Open a job's result."""
        return self._connection.stream(f"{job_path(domain, job_id)}/result")

    def events(self, domain: str, job_id: str) -> Iterator[ServerEvent]:
        """Give a job's events and signs of life as they come, until the server ends the stream."""
        with self._connection.stream(f"{job_path(domain, job_id)}/events", SILENCE_SECONDS) as answer:
            if answer.media_type != EVENT_STREAM:
                # A page to sign in at, say, with which a proxy answers everything.
                raise no_jobs_api(DecodeError("Content-Type", EVENT_STREAM, answer.media_type or "missing"))
            yield from parse_server_events(answer.lines(), signs_of_life=True)

    def _text(self, path: str, params: Mapping[str, str] | None = None) -> str:
        return self._connection.call("GET", path, params=params).content.decode("utf-8", "replace")


def job_path(domain: str, job_id: str) -> str:
    """Return the path of a job; whatever stands in its name stays within its part of the path."""
    return f"/v1/jobs/{quote(domain, safe='')}/{quote(job_id, safe='')}"


def _preferences_path(user_id: str) -> str:
    return f"/v1/users/{quote(user_id, safe='')}/notification-preferences"


def _read(source: BinaryIO, path: Path) -> bytes:
    try:
        return source.read(CHUNK_BYTES)
    except OSError as error:
        # A fault while reading does not say of what.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _unicode_name(path: Path) -> str:
    """Return a file's name as text; on some disks a name is any bytes."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _object(text: str) -> JsonObject:
    try:
        value = decode_json(text)
    except DecodeError as error:
        raise no_jobs_api(error) from None
    return _as_object(value, "$")


def _as_object(value: JsonValue, name: str) -> JsonObject:
    if not isinstance(value, dict):
        raise no_jobs_api(DecodeError(name, "object", type_name(value)))
    return value


def _objects(value: JsonValue, name: str) -> list[JsonObject]:
    if not isinstance(value, list):
        raise no_jobs_api(DecodeError(name, "array", type_name(value)))
    return [_as_object(each, name) for each in value]


T = TypeVar("T")


def _converted(document: JsonObject, target: type[T]) -> T:
    try:
        return convert_as(document, target)
    except DecodeError as error:
        raise no_jobs_api(error) from None
