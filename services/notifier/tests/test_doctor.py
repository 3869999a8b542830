"""What the doctor says about the settings, the links in mails, and a first start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from notifier_kit import complete_job, settings_for
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock
from platform_workers.testing.embedded_redis import free_port

from notifier.doctor import examine
from notifier.health_server import HealthServer, Page
from notifier.settings import read_settings
from notifier.wiring import GROUP, make_provider

LINKED = {"UNSUBSCRIBE_SECRET": "s" * 32}


class Doctor:
    """Examines one environment after the other."""

    def __init__(self, redis: RedisClient, folder: Path) -> None:
        self.redis = redis
        self._folder = folder

    def __call__(self, environ: dict[str, str]) -> list[str]:
        """Return what is found but for the provider, each as `grade: sentence`."""
        settings = read_settings({**settings_for("redis://127.0.0.1:1/0", self._folder), **environ})
        provider = make_provider(settings, self.redis, FakeClock())
        found = [f"{one['grade']}: {one['sentence']}" for one in examine(settings, self.redis, provider)]
        return found[:-1]

    def about(self, words: str, environ: dict[str, str]) -> list[str]:
        """Return the findings that have these words."""
        return [finding for finding in self(environ) if words in finding]


@pytest.fixture
def doctor(redis: RedisClient, tmp_path: Path) -> Doctor:
    return Doctor(redis, tmp_path)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "mails about failures are gathered for 10 min after the first one (MAIL_DIGEST)."),
        ({"MAIL_DIGEST": "off"}, "each leaves by itself (MAIL_DIGEST)."),
        (
            {"MAIL_DIGEST": "off", "MAIL_DIGEST_DOMAINS": "qr: all window=90s first=3; digits: successes"},
            (
                "each leaves by itself (MAIL_DIGEST); qr: mails are gathered for 1 min 30 s after the"
                " first 3; digits: mails about successes are gathered for 10 min after the first one."
            ),
        ),
    ],
)
def test_the_digests_are_told(doctor: Doctor, environ: dict[str, str], words: str) -> None:
    assert doctor.about("to one address", environ) == [f"ok: Many mails to one address: {words}"]


def test_how_old_an_outcome_may_be_is_told(doctor: Doctor) -> None:
    environ = {"NOTIFIER_MAX_AGE_HOURS": "36"}
    assert doctor.about("hours old", environ) == [
        "ok: Outcomes up to 36 hours old are mailed; records of mails are kept for 30 days."
    ]


def test_a_setting_that_does_nothing_is_a_warning(doctor: Doctor) -> None:
    environ = {"NOTIFIER_DOMAINS": "turkic", "MAIL_DIGEST_DOMAINS": "qr: off; turkic: off"}
    assert doctor.about("rules for", environ) == [
        (
            "warn: MAIL_DIGEST_DOMAINS has rules for qr, which NOTIFIER_DOMAINS does not name: this notifier"
            " does not hear of them."
        )
    ]


def test_a_rule_for_a_domain_without_jobs_may_be_misspelt(doctor: Doctor) -> None:
    environ = {"MAIL_DIGEST_DOMAINS": "turkc: off; turkic: off"}
    assert doctor.about("rules for", environ) == [], "nobody knows before the first job"
    complete_job(doctor.redis)
    assert doctor.about("rules for", environ) == [
        (
            "warn: MAIL_DIGEST_DOMAINS has rules for turkc, where the platform has had no job yet. Is"
            " the name right?"
        )
    ]


# -- the first start ------------------------------------------------------------------------------------


def test_before_a_first_start_it_says_which_mails_that_means(doctor: Doctor) -> None:
    assert doctor.about("first start", {}) == [], "nothing is there to be mailed"
    complete_job(doctor.redis)
    assert doctor.about("first start", {"NOTIFIER_DOMAINS": "qr"}) == []
    assert doctor.about("first start", {"NOTIFIER_MAX_AGE_HOURS": "36"}) == [
        (
            "warn: No notifier has heard of the jobs of turkic yet. The first one mails about all that"
            " ended in the last 36 hours and asked for it. If nobody wants these mails, set"
            " NOTIFIER_MAX_AGE_HOURS=1 for its first start."
        )
    ]
    doctor.redis.xgroup_create("turkic:events:log", GROUP, start="0")
    assert doctor.about("first start", {}) == []


# -- links to stop mails --------------------------------------------------------------------------------


@contextmanager
def api(status: int) -> Iterator[str]:
    """Serve `/jobs/unsubscribe` with this status; give the address below which it lies."""
    page = Page(status, "text/html", b"Stop these mails?")
    server = HealthServer(host="127.0.0.1", port=0, pages={"/jobs/unsubscribe": lambda: page})
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}/jobs/"
    finally:
        server.stop()


NOT_HTTPS = "warn: JOBS_PUBLIC_URL is no https address: mail programs show no button to stop mails then."


def test_without_a_secret_it_says_why_mails_have_no_link(doctor: Doctor) -> None:
    assert doctor.about("link", {}) == [
        "ok: Mails have no link to stop them, because UNSUBSCRIBE_SECRET is not set."
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (200, "ok: Mails have a link to stop them; one was opened below "),
        (400, "fault: The links to stop mails do not work: the API at "),
        (404, "fault: The links to stop mails do not work: there is no page for them at "),
        (503, "warn: Mails have a link to stop them, but none could be opened below "),
    ],
)
def test_a_link_is_opened_as_whoever_gets_a_mail_would(doctor: Doctor, status: int, words: str) -> None:
    """With another secret at the API every link in every mail was dead, and nobody knew."""
    with api(status) as url:
        found = doctor.about("link", {**LINKED, "JOBS_PUBLIC_URL": url})
        assert doctor.about("no https", {**LINKED, "JOBS_PUBLIC_URL": url}) == [NOT_HTTPS]
    (finding,) = found
    assert finding.startswith(f"{words}{url}")
    assert "token" not in finding
    assert ("it answers with status 503" in finding) is (status == 503)


def test_an_address_that_does_not_answer_from_here_is_no_fault(doctor: Doctor) -> None:
    """It may be one that only the outside reaches."""
    url = f"https://127.0.0.1:{free_port()}"
    (finding,) = doctor.about("link", {**LINKED, "JOBS_PUBLIC_URL": url})
    assert finding.startswith("warn: Mails have a link to stop them, but none could be opened below https://")
    assert finding.endswith(" Connection refused. Try one from outside.")
    assert doctor.about("no https", {**LINKED, "JOBS_PUBLIC_URL": url}) == []
