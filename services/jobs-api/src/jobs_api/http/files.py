"""Uploading and downloading files: `POST /v1/files`, `GET /v1/files/{file_id}`."""

import re
from collections.abc import AsyncIterator
from email.message import Message
from typing import Final

from litestar import Request, Response, Router, post, route
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from platform_core.json_values import JsonObject

from jobs_api.http.access import READS, SUBMITS
from jobs_api.http.answers import READ, json_response, send_file
from jobs_api.http.multipart_body import boundary_of, open_file_part
from jobs_api.http.problems import ProblemError
from jobs_api.http.services import Services
from jobs_api.object_store import StoredFile

_MEDIA_TYPE: Final = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}(; ?charset=[\w-]{1,32})?")
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"

# What a client that was told nothing sends (curl --data-binary): it says nothing about the file.
_FORM_TYPE: Final = "application/x-www-form-urlencoded"

_CLIENT_GONE: type[Exception] = InternalServerException


def file_routes(services: Services) -> Router:
    """Return the routes under `/v1/files`."""
    files, limit = services["files"], services["max_upload_bytes"]

    @post("/", opt=SUBMITS, request_max_body_size=None, summary="Upload a file")
    async def upload(
        request: Request[object, object, State], name: FromQuery[str | None] = None
    ) -> Response[bytes]:
        """Take a file: the body itself (`?name=data.csv`), or a form with the file in the field `file`."""
        content_type = request.headers.get("content-type", "")
        boundary = boundary_of(content_type)
        body = _read_body(request)
        if boundary is None:
            # A length that is told is judged before anything is read.
            _check_size(int(request.headers.get("content-length", "0")), limit)
            given = name or _name_in(request.headers.get("content-disposition"))
            about = await files.save_stream(
                _limited(body, limit), name=given, content_type=media_type_of(content_type)
            )
        else:
            part = await open_file_part(boundary, body)
            about = await files.save_stream(
                _limited(part.chunks(), limit),
                name=name or part.name,
                content_type=media_type_of(part.content_type),
            )
        return json_response(
            file_document(about), status=201, headers={"Location": f"/v1/files/{about['file_id']}"}
        )

    @route("/{file_id:str}", http_method=READ, opt=READS, summary="Download a file")
    async def download(request: Request[object, object, State], file_id: FromPath[str]) -> Stream:
        """Send an uploaded file or a result as it was stored."""
        return await send_file(request, files, file_id)

    return Router("/v1/files", route_handlers=[upload, download], tags=["files"])


def file_document(about: StoredFile) -> JsonObject:
    """Return what the API says of a stored file."""
    return {
        "file_id": about["file_id"],
        "name": about["name"],
        "content_type": about["content_type"],
        "bytes": about["bytes"],
        "sha256": about["sha256"],
    }


def media_type_of(given: str) -> str:
    """Return a media type that is safe to send back later; one that is odd or says nothing is replaced."""
    if given.startswith(_FORM_TYPE) or _MEDIA_TYPE.fullmatch(given) is None:
        return DEFAULT_MEDIA_TYPE
    return given


def _name_in(disposition: str | None) -> str | None:
    if disposition is None:
        return None
    header = Message()
    header["content-disposition"] = disposition
    return header.get_filename()


async def _read_body(request: Request[object, object, State]) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except _CLIENT_GONE:
        raise ProblemError(
            {"status": 400, "word": "incomplete", "detail": "The upload ended before all of it was sent."}
        ) from None


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        _check_size(size, limit)
        yield chunk


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ProblemError(
            {
                "status": 413,
                "word": "too-large",
                "detail": f"The file is too large: at most {limit:,} bytes are taken.",
            }
        )
