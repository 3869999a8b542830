"""Files: what jobs work on, and what they make."""

from collections.abc import Sequence
from typing import Final

from platform_core.json_values import JsonObject

from jobs_api.http.openapi.operations import (
    FILE_ID,
    JSON,
    NO_FILE,
    STORE_AWAY,
    Operation,
    query,
    ref,
)

_BINARY: Final[JsonObject] = {"type": "string", "format": "binary"}
_INT64: Final[JsonObject] = {
    "type": "integer",
    "format": "int64",
    "minimum": -(2**63),
    "maximum": 2**63 - 1,
}

UPLOAD: Final[Operation] = {
    "path": "/v1/files",
    "method": "post",
    "name": "uploadFile",
    "tag": "files",
    "summary": "Upload a file",
    "about": "Takes a file: the body itself, or a form with the file in the field `file`. It is streamed "
    "to the "
    "object store, and there only when it is whole.",
    "parameters": [
        query(
            "name",
            "The file's name, shown and offered again; never part of a path.",
            {"type": "string"},
            "orders.csv",
        ),
    ],
    "body": {
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": _BINARY},
                "required": ["file"],
            },
        },
        "about": "The file. No body at all is an empty file.",
        "examples": {},
        "optional": True,
    },
    "answers": [
        {
            "status": 201,
            "about": "The file is stored.",
            "content": {JSON: ref("StoredFile")},
            "example": {
                "file_id": "0f8fad5bd9cb469fa165708867280a6c",
                "name": "orders.csv",
                "content_type": "application/octet-stream",
                "bytes": 84,
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            },
            "headers": [{"name": "Location", "about": "Where the file is.", "schema": {"type": "string"}}],
        }
    ],
    "refusals": [
        {
            "status": 400,
            "word": "broken-form",
            "detail": "The form can't be read: unexpected end of parser input.",
            "about": "The form can't be read, or the upload broke off.",
        },
        {
            "status": 413,
            "word": "too-large",
            "detail": "The file is too large: at most 10,737,418,240 bytes are taken.",
            "about": "The file is too large.",
        },
        {
            "status": 422,
            "word": "invalid-fields",
            "detail": "file: the form has no file in a field named `file`",
            "about": "The form has no file, or a parameter is wrong.",
            "errors": {"file": "expected a file, found missing"},
        },
        STORE_AWAY,
    ],
}

DOWNLOAD: Final[Operation] = {
    "path": "/v1/files/{file_id}",
    "method": "get",
    "name": "downloadFile",
    "tag": "files",
    "summary": "Download a file",
    "about": "Sends an uploaded file or a result as it was stored, always as an attachment.",
    "parameters": [FILE_ID],
    "answers": [{"status": 200, "about": "The file.", "content": {"*/*": _BINARY}}],
    "refusals": [NO_FILE, STORE_AWAY],
}

OPERATIONS: Final[Sequence[Operation]] = (
    UPLOAD,
    DOWNLOAD,
)
