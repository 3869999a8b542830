"""The file store, on a local folder and on a store in memory: one contract for both."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore import put
from obstore.store import MemoryStore
from service_kit import folder_store

from jobs_api.object_store import FileMissingError, FileStore, ObjectStoreError, open_file_store
from jobs_api.wiring import new_file_id

LARGE = b"0123456789abcdef" * 800_000


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """The same store on two places."""
    if request.param == "folder":
        return folder_store(tmp_path)
    return FileStore(MemoryStore(), new_id=new_file_id)


async def pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def content_of(store: FileStore, file_id: str) -> bytes:
    return b"".join([chunk async for chunk in await store.open_stream(file_id)])


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_what_is_streamed_in_comes_out_again(store: FileStore, tmp_path: Path, content: bytes) -> None:
    about = asyncio.run(store.save_stream(pieces(content), name="a b.csv", content_type="text/csv"))
    assert about == {
        "file_id": about["file_id"],
        "name": "a b.csv",
        "content_type": "text/csv",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert store.describe(about["file_id"]) == about
    assert asyncio.run(content_of(store, about["file_id"])) == content
    target = tmp_path / "copy"
    assert store.fetch(about["file_id"], target) == about
    assert target.read_bytes() == content


@pytest.mark.parametrize("content", [b"", LARGE], ids=["empty", "large"])
def test_a_local_file_is_stored_whole(store: FileStore, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    about = store.save_file(source, name="../r.json", content_type="application/json")
    assert (about["name"], about["bytes"]) == ("r.json", len(content))
    assert asyncio.run(content_of(store, about["file_id"])) == content


def test_two_files_of_one_name_are_two_files(store: FileStore) -> None:
    ids = {
        asyncio.run(store.save_stream(pieces(text), name="same", content_type="x/y"))["file_id"]
        for text in (b"1", b"2")
    }
    assert len(ids) == 2


@pytest.mark.parametrize("file_id", ["0" * 32, "", "..", "../" * 5 + "etc/passwd", "0" * 31 + "\n", "é" * 32])
def test_an_id_that_is_not_stored_is_missing(store: FileStore, tmp_path: Path, file_id: str) -> None:
    with pytest.raises(FileMissingError):
        store.describe(file_id)
    with pytest.raises(FileMissingError):
        store.fetch(file_id, tmp_path / "x")
    with pytest.raises(FileMissingError):
        asyncio.run(content_of(store, file_id))


def test_when_the_source_breaks_nothing_is_stored(tmp_path: Path) -> None:
    class BrokenOffError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield LARGE
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        asyncio.run(folder_store(tmp_path).save_stream(broken(), name="x", content_type="x/y"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_damaged_description_is_the_stores_fault() -> None:
    memory = MemoryStore()
    file_id = "ab" * 16
    put(memory, f"ab/{file_id}/about.json", b'{"file_id":1}')
    with pytest.raises(ObjectStoreError, match=r"damaged: \$\.file_id"):
        FileStore(memory, new_id=new_file_id).describe(file_id)


def test_a_folder_that_goes_away_is_the_stores_fault(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    (tmp_path / "objects").rmdir()
    (tmp_path / "objects").write_text("")
    with pytest.raises(ObjectStoreError) as caught:
        asyncio.run(store.save_stream(pieces(b"x"), name="x", content_type="x/y"))
    assert "\n" not in str(caught.value)


def test_a_local_file_that_is_not_there_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match="No such file"):
        folder_store(tmp_path).save_file(tmp_path / "gone", name="x", content_type="x/y")


@pytest.mark.parametrize("url", ["nope://x", "az://container", "file:///proc/nowhere/x"])
def test_a_store_that_cannot_be_opened_says_why_in_one_line(url: str) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        open_file_store(url, new_id=new_file_id)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("the store of OBJECT_STORE_URL can't be opened: ")


def test_a_cloud_store_is_opened_by_its_url() -> None:
    assert isinstance(open_file_store("gs://bucket/prefix", new_id=new_file_id), FileStore)


def test_ids_are_random() -> None:
    assert len({new_file_id() for _ in range(100)}) == 100
