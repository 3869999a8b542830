"""The page of a job: plain words, nothing from a job taken as HTML, nothing loaded from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from fakeredis import FakeServer
from jinja2.exceptions import UndefinedError
from platform_core.job_types import job_key
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeRedis
from service_kit import Service, complete, context_of, damage_file, running_api, submit, upload

from jobs_api.http.page.rendering import TEMPLATES
from jobs_api.object_store import FileStore
from jobs_api.registry import FILES

EVIL = '<script>alert("x")</script>'


def page_of(service: Service, job_id: str, domain: str = "files") -> str:
    answer = service["http"].get(f"/jobs/{domain}/{job_id}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def test_a_waiting_job_says_what_it_waits_for(service: Service) -> None:
    job_id = submit(service)
    page = page_of(service, job_id)
    assert "Waiting for a worker" in page
    assert "csv.row_count" in page
    assert "data.csv" in page
    assert f'data-events="../../v1/jobs/files/{job_id}/events"' in page
    assert "<progress" not in page.partition("<script>")[0]


def test_a_running_job_has_a_bar(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_progress(45, "counting rows")
    page = page_of(service, job_id)
    assert "Running" in page
    assert '<progress max="100" value="45"' in page
    assert "counting rows" in page
    assert "<title>45 % · csv.row_count</title>" in page


def test_a_job_for_later_is_not_said_to_begin_at_once(service: Service) -> None:
    page = page_of(service, submit(service, {"run_after": "2100-01-01T00:00:00Z"}))
    assert "Not before" in page
    assert "It begins at the time below, or as soon as a worker is free after it." in page


def test_the_page_asks_again_after_an_answer_that_is_no_stream(service: Service) -> None:
    """After a 503 a browser gives up by itself, and the page said for ever that it was trying again.

    No browser is at hand here: that the page does it is only looked at.
    """
    page = page_of(service, submit(service))
    assert "source.readyState === EventSource.CLOSED" in page


def test_a_completed_job_offers_its_result(service: Service) -> None:
    job_id = submit(service)
    complete(service, job_id, b"x" * 12_345, said="344 rows, 8 columns")
    page = page_of(service, job_id)
    assert "Done" in page
    assert f'href="../../v1/jobs/files/{job_id}/result"' in page
    assert "12.3 kB" in page
    assert '<p class="outcome">344 rows, 8 columns</p>' in page
    assert "Took" in page
    assert "data-events" not in page.partition("<script>")[0]
    assert "completed, result of 12345 bytes" in page


def test_a_result_that_is_no_file_here_is_shown_as_text(service: Service) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_completed(result_id="Hello, <Ada>!", result_bytes=13)
    page = page_of(service, job_id)
    assert "<strong>Hello, &lt;Ada&gt;!</strong>" in page
    assert "Download the result" not in page


def test_a_completed_job_without_a_result_offers_none(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"status": "completed"})
    page = page_of(service, job_id)
    assert "Done" in page
    assert "Download the result" not in page


def test_a_store_that_fails_takes_no_result_from_the_page(
    redis: RedisClient, files: FileStore, tmp_path: Path
) -> None:
    with running_api(redis, files) as service:
        job_id = submit(service)
        result_id = complete(service, job_id)
        damage_file(tmp_path, result_id)
        assert "Download the result" in page_of(service, job_id)


@pytest.mark.parametrize(
    ("kind", "advice"), [("user", "Mend them and submit the job again"), ("system", "a fault on our side")]
)
def test_a_failed_job_says_why_and_what_to_do(service: Service, kind: str, advice: str) -> None:
    job_id = submit(service)
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_failed("user" if kind == "user" else "system", "Row 3 has 5 values")
    page = page_of(service, job_id)
    assert "Failed" in page
    assert "<blockquote>Row 3 has 5 values</blockquote>" in page
    assert advice in page


def test_a_job_between_two_attempts_says_so(service: Service, redis: RedisClient) -> None:
    job_id = submit(service, {"run_after": "2026-12-24T18:00:00+00:00"})
    redis.hset(job_key(FILES, job_id), {"error": "the disk was full", "attempt_count": "2"})
    page = page_of(service, job_id)
    assert "the disk was full" in page
    assert "It will be tried again by itself." in page
    assert "2 of at most 3" in page
    assert "24 Dec 2026, 18:00 UTC" in page


def test_a_cancelled_job_says_so(service: Service) -> None:
    job_id = submit(service)
    service["http"].post(f"/v1/jobs/files/{job_id}/cancel").raise_for_status()
    page = page_of(service, job_id)
    assert "Cancelled" in page
    assert "It was stopped on request, before it was done. It can be started again." in page
    assert "Took" not in page
    assert "<blockquote>" not in page


def test_nothing_a_job_says_becomes_html(service: Service) -> None:
    file_id = upload(service, name=EVIL)
    job_id = submit(service, {"payload": {"file_id": file_id}})
    context = context_of(service, job_id)
    context.publish_started()
    context.publish_progress(1, EVIL)
    context.publish_failed("user", EVIL)
    page = page_of(service, job_id)
    assert EVIL not in page
    assert page.count("<script>") == 1
    assert "&lt;script&gt;" in page


def test_the_page_loads_nothing_and_runs_only_its_own_script(service: Service) -> None:
    answer = service["http"].get(f"/jobs/files/{submit(service)}")
    policy = answer.headers["content-security-policy"]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        found = re.search(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert re.search(r'(src|href)="(https?:)?//', answer.text) is None
    assert answer.headers["cache-control"] == "no-store"


def test_a_job_of_another_domain_without_a_file_has_a_page(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    record = redis.hgetall(job_key(FILES, job_id))
    redis.hset("turkic:job:t?1", {**record, "payload": '"text"', "job_type": ""})
    page = page_of(service, "t%3F1", "turkic")
    assert "<h1>Job</h1>" in page
    assert "../../v1/jobs/turkic/t%3F1/events" in page
    redis.hset("turkic:job:t?1", {"payload": f'{{"file_id":"{"0" * 32}"}}'})
    assert 'class="about"' not in page_of(service, "t%3F1", "turkic")


def test_an_unknown_job_has_a_page_that_says_so(service: Service) -> None:
    answer = service["http"].get("/jobs/files/nope")
    assert answer.status_code == 404
    assert "There is no such job" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_without_redis_the_page_says_to_reload(files: FileStore) -> None:
    memory = FakeServer(version=(7, 2))
    memory.connected = False
    with running_api(FakeRedis(memory), files) as service:
        answer = service["http"].get("/jobs/files/x")
    assert answer.status_code == 503
    assert "Reload this page in a moment" in answer.text


def test_another_spelling_of_a_page_leads_to_it(service: Service) -> None:
    """The framework shows it there too; but its links are relative, and would lead to nothing."""
    job_id = submit(service)
    for path in (
        f"/jobs/files/{job_id}/",
        f"/jobs//files/{job_id}",
        "/schema/",
        "/sign-in//?utm_source=mail",
    ):
        answer = service["http"].get(path)
        assert answer.status_code == 308, path
        followed = service["http"].get(path, follow_redirects=True)
        assert followed.status_code == 200
        assert followed.url.raw_path.decode() == path.replace("//", "/").replace("/?", "?").rstrip("/")


def test_a_page_is_moved_before_anybody_is_asked_for_a_key(locked: Service) -> None:
    """The form of that place would be sent to where nothing is."""
    assert locked["http"].get("/schema/").headers["location"] == "../schema"


def test_a_damaged_record_has_a_page_too(service: Service, redis: RedisClient) -> None:
    job_id = submit(service)
    redis.hset(job_key(FILES, job_id), {"progress": "much"})
    answer = service["http"].get(f"/jobs/files/{job_id}")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text


def test_a_name_that_the_template_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nope"):
        TEMPLATES.from_string("{{ nope }}").render()
