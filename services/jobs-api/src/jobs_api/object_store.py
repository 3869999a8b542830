"""Uploads and results in an object store: a local folder, or S3, Google or Azure by URL. Streamed both ways.

The one module that imports obstore. A stored file is two objects under a random id: its content, and a small
`about.json` with its name, type, size and digest. That one is written last, so a file that can be found is
whole. A name that came from a client is never part of a path.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url
from platform_core.errors import DecodeError, PlatformError
from platform_core.json_values import decode_as, encode_json

from jobs_api.file_names import clean_file_name

CHUNK_BYTES: Final = 1024 * 1024
"""How much of a file is read or sent at once."""

PART_BYTES: Final = 5 * 1024 * 1024
"""The smallest part that S3 takes of a large object."""

PARTS_AT_ONCE: Final = 2
"""How many parts are under way at once; with `PART_BYTES` this bounds the memory of one upload."""

_FILE_ID: Final = re.compile(r"[0-9a-f]{32}")


class StoredFile(TypedDict):
    """What is known of a stored file.

    Attributes:
        file_id: its id, 32 hex digits.
        name: the name it came with.
        content_type: its media type.
        bytes: its size.
        sha256: the digest of its content, in hex digits.
    """

    file_id: str
    name: str
    content_type: str
    bytes: int
    sha256: str


class ObjectStoreError(PlatformError):
    """The object store did not do what it was asked: try again later, or look at its settings."""


class FileMissingError(PlatformError):
    """There is no stored file with this id."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"there is no file {file_id!r}")
        self.file_id = file_id


class _Measured:
    """Counts and digests what passes through."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        self._digest.update(chunk)
        return chunk


class FileStore:
    """Stores files under random ids. Safe to use from several threads.

    Every method raises `ObjectStoreError` when the store fails, and `FileMissingError` for an id it does not
    have (or that is no id at all).

    Args:
        store: the vendor's store.
        new_id: makes file ids: 32 hex digits that nobody can guess.
    """

    def __init__(self, store: ObjectStore, *, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id

    async def save_stream(
        self, chunks: AsyncIterator[bytes], *, name: str | None, content_type: str
    ) -> StoredFile:
        """Store what `chunks` gives. When `chunks` raises, nothing is stored and the error passes on."""
        file_id, measured = self._new_id(), _Measured()

        async def passing() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield measured.add(chunk)

        with _translated():
            await obstore.put_async(
                self._store,
                _content(file_id),
                passing(),
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
            about = _about(file_id, measured, name, content_type)
            await obstore.put_async(self._store, _about_path(file_id), _encoded(about))
        return about

    def save_file(self, path: Path, *, name: str | None, content_type: str) -> StoredFile:
        """Store a local file."""
        file_id, measured = self._new_id(), _Measured()

        def passing() -> Iterator[bytes]:
            with path.open("rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    yield measured.add(chunk)

        with _translated():
            obstore.put(
                self._store,
                _content(file_id),
                passing(),
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
            about = _about(file_id, measured, name, content_type)
            obstore.put(self._store, _about_path(file_id), _encoded(about))
        return about

    def describe(self, file_id: str) -> StoredFile:
        """Return what is known of a file."""
        with _translated(file_id):
            text = bytes(obstore.get(self._store, _about_path(file_id)).bytes())
        try:
            return decode_as(text, StoredFile)
        except DecodeError as error:
            raise ObjectStoreError(f"what is stored about the file {file_id} is damaged: {error}") from error

    async def open_stream(self, file_id: str) -> AsyncIterator[bytes]:
        """Return a file's content, chunk by chunk."""
        with _translated(file_id):
            found = await obstore.get_async(self._store, _content(file_id))
        return found.stream(min_chunk_size=CHUNK_BYTES)

    def fetch(self, file_id: str, target: Path) -> StoredFile:
        """Copy a file's content to `target`; return what is known of it."""
        about = self.describe(file_id)
        with _translated(file_id), target.open("wb") as local:
            for chunk in obstore.get(self._store, _content(file_id)).stream(min_chunk_size=CHUNK_BYTES):
                local.write(chunk)
        return about


def open_file_store(url: str, *, new_id: Callable[[], str]) -> FileStore:
    """Open the store that `url` names; a local folder is made when it is not there.

    Args:
        url: `file:///folder`, `s3://bucket/prefix`, or what else obstore opens. Keys come from the
            environment, as the store's own tools read them.
        new_id: makes file ids.

    Raises:
        ObjectStoreError: the URL or its settings are wrong, or the folder can't be made.
    """
    try:
        with _translated():
            store = from_url(url, mkdir=True) if urlsplit(url).scheme == "file" else from_url(url)
    except ObjectStoreError as error:
        raise ObjectStoreError(f"the store of OBJECT_STORE_URL can't be opened: {error}") from error
    return FileStore(store, new_id=new_id)


def _checked(file_id: str) -> str:
    if _FILE_ID.fullmatch(file_id) is None:
        raise FileMissingError(file_id)
    return file_id


def _content(file_id: str) -> str:
    # Two levels, so that no local folder holds more than a 256th of the files.
    return f"{_checked(file_id)[:2]}/{file_id}/content"


def _about_path(file_id: str) -> str:
    return f"{_checked(file_id)[:2]}/{file_id}/about.json"


def _about(file_id: str, measured: _Measured, name: str | None, content_type: str) -> StoredFile:
    return {
        "file_id": file_id,
        "name": clean_file_name(name),
        "content_type": content_type,
        "bytes": measured.size,
        "sha256": measured.sha256,
    }


def _encoded(about: StoredFile) -> bytes:
    return encode_json(
        {
            "file_id": about["file_id"],
            "name": about["name"],
            "content_type": about["content_type"],
            "bytes": about["bytes"],
            "sha256": about["sha256"],
        }
    ).encode()


@contextmanager
def _translated(file_id: str | None = None) -> Iterator[None]:
    """Turn the vendor's exceptions into this module's two."""
    try:
        yield
    except FileNotFoundError as error:
        # Both the vendor and the system say it this way.
        if file_id is None:
            raise ObjectStoreError(_first_line(error)) from error
        raise FileMissingError(file_id) from error
    except (BaseError, OSError) as error:
        raise ObjectStoreError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    # What follows is the vendor's debug output, with the store's whole configuration in it.
    return str(error).split("\n", 1)[0]
