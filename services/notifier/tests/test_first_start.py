"""A first notifier on an old store: what it mails, and how it is kept from mailing what is long over."""

from datetime import timedelta
from pathlib import Path

from notifier_kit import RunningNotifier, add_as, complete_job, mails, settings_for, told_jobs, wait_until
from platform_core.clock import SystemClock, to_millis
from platform_workers.redis import RedisClient
from platform_workers.testing import EmbeddedRedis

LOG = "turkic:events:log"


def age_log(redis: RedisClient, hours: int) -> None:
    """Let everything in the log have happened so many hours ago."""
    entries = redis.xrange(LOG)
    redis.delete(LOG)
    begin = to_millis(SystemClock().now() - timedelta(hours=hours))
    for number, entry in enumerate(entries):
        add_as(redis, f"{begin}-{number}", entry["fields"])


def test_it_mails_what_ended_before_it_came(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    complete_job(redis, "old")
    age_log(redis, 700)
    with RunningNotifier(settings_for(server.url, tmp_path), tmp_path):
        wait_until(lambda: told_jobs(tmp_path) == ["old"])


def test_with_an_age_of_an_hour_it_mails_only_what_is_fresh_and_nothing_older_later(
    server: EmbeddedRedis, redis: RedisClient, tmp_path: Path
) -> None:
    """The README tells it to whoever starts a first notifier."""
    environ = settings_for(server.url, tmp_path)
    complete_job(redis, "old")
    age_log(redis, 2)
    complete_job(redis, "fresh")
    first = {**environ, "NOTIFIER_MAX_AGE_HOURS": "1"}
    with RunningNotifier(first, tmp_path, name="first") as notifier:
        wait_until(lambda: len(mails(tmp_path)) == 1)
        (skipped,) = notifier.lines("notifier.delivery_skipped")
        assert (skipped["job_id"], skipped["reason"]) == ("old", "too_old")
        assert notifier.terminate() == 0
    with RunningNotifier(environ, tmp_path, name="second") as notifier:
        complete_job(redis, "next")
        wait_until(lambda: len(mails(tmp_path)) == 2)
        assert notifier.terminate() == 0
    assert told_jobs(tmp_path) == ["fresh", "next"]
