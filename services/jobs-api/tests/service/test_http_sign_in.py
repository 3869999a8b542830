"""Signing in with a browser: a cookie for reading, in place of a header that a browser can't send."""

import httpx
import pytest
from access_kit import Keys, bearer, key_id_of, locked_api
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock
from service_kit import Service, json_of, submit

from jobs_api.access.key_store import KeyStore
from jobs_api.http.page.sign_in import page_to_show
from jobs_api.object_store import FileStore


def sign_in(service: Service, text: str, place: str = "") -> httpx.Response:
    """Send the form of the page."""
    return service["http"].post("/sign-in", data={"key": text, "next": place})


def a_job(locked: Service, keys: Keys) -> str:
    """Submit a job with a key of its own; return its id."""
    locked["http"].headers.update(keys.bearer("submit"))
    job_id = submit(locked)
    del locked["http"].headers["Authorization"]
    return job_id


def test_who_is_not_known_is_shown_the_form_and_led_back(locked: Service, keys: Keys) -> None:
    job_id = a_job(locked, keys)
    page = locked["http"].get(f"/jobs/files/{job_id}")
    assert page.status_code == 401
    assert page.headers["www-authenticate"] == 'Bearer realm="jobs-api"'
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'action="../../sign-in"' in page.text
    assert f'name="next" value="jobs/files/{job_id}"' in page.text
    answer = sign_in(locked, keys.new("read"), f"jobs/files/{job_id}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"jobs/files/{job_id}")
    shown = locked["http"].get(f"/jobs/files/{job_id}")
    assert shown.status_code == 200
    assert 'action="../../sign-out"' in shown.text


def test_the_cookie_is_for_this_site_alone_and_for_no_script(
    locked: Service, keys: Keys, vault: RedisClient
) -> None:
    text = keys.new("read")
    cookie = sign_in(locked, text).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
    assert text.split("_", 2)[2] not in cookie
    assert len(cookie.partition(";")[0]) == len("jobs_session=") + 43


def test_over_https_the_cookie_stays_there(
    vault: RedisClient, files: FileStore, clock: FakeClock, keys: Keys
) -> None:
    with locked_api(vault, files, clock, trusted_proxies=["127.0.0.1"]) as service:
        form = {"key": keys.new("read")}
        answer = service["http"].post("/sign-in", data=form, headers={"X-Forwarded-Proto": "https"})
        assert "; secure" in answer.headers["set-cookie"].lower()
    with locked_api(vault, files, clock) as service:
        answer = service["http"].post("/sign-in", data=form, headers={"X-Forwarded-Proto": "https"})
        assert "; secure" not in answer.headers["set-cookie"].lower()


def test_a_session_reads_and_changes_nothing(locked: Service, keys: Keys) -> None:
    """So no other site can make a browser that is signed in do anything here."""
    job_id = a_job(locked, keys)
    sign_in(locked, keys.new("read", "submit", "manage"))
    assert locked["http"].get(f"/v1/jobs/files/{job_id}").status_code == 200
    assert locked["http"].head(f"/v1/jobs/files/{job_id}/events").status_code == 200
    answer = locked["http"].post("/v1/files", content=b"x")
    assert (answer.status_code, json_of(answer)["type"]) == (401, "urn:jobs-api:key-missing")


def test_a_session_sees_what_its_key_sees(locked: Service, keys: Keys) -> None:
    sign_in(locked, keys.new("read", domains=["files"]))
    assert locked["http"].get("/jobs/turkic/x").status_code == 403
    assert "You may not see this" in locked["http"].get("/jobs/turkic/x").text
    sign_in(locked, keys.new("submit"))
    assert locked["http"].get("/v1/jobs/files/x").status_code == 403


def test_a_session_ends_with_its_key(locked: Service, keys: Keys) -> None:
    text = keys.new("read")
    sign_in(locked, text)
    assert locked["http"].get("/jobs/files/x").status_code == 404
    keys.revoke(text)
    page = locked["http"].get("/jobs/files/x")
    assert page.status_code == 401
    assert "You are no longer signed in." in page.text
    assert 'name="key"' in locked["http"].get("/sign-in").text


def test_signing_out_ends_the_session_and_not_only_the_cookie(locked: Service, keys: Keys) -> None:
    sign_in(locked, keys.new("read"))
    secret = locked["http"].cookies["jobs_session"]
    answer = locked["http"].post("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "sign-in")
    assert "jobs_session" not in locked["http"].cookies
    stolen = locked["http"].get("/v1/files/x", headers={"Cookie": f"jobs_session={secret}"})
    assert (stolen.status_code, json_of(stolen)["type"]) == (401, "urn:jobs-api:session-over")
    assert locked["http"].post("/sign-out").status_code == 303


@pytest.mark.parametrize("text", ["", "x", "jobs_0123456789ab_" + "x" * 43])
def test_a_wrong_key_gets_the_form_again(locked: Service, text: str) -> None:
    answer = sign_in(locked, text, "jobs/files/abc")
    assert answer.status_code == 401
    assert "This is no key of this API." in answer.text
    assert 'value="jobs/files/abc"' in answer.text
    assert "set-cookie" not in answer.headers


def test_what_comes_from_another_site_is_not_taken(locked: Service, keys: Keys) -> None:
    answer = locked["http"].post(
        "/sign-in", data={"key": keys.new("read")}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_link_from_a_mail_asks_the_browser_to_come_again(locked: Service, keys: Keys) -> None:
    """Coming from elsewhere it sends no SameSite=Strict cookie; when this page itself leads here it does."""
    page = locked["http"].get("/jobs/files/x", headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 401
    assert '<meta http-equiv="refresh" content="0">' in page.text
    assert 'name="key"' not in page.text
    page = locked["http"].get("/jobs/files/x", headers={"Sec-Fetch-Site": "same-origin"})
    assert "refresh" not in page.text


def test_the_page_says_who_is_signed_in(locked: Service, keys: Keys) -> None:
    assert "Your API key" in locked["http"].get("/sign-in").text
    sign_in(locked, keys.new("read"))
    page = locked["http"].get("/sign-in").text
    assert "<strong>a test</strong>" in page
    assert 'action="sign-out"' in page


def test_whoever_has_a_key_needs_no_session(locked: Service, keys: Keys) -> None:
    page = locked["http"].get("/jobs/files/x", headers=bearer(keys.new("read")))
    assert page.status_code == 404


@pytest.mark.parametrize(
    "place",
    ["https://a.example", "//a.example", "/\\a.example", "javascript:alert(1)", "jobs/files/x\r\nA: b", "",
     "jobs//x", "jobs/files/", "jobs/files/x/y", "../jobs/files/x", "jobs/files/" + "x" * 500, "jobs/files/é",
     "schema/", "sign-out"],
)  # fmt: skip
def test_nobody_is_led_elsewhere(locked: Service, keys: Keys, place: str) -> None:
    assert page_to_show(place) == "sign-in"
    assert sign_in(locked, keys.new("read"), place).headers["location"] == "sign-in"


@pytest.mark.parametrize("place", ["jobs/files/0a1b", "jobs/turkic/t%3F1", "jobs/a_b/..", "schema"])
def test_the_pages_of_this_service_are_known(place: str) -> None:
    assert page_to_show(place) == place


def test_a_form_that_is_none_is_refused(locked: Service) -> None:
    assert locked["http"].post("/sign-in", content=b"\xff\x00&&=").status_code == 401
    assert locked["http"].post("/sign-in", content=b"x" * 5000).status_code == 413


def test_another_site_signs_nobody_out(locked: Service, keys: Keys) -> None:
    """The cookie does not come along with its form, but the answer took it away all the same."""
    sign_in(locked, keys.new("read"))
    answer = locked["http"].post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "You are still signed in" in answer.text


def test_signing_in_notes_the_use_of_the_key(locked: Service, keys: Keys, vault: RedisClient) -> None:
    text = keys.new("read")
    sign_in(locked, text)
    assert list(KeyStore(vault).last_uses()) == [key_id_of(text)]
