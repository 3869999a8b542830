"""Uploading and downloading over HTTP: raw bodies, forms, limits, names that try to be paths."""

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_workers.redis import RedisClient
from service_kit import CSV, PATIENCE, Service, json_of, running_api, wait_until

from jobs_api.object_store import FileStore


def test_a_raw_body_is_stored_as_it_is(service: Service) -> None:
    answer = service["http"].post(
        "/v1/files", params={"name": "data.csv"}, content=CSV, headers={"Content-Type": "text/csv"}
    )
    stored = json_of(answer)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/files/{stored['file_id']}"
    assert (stored["name"], stored["bytes"], stored["content_type"]) == ("data.csv", len(CSV), "text/csv")
    assert stored["sha256"] == hashlib.sha256(CSV).hexdigest()
    back = service["http"].get(answer.headers["location"])
    assert back.content == CSV
    assert back.headers["content-type"].startswith("text/csv")
    assert back.headers["etag"] == f'"{stored["sha256"]}"'
    assert back.headers["x-content-type-options"] == "nosniff"


def test_a_form_is_taken_too(service: Service) -> None:
    answer = service["http"].post(
        "/v1/files", files={"file": ("orders.csv", CSV, "text/csv")}, data={"comment": "ignored"}
    )
    stored = json_of(answer)
    assert answer.status_code == 201
    assert (stored["name"], stored["bytes"], stored["content_type"]) == ("orders.csv", len(CSV), "text/csv")
    assert service["http"].get(f"/v1/files/{stored['file_id']}").content == CSV


def test_curl_works_as_people_type_it(service: Service, tmp_path: Path) -> None:
    source = tmp_path / "my data.csv"
    source.write_bytes(CSV)
    done = subprocess.run(
        ["curl", "-s", "--noproxy", "*", "-F", f"file=@{source}", f"{service['url']}/v1/files"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert '"name":"my data.csv"' in done.stdout
    assert f'"bytes":{len(CSV)}' in done.stdout


def test_an_empty_file_is_a_file(service: Service) -> None:
    stored = json_of(service["http"].post("/v1/files", content=b""))
    assert (stored["name"], stored["bytes"]) == ("file", 0)
    back = service["http"].get(f"/v1/files/{stored['file_id']}")
    assert (back.status_code, back.content) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "params", "name"),
    [
        ({"Content-Disposition": 'attachment; filename="a b.csv"'}, {}, "a b.csv"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''na%C3%AFve.csv"}, {}, "naïve.csv"),
        ({"Content-Disposition": "attachment"}, {}, "file"),
        ({}, {"name": "../../etc/passwd"}, "passwd"),
        ({}, {"name": "C:\\Users\\me\\orders.csv"}, "orders.csv"),
        ({}, {"name": 'a"b\r\nX: y.csv'}, 'a"bX: y.csv'),
        ({}, {"name": ".."}, "file"),
        ({"Content-Disposition": 'attachment; filename="other.csv"'}, {"name": "given.csv"}, "given.csv"),
    ],
)
def test_a_name_is_kept_and_never_a_path(
    service: Service, headers: dict[str, str], params: dict[str, str], name: str
) -> None:
    stored = json_of(service["http"].post("/v1/files", content=CSV, headers=headers, params=params))
    assert stored["name"] == name
    back = service["http"].get(f"/v1/files/{stored['file_id']}")
    assert back.content == CSV
    assert back.headers["content-disposition"].startswith("attachment; filename=")
    assert "x" not in back.headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("text/html<script>", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_a_media_type_is_kept_only_if_it_is_one(service: Service, given: str, kept: str) -> None:
    stored = json_of(service["http"].post("/v1/files", content=CSV, headers={"Content-Type": given}))
    assert stored["content_type"] == kept


@pytest.mark.parametrize("file_id", ["0" * 32, "nope", "..%2f..%2fetc%2fpasswd", "A" * 32, "0" * 33])
def test_an_unknown_file_is_a_404(service: Service, file_id: str) -> None:
    answer = service["http"].get(f"/v1/files/{file_id}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


NO_FILE = b'--xyz\r\nContent-Disposition: form-data; name="other"\r\n\r\nabc\r\n--xyz--\r\n'
FORM = "multipart/form-data; boundary=xyz"
FILE_PART = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "status", "words"),
    [
        ("multipart/form-data", b"", 400, "names no boundary"),
        (FORM, b"", 400, "can't be read"),
        (FORM, b"no form at all", 400, "can't be read"),
        (FORM, b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc', 400, "read"),
        (FORM, NO_FILE, 422, "file"),
        (FORM, b"--xyz--\r\n", 422, "file: the form has no file in a field named `file`"),
        (FORM, 2 * FILE_PART + b"--xyz--\r\n", 422, "file: the form has several files"),
        ("multipart/form-data; boundary=\xff", b"", 400, "can't be read"),
    ],
)
def test_a_broken_form_is_refused_and_nothing_is_stored(
    redis: RedisClient,
    files: FileStore,
    tmp_path: Path,
    content_type: str,
    body: bytes,
    status: int,
    words: str,
) -> None:
    with running_api(redis, files) as service:
        answer = service["http"].post(
            "/v1/files", content=body, headers=[(b"Content-Type", content_type.encode("latin-1"))]
        )
    assert answer.status_code == status
    assert words in str(json_of(answer)["detail"])
    assert stored_files(tmp_path) == []


def test_only_the_field_file_counts_and_what_follows_it_is_read(service: Service) -> None:
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="file"\r\n\r\nthe content\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="after"; filename="b"\r\n\r\nmore\r\n--xyz--\r\n'
    )
    stored = json_of(service["http"].post("/v1/files", content=body, headers={"Content-Type": FORM}))
    assert (stored["name"], stored["bytes"]) == ("file", len(b"the content"))


@pytest.mark.parametrize("where", ["preamble", "before", "after", "epilogue"])
def test_what_is_in_a_form_besides_the_file_has_a_limit(service: Service, tmp_path: Path, where: str) -> None:
    """Reading it had no end: the limit of an upload was the file's alone."""
    part = b'--bb\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n'
    file = part % b"file" + b"a,b\n\r\n"
    head = {
        "preamble": b"",
        "before": part % b"note",
        "after": file + part % b"note",
        "epilogue": file + b"--bb--",
    }[where]
    answer = service["http"].post(
        "/v1/files",
        content=head + 2_000_000 * b"x",
        headers={"Content-Type": "multipart/form-data; boundary=bb"},
    )
    assert answer.status_code == 413
    detail = "The form is too large: besides the file at most 1,048,576 bytes are taken."
    assert json_of(answer)["detail"] == detail
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("kind", ["told", "streamed", "form"])
def test_a_file_over_the_limit_is_refused_and_nothing_is_stored(
    redis: RedisClient, files: FileStore, tmp_path: Path, kind: str
) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 1000

    with running_api(redis, files, max_upload_bytes=30_000) as service:
        match kind:
            case "told":
                answer = service["http"].post("/v1/files", content=b"x" * 40_000)
            case "streamed":
                answer = service["http"].post("/v1/files", content=pieces())
            case _:
                answer = service["http"].post("/v1/files", files={"file": ("a", b"x" * 40_000)})
        assert answer.status_code == 413
        assert json_of(answer)["detail"] == "The file is too large: at most 30,000 bytes are taken."
        assert service["http"].post("/v1/files", content=b"x" * 30_000).status_code == 201
    assert len(stored_files(tmp_path)) == 2


def test_a_length_over_the_limit_is_refused_before_anything_is_sent(service: Service) -> None:
    port = int(service["url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /v1/files HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_an_upload_that_breaks_off_leaves_nothing(
    redis: RedisClient, files: FileStore, tmp_path: Path
) -> None:
    class BrokenOffError(Exception):
        pass

    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise BrokenOffError

    with running_api(redis, files) as service:
        with pytest.raises(BrokenOffError):
            service["http"].post("/v1/files", content=pieces())
        wait_until(lambda: stored_files(tmp_path) == [])


def test_an_object_store_that_fails_is_a_503(redis: RedisClient, files: FileStore, tmp_path: Path) -> None:
    with running_api(redis, files) as service:
        (tmp_path / "objects").rmdir()
        (tmp_path / "objects").write_text("a file where the folder was")
        answer = service["http"].post("/v1/files", content=CSV)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert json_of(answer)["type"] == "urn:jobs-api:object-store-away"


def stored_files(folder: Path) -> list[Path]:
    """Return every file in the store's folder, also what a broken upload would leave."""
    return [path for path in (folder / "objects").rglob("*") if path.is_file()]
