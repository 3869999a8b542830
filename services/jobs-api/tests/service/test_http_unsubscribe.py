"""The link in a mail: GET shows, POST does, and nobody without a signed link does anything."""

import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from platform_core.job_events import JobDomain
from platform_core.notifications import NotificationPreferences
from platform_notify.preference_store import PreferenceStore
from platform_notify.unsubscribe import UnsubscribeLinks, UnsubscribeTokens
from platform_workers.errors import RedisUnavailableError
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis, FakeClock
from service_kit import SIGNING, Service, folder_store, running_api
from typing_extensions import override

from jobs_api.registry import FILES

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path_for(*users: str, domain: JobDomain = FILES) -> str:
    link = UnsubscribeLinks(UnsubscribeTokens(SIGNING), "").link(domain, users)
    assert link is not None
    return link


def stored(service: Service, user: str = "u-1") -> NotificationPreferences:
    return PreferenceStore(service["redis"]).load(user)


def heading(answer: httpx.Response) -> str:
    found = re.search("<h1>(.*)</h1>", answer.text)
    assert found is not None
    return found[1]


def test_a_program_that_follows_every_link_changes_nothing(service: Service) -> None:
    path = path_for("u-1")
    for method in ("GET", "HEAD"):
        assert service["http"].request(method, path).status_code == 200
    assert service["redis"].keys("*") == []


def test_the_page_asks_and_works_without_a_script(service: Service) -> None:
    answer = service["http"].get(path_for("u-1"))
    assert heading(answer) == "Stop these mails?"
    assert answer.headers["content-type"].startswith("text/html")
    assert '<form method="post">' in answer.text
    assert "Stop mails about files jobs" in answer.text
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
    # The address is the key to it, so it goes nowhere else.
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_one_click_of_a_mail_program_stops_the_mails_of_the_domain(service: Service) -> None:
    for _ in range(2):
        answer = service["http"].post(path_for("u-1"), data=ONE_CLICK)
        assert answer.status_code == 200
        assert heading(answer) == "You will get no more mails about jobs of files"
        assert stored(service) == {"domains": {"files": {"opt_out": True}}}


def test_the_click_may_come_as_the_other_kind_of_form(service: Service) -> None:
    """RFC 8058 allows for both."""
    parts: Mapping[str, tuple[None, str]] = {"List-Unsubscribe": (None, "One-Click")}
    assert service["http"].post(path_for("u-1"), files=parts).status_code == 200
    assert stored(service) == {"domains": {"files": {"opt_out": True}}}


def test_the_buttons_stop_those_or_all(service: Service) -> None:
    PreferenceStore(service["redis"]).save("u-1", {"email": {"enabled": True, "on": ["FAILURE"]}})
    answer = service["http"].post(path_for("u-1"), data={**ONE_CLICK, "scope": "domain"})
    assert heading(answer) == "You will get no more mails about jobs of files"
    assert "opt_out" not in stored(service)
    answer = service["http"].post(path_for("u-1"), data={**ONE_CLICK, "scope": "all"})
    assert heading(answer) == "You will get no more mails of this platform"
    assert stored(service) == {
        "email": {"enabled": True, "on": ["FAILURE"]},
        "domains": {"files": {"opt_out": True}},
        "opt_out": True,
    }


def test_the_link_of_a_digest_is_for_all_it_tells_of(service: Service) -> None:
    service["http"].post(path_for("u-1", "u-2"), data=ONE_CLICK)
    assert stored(service, "u-1") == stored(service, "u-2") == {"domains": {"files": {"opt_out": True}}}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("change", ["", "?token=", "?token=v1.x.y", None])
def test_a_link_that_was_changed_is_refused_and_says_so(
    service: Service, method: str, change: str | None
) -> None:
    path = path_for("u-1")
    # The last but one: the last character carries bits that say nothing.
    changed = path[:-2] + ("A" if path[-2] != "A" else "B") + path[-1]
    path = changed if change is None else f"/unsubscribe{change}"
    answer = service["http"].request(method, path, data=ONE_CLICK if method == "POST" else None)
    assert answer.status_code == 400
    assert heading(answer) == "This link does not work"
    assert "nothing was changed" in answer.text
    assert service["redis"].keys("*") == []


def test_a_link_of_another_secret_is_refused(service: Service) -> None:
    token = UnsubscribeTokens(type(SIGNING)("x" * 32)).sign(FILES, ["u-1"])
    assert service["http"].post("/unsubscribe", params={"token": token}, data=ONE_CLICK).status_code == 400


@pytest.mark.parametrize("form", [{}, {"List-Unsubscribe": "no"}, {**ONE_CLICK, "scope": "everything"}])
def test_another_form_is_refused(service: Service, form: dict[str, str]) -> None:
    answer = service["http"].post(path_for("u-1"), data=form)
    assert answer.status_code == 400
    assert "nothing was changed" in answer.text
    assert service["redis"].keys("*") == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no form"),
        ("application/octet-stream", b"\xff\x00"),
        ("application/x-www-form-urlencoded", b"x" * 20_000),
    ],
)
def test_a_broken_form_is_the_clients_fault(service: Service, content_type: str, body: bytes) -> None:
    answer = service["http"].post(path_for("u-1"), content=body, headers={"Content-Type": content_type})
    assert answer.status_code in {400, 413}
    assert answer.headers["content-type"].startswith("text/html")
    assert service["redis"].keys("*") == []


def test_without_a_secret_there_are_no_links(redis: RedisClient, tmp_path: Path) -> None:
    with running_api(redis, folder_store(tmp_path), unsubscribe_secret=None) as service:
        for answer in (
            service["http"].get(path_for("u-1")),
            service["http"].post(path_for("u-1"), data=ONE_CLICK),
        ):
            assert answer.status_code == 404
            assert heading(answer) == "This link does not work"
    assert redis.keys("*") == []


def test_while_redis_is_away_the_click_can_be_made_again(tmp_path: Path) -> None:
    with EmbeddedRedis() as server, running_api(server.client(), folder_store(tmp_path)) as service:
        server.stop()
        answer = service["http"].post(path_for("u-1"), data=ONE_CLICK)
        assert answer.status_code == 503
        assert heading(answer) == "This did not work"
        assert "It is not known whether the mails are stopped. Please try again" in answer.text
        server.start()
        assert service["http"].post(path_for("u-1"), data=ONE_CLICK).status_code == 200


class BreakingOff(RedisClient):
    """A connection that breaks off after so many scripts, or before the answer of the last one."""

    def __init__(self, inner: RedisClient, scripts: int) -> None:
        super().__init__(inner.connection)
        self._left = scripts

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        reply = super().run_script(call)
        self._left -= 1
        if self._left <= 0:
            raise RedisUnavailableError("connection reset")
        return reply


@pytest.mark.parametrize("scripts", [1, 2])
def test_a_click_that_breaks_off_in_the_middle_says_that_nobody_knows(
    redis: RedisClient, tmp_path: Path, scripts: int
) -> None:
    """It said that nothing was changed, while one user of a digest had no mails from then on."""
    # The time stands still, so it is still known that no key is needed.
    broken = BreakingOff(redis, scripts)
    with running_api(broken, folder_store(tmp_path), clock=FakeClock()) as service:
        answer = service["http"].post(path_for("u-1", "u-2"), data=ONE_CLICK)
    assert answer.status_code == 503
    assert "Nothing was changed" not in answer.text
    assert "to do it twice does no harm" in answer.text
    out = [PreferenceStore(redis).load(user) for user in ("u-1", "u-2")]
    assert [bool(one) for one in out] == [True, scripts == 2]
