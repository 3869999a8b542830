"""Takes the file out of a `multipart/form-data` body as it comes in; nothing is kept in memory or on disk.

The one module that imports the parser `multipart`.
"""

from collections.abc import AsyncIterator, Iterator
from email.message import Message
from typing import Final, TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from jobs_api.http.problems import ProblemError

FILE_FIELD: Final = "file"
MAX_FIELDS: Final = 16

MAX_BESIDE_BYTES: Final = 1024 * 1024
"""How much of a form may be anything else than its file. The file has a limit of its own."""

_Event: TypeAlias = MultipartSegment | bytes | bytearray | None

# Bound once with a plain type: the vendor's exception class takes untyped arguments.
_BROKEN_BODY: type[Exception] = MultipartError


class UploadedPart:
    """The part of the form with the file: its name and type, then its content once."""

    def __init__(self, name: str | None, content_type: str, events: AsyncIterator[_Event]) -> None:
        self.name = name
        self.content_type = content_type
        self._events = events

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the content; then read the rest of the form, so that a broken end is noticed.

        Raises:
            ProblemError: the form is broken, or has another file.
        """
        inside = True
        async for event in self._events:
            if event is None:
                inside = False
            elif isinstance(event, MultipartSegment) and event.name == FILE_FIELD:
                # One would be lost without a word.
                raise _no_one_file("the form has several files", "one file", "another")
            elif inside and isinstance(event, bytes | bytearray):
                yield bytes(event)


def boundary_of(content_type: str) -> str | None:
    """Return the boundary when a `Content-Type` says `multipart/form-data`, else None.

    Raises:
        ProblemError: it is such a form and names no boundary.
    """
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        return None
    boundary = header.get_boundary()
    if not boundary:
        raise _broken("the Content-Type names no boundary")
    return boundary


async def open_file_part(boundary: str, body: AsyncIterator[bytes]) -> UploadedPart:
    """Read on to the field `file` and return it; its content has not been read yet.

    Raises:
        ProblemError: the form is broken, or has no file in a field `file`.
    """
    events = _events(boundary, body)
    async for event in events:
        if isinstance(event, MultipartSegment):
            field: str | None = event.name
            if field == FILE_FIELD:
                name: str | None = event.filename
                content_type: str | None = event.content_type
                return UploadedPart(name, content_type or "application/octet-stream", events)
    raise _no_one_file("the form has no file in a field named `file`", "a file", "missing")


def read_fields(boundary: str, body: bytes) -> dict[str, str]:
    """Return the fields of a small form that is there as a whole; of a name given twice the last one.

    Raises:
        ProblemError: the form is broken.
    """
    fields: dict[str, str] = {}
    name = ""
    try:
        parser: PushMultipartParser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS)
        for chunk in (body, b""):
            parts: Iterator[_Event] = parser.parse(chunk)
            for part in parts:
                if isinstance(part, MultipartSegment):
                    found: str | None = part.name
                    name = found or ""
                    fields[name] = ""
                elif part is not None:
                    fields[name] += bytes(part).decode("utf-8", "replace")
    except _BROKEN_BODY as error:
        raise _broken(str(error)) from None
    return fields


async def _events(boundary: str, body: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
    beside, in_file = 0, False
    try:
        parser: PushMultipartParser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS)
        async for chunk in _with_end(body):
            # Whatever of it is not found to be the file: other fields, and what stands around them all.
            beside += len(chunk)
            parts: Iterator[_Event] = parser.parse(chunk)
            for part in parts:
                if isinstance(part, MultipartSegment):
                    in_file = part.name == FILE_FIELD
                elif part is not None and in_file:
                    beside -= len(part)
                yield part
            if beside > MAX_BESIDE_BYTES:
                raise ProblemError(
                    {
                        "status": 413,
                        "word": "too-large",
                        "detail": "The form is too large: besides the file at most "
                        f"{MAX_BESIDE_BYTES:,} bytes are taken.",
                    }
                )
    except _BROKEN_BODY as error:
        raise _broken(str(error)) from None


async def _with_end(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Give the chunks with one empty chunk after the last, by which the parser knows the end."""
    async for chunk in body:
        if chunk:
            yield chunk
    yield b""


def _no_one_file(why: str, expected: str, found: str) -> ProblemError:
    return ProblemError(
        {
            "status": 422,
            "word": "invalid-fields",
            "detail": f"{FILE_FIELD}: {why}",
            "errors": [{"field": FILE_FIELD, "detail": f"expected {expected}, found {found}"}],
        }
    )


def _broken(why: str) -> ProblemError:
    return ProblemError({"status": 400, "word": "broken-form", "detail": f"The form can't be read: {why}."})
