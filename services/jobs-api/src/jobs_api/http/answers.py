"""Answers in JSON, and files sent as a stream."""

from collections.abc import AsyncIterator

from litestar import Response
from litestar.response import Stream
from platform_core.json_values import JsonValue, encode_json

from jobs_api.file_names import attachment_header
from jobs_api.object_store import StoredFile


def json_response(
    value: JsonValue, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """Return a JSON answer."""
    return Response(
        encode_json(value).encode(), status_code=status, media_type="application/json", headers=headers
    )


def file_response(about: StoredFile, content: AsyncIterator[bytes]) -> Stream:
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
