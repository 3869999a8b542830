"""HEAD is answered wherever GET is (RFC 9110, 9.1): the same status and headers, and no body."""

import socket

import httpx
import pytest
from platform_core.json_values import decode_json
from service_kit import CSV, PATIENCE, Service, complete, submit, upload


def heads(service: Service, path: str) -> tuple[httpx.Response, httpx.Response]:
    """Return the answers to HEAD and to GET."""
    return service["http"].head(path), service["http"].get(path)


def kept(answer: httpx.Response) -> dict[str, str]:
    """Return an answer's headers but the time, and but how a body is sent: without one that may be absent."""
    left_out = {"date", "transfer-encoding"}
    return {name: value for name, value in answer.headers.items() if name not in left_out}


@pytest.mark.parametrize(
    "path",
    [
        "/healthz", "/readyz", "/v1/jobs", "/v1/jobs/active", "/v1/jobs?limit=0", "/v1/jobs/files/nope",
        "/v1/files/nope", "/nowhere", "/jobs/files/nope",
    ],
)  # fmt: skip
def test_head_answers_as_get_does(service: Service, path: str) -> None:
    head, get = heads(service, path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert kept(head) == kept(get)


@pytest.mark.parametrize("rest", ["", "/log", "/deliveries", "/result", "/events"])
def test_head_answers_for_a_job(service: Service, rest: str) -> None:
    job_id = submit(service)
    complete(service, job_id, b'{"rows":3}\n')
    head, get = heads(service, f"/v1/jobs/files/{job_id}{rest}")
    assert (head.status_code, head.content) == (200, b"")
    assert kept(head) == kept(get)
    assert service["http"].head(f"/jobs/files/{job_id}").status_code == 200
    assert service["http"].head("/v1/stats").status_code == 200


def test_head_tells_the_size_of_a_file(service: Service) -> None:
    head, get = heads(service, f"/v1/files/{upload(service)}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CSV))
    assert kept(head) == kept(get)


def test_head_sends_no_body(service: Service) -> None:
    """On the wire, where no client hides a body; also of a waiting job, whose events do not end."""
    job_id, file_id = submit(service), upload(service)
    port = int(service["url"].rpartition(":")[2])
    for path in (f"/v1/jobs/files/{job_id}/events", f"/v1/files/{file_id}", "/healthz"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            head = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.find(b"\r\n\r\n") == len(answer) - 4


def test_the_openapi_document_tells_of_it(service: Service) -> None:
    document = decode_json(service["http"].get("/schema/openapi.json").content)
    assert isinstance(document, dict)
    assert isinstance(document["paths"], dict)
    methods = [set(item) for item in document["paths"].values() if isinstance(item, dict)]
    assert all("head" in item for item in methods if "get" in item)


def test_what_takes_no_get_takes_no_head(service: Service) -> None:
    assert service["http"].head("/v1/files").status_code == 405
    wrong = service["http"].put("/healthz")
    assert {"GET", "HEAD"} <= {word.strip() for word in wrong.headers["allow"].split(",")}
