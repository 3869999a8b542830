"""Paths, ids and names from a client reach nothing outside their place, on any route."""

import re
import socket
from pathlib import Path

import pytest
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeRedis
from service_kit import HONEST, PATIENCE, Service, folder_store, json_of, running_api

from jobs_api.http.access import declarations
from jobs_api.object_store import FileStore
from jobs_api.wiring import assemble_api

EVIL = [
    b"..",
    b"%2e%2e",
    b"..%2f..%2f..%2fetc%2fpasswd",
    b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    b"..%5c..%5cwindows",
    b"%00",
    b"abc%00.json",
    b"x" * 5000,
    b"%0d%0aX-Evil:%201",
    b"%0aevil.event%20line",
    b"%ff%fe",
    b"\xc3\xa9",
    b"%C3%A9%E2%80%AE",
    b"%ED%A0%80",
    b"a:b",
    b"files:job:x",
    b"*",
    b"{x}",
    b"%25s%7Bx%7D",
    b"<script>",
    b"%20",
]


def all_routes(folder: Path) -> list[tuple[str, str]]:
    """Return every address of the API with something to fill in, and its method."""
    app = assemble_api(
        FakeRedis(),
        folder_store(folder),
        max_upload_bytes=1,
        heartbeat_seconds=1,
        access=HONEST,
        local=True,
        clock=FakeClock(),
    )["app"]
    return sorted({(path, method) for path, method, _ in declarations(app) if "{" in path})


def raw(service: Service, method: str, target: bytes) -> tuple[int, bytes]:
    """Ask for an address exactly as it is written; clients tidy up what they are given."""
    port = int(service["url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        head = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(method.encode() + b" " + target + head)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]), answer


def test_no_route_is_led_out_of_its_place(
    vault: RedisClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each place in each address, each hostile text: refused, nothing stored or shown, no line forged."""
    outside = tmp_path / "outside"
    outside.write_text("secret of this machine")
    before = vault.keys("*")
    with running_api(vault, folder_store(tmp_path)) as service:
        for path, method in all_routes(tmp_path / "other"):
            if method == "WEBSOCKET":
                continue
            places = re.findall(r"\{[^}]*\}", path)
            for place in places:
                for evil in EVIL:
                    target = path.encode().replace(place.encode(), evil)
                    for other in places:
                        target = target.replace(other.encode(), b"files")
                    status, answer = raw(service, method, target)
                    head, _, body = answer.partition(b"\r\n\r\n")
                    # Any visible text may be a user's id, and nobody of that name has said anything.
                    nobody = path.startswith("/v1/users/") and body in {b"", b"{}"}
                    assert 400 <= status < 500 or nobody, (method, target, answer)
                    assert b"X-Evil" not in head, target
                    assert b"root:" not in body, target
                    assert b"secret of this machine" not in body, target
    assert vault.keys("*") == before
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
    said = "".join(capfd.readouterr())
    assert not [line for line in said.splitlines() if line.startswith(("X-Evil", "evil.event"))]


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\x.csv", "a\r\nX-Evil: 1", "a\x00b", '"; filename="evil', "x" * 3000,
     "\u202egnp.exe", "é\u2028.csv", "...", "/", ""],
)  # fmt: skip
def test_a_file_s_name_is_only_ever_shown(
    vault: RedisClient, files: FileStore, tmp_path: Path, name: str
) -> None:
    with running_api(vault, files) as service:
        stored = json_of(service["http"].post("/v1/files", params={"name": name}, content=b"x"))
        answer = service["http"].get(f"/v1/files/{stored['file_id']}")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    assert re.fullmatch(
        r'attachment; filename="[^"\\/\x00-\x1f]+"(; filename\*=UTF-8\'\'[A-Za-z0-9%._~-]+)?',
        answer.headers["content-disposition"],
    )
    file_id = str(stored["file_id"])
    found = {path.relative_to(tmp_path / "objects") for path in (tmp_path / "objects").rglob("*.json")}
    assert found == {Path(file_id[:2], file_id, "about.json")}


def test_a_payload_s_file_id_leads_nowhere_else(service: Service) -> None:
    """It is looked up when the page of the job is shown."""
    job = {"job_type": "csv.row_count", "user_id": 7, "payload": {"file_id": "../../outside"}}
    job_id = json_of(service["http"].post("/v1/jobs", json=job))["job_id"]
    assert 'class="about"' not in service["http"].get(f"/jobs/files/{job_id}").text
