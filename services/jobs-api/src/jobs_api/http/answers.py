"""Answers in JSON, and files sent as a stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

from litestar import HttpMethod, Request, Response
from litestar.datastructures import State
from litestar.response import Stream
from platform_core.json_values import JsonValue, encode_json

from jobs_api.file_names import attachment_header
from jobs_api.object_store import FileStore, StoredFile

READ: Final = (HttpMethod.GET, HttpMethod.HEAD)
"""The methods of what can be read: HEAD wherever GET is (RFC 9110, 9.1). The server sends no body for it."""


def json_response(
    value: JsonValue, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """Return a JSON answer."""
    return Response(
        encode_json(value).encode(), status_code=status, media_type="application/json", headers=headers
    )


def is_head(request: Request[object, object, State]) -> bool:
    """Tell whether no body is wanted; a stream must not be opened then, for it would be read to its end."""
    return request.method == HttpMethod.HEAD


async def send_file(request: Request[object, object, State], files: FileStore, file_id: str) -> Stream:
    """Return a stored file as a download; for HEAD its headers alone.

    Raises:
        FileMissingError: there is none of this id.
        ObjectStoreError: the store fails.
    """
    about = await asyncio.to_thread(files.describe, file_id)
    return file_response(about, iter(()) if is_head(request) else await files.open_stream(file_id))


def file_response(about: StoredFile, content: AsyncIterator[bytes] | Iterator[bytes]) -> Stream:
    """Return a stored file as a download under its own name.

    A browser must never run what somebody uploaded as a page of this site: it is always an attachment, and
    its type is not guessed.
    """
    return Stream(
        content,
        media_type=about["content_type"],
        headers={
            "Content-Disposition": attachment_header(about["name"]),
            "Content-Length": str(about["bytes"]),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": f'"{about["sha256"]}"',
        },
    )
