"""What the client makes of answers: decoded, refused in the API's words, or no jobs API at all."""

import os
import threading
from pathlib import Path

import httpx
import pytest
from platform_core.errors import SettingsError

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import Connection, open_http
from jobs_api.client.errors import RefusedError, ServerUnreachableError


def api_that_answers(response: httpx.Response) -> JobsApi:
    http = httpx.Client(base_url="http://jobs.test/base", transport=httpx.MockTransport(lambda _: response))
    return JobsApi(Connection(http))


def test_the_faults_of_a_problem_are_told_by_field() -> None:
    problem = {
        "detail": "two faults",
        "errors": [{"field": "a", "detail": "x"}, {"field": "b.c", "detail": "y"}],
    }
    with pytest.raises(RefusedError) as caught:
        api_that_answers(httpx.Response(422, json=problem)).job("files", "j")
    assert str(caught.value) == "a: x\nb.c: y"
    assert caught.value.status == 422


def test_a_problem_without_fields_is_told_by_its_detail() -> None:
    with pytest.raises(RefusedError, match="too large"):
        api_that_answers(httpx.Response(413, json={"detail": "too large"})).submit({})


@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "[]", '{"error":1}', ""])
def test_an_error_in_another_form_is_no_jobs_api(body: str) -> None:
    with pytest.raises(ServerUnreachableError, match="answered 502, and not as a jobs API does"):
        api_that_answers(httpx.Response(502, text=body)).job("files", "j")


@pytest.mark.parametrize("body", ["<html>", '{"status":"queued"}', '{"file_id":1}'])
def test_a_success_in_another_form_is_no_jobs_api(body: str, tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"x")
    api = api_that_answers(httpx.Response(200, text=body))
    with pytest.raises(ServerUnreachableError, match="no jobs API that this client knows"):
        api.job("files", "j")
    with pytest.raises(ServerUnreachableError, match="no jobs API that this client knows"):
        api.upload(source, lambda _: None)


def test_the_page_is_below_the_apis_address() -> None:
    assert (
        api_that_answers(httpx.Response(200)).page_url("files", "j") == "http://jobs.test/base/jobs/files/j"
    )


def test_an_upload_tells_its_size_and_how_far_it_is(tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_bytes(b"x" * 600_000)
    seen: list[httpx.Request] = []
    told: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(201, json={"file_id": "f", "name": "data.csv", "bytes": 600_000})

    http = httpx.Client(base_url="http://jobs.test", transport=httpx.MockTransport(answer))
    api = JobsApi(Connection(http))
    assert api.upload(source, told.append)["file_id"] == "f"
    assert seen[0].headers["content-length"] == "600000"
    assert "transfer-encoding" not in seen[0].headers
    assert seen[0].url.params["name"] == "data.csv"
    assert sum(told) == 600_000
    assert len(told) == 3


def test_a_pipe_is_uploaded_without_a_length(tmp_path: Path) -> None:
    """With the length 0 that the system tells of a pipe nothing of it would arrive."""
    pipe = tmp_path / "data.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a\n1\n"))
    writer.start()
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(201, json={"file_id": "f", "name": "data.csv", "bytes": 4})

    http = httpx.Client(base_url="http://jobs.test", transport=httpx.MockTransport(answer))
    JobsApi(Connection(http)).upload(pipe, lambda _: None)
    writer.join()
    assert seen[0].content == b"a\n1\n"
    assert "content-length" not in seen[0].headers


def test_a_file_that_breaks_off_is_named() -> None:
    """This one opens and can't be read; the system names nothing then."""
    source = Path("/proc/self/mem")
    http = httpx.Client(
        base_url="http://jobs.test", transport=httpx.MockTransport(lambda _: httpx.Response(201))
    )
    with pytest.raises(OSError, match="Input/output error: '/proc/self/mem'"):
        JobsApi(Connection(http)).upload(source, lambda _: None)


@pytest.mark.parametrize("content", [None, "nothing"])
def test_certificates_that_can_not_be_read_are_a_setting_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(SettingsError, match="SSL_CERT_FILE or SSL_CERT_DIR can't be used"):
        open_http({"api_url": "https://jobs.example"})


@pytest.mark.parametrize(
    ("url", "trusted"),
    [("http://127.0.0.1:8080", False), ("http://[::1]:1", False), ("https://jobs.example", True)],
)
def test_a_proxy_is_not_asked_for_this_machine(url: str, trusted: bool) -> None:
    with open_http({"api_url": url}) as http:
        assert http.trust_env is trusted
