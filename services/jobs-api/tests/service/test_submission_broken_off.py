"""A submission that is broken off at any of its steps leaves no job, or a whole one.

For Redis an API that was killed and a connection that broke are the same: the rest is never asked. So the
connection is broken at every command of a submission in turn: before it, in its middle, and after it was
carried out.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from breaking_redis import BREAKS, Break, BreakingRedis, breaking_redis
from platform_core.errors import PlatformError
from platform_core.job_events import JobDomain
from platform_workers.handlers import HandlerRegistry
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient, connect
from platform_workers.submission import JobRequest, JobSubmitter, make_submitter
from platform_workers.testing import EmbeddedRedis

from jobs_api.object_store import FileStore
from jobs_api.registry import FILES, make_registry
from jobs_api.wiring import make_file_jobs

REQUEST: JobRequest = {
    "job_type": "csv.row_count",
    "payload": {"file_id": "x"},
    "user_id": 7,
    "context": {"user_id": "u", "email": "me@example.com"},
    "notifications": {"email": {"enabled": True, "on": ["FAILURE"]}},
}
MORE_THAN_ENOUGH = 50


@pytest.fixture
def proxy(server: EmbeddedRedis) -> Iterator[BreakingRedis]:
    with breaking_redis(server.url) as proxy:
        yield proxy


@pytest.fixture
def registry(files: FileStore, tmp_path: Path) -> HandlerRegistry:
    return make_registry(make_file_jobs(files, tmp_path))


def submit(submitter: JobSubmitter, key: str | None) -> None:
    if key is None:
        submitter.submit(REQUEST, job_id="job-1")
    else:
        submitter.submit_once(REQUEST, key)


def jobs_left(redis: RedisClient, domain: JobDomain) -> int:
    """Count the jobs; each must be whole, and beside them there must be nothing."""
    job_ids = JobRecordStore(redis=redis, domain=domain).list_ids()
    for job_id in job_ids:
        record = JobRecordStore(redis=redis, domain=domain).load(job_id)
        assert record is not None
        assert record["status"] == "queued"
        attempt = f"{domain}-{job_id}-1-1"
        assert redis.lrange("rq:queue:files", 0, -1).count(attempt) == 1
        assert redis.connection.hexists(f"rq:job:{attempt}", "data")
    if not job_ids:
        assert redis.keys("*") == []
    return len(job_ids)


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("key", [None, "order-7"])
def test_wherever_it_breaks_there_is_a_whole_job_or_none(
    how: Break, key: str | None, redis: RedisClient, proxy: BreakingRedis, registry: HandlerRegistry
) -> None:
    left: list[int] = []
    for at in range(1, MORE_THAN_ENOUGH):
        redis.connection.flushall()
        proxy.arm(0, how)
        client = connect(proxy.url)
        client.ping()
        proxy.arm(at, how)
        try:
            submit(make_submitter(redis=client, queue_name="files", registry=registry), key)
        except PlatformError:
            left.append(jobs_left(redis, FILES))
        else:
            break
        finally:
            client.close()
    assert not proxy.broke, "it was broken at each of its commands, and then ran whole"
    assert jobs_left(redis, FILES) == 1
    # Nothing comes of it until EXEC, the last one, has arrived whole; then only its answer can be lost.
    assert len(left) > 3
    assert left == [0] * (len(left) - 1) + [1 if how == "after" else 0]


@pytest.mark.parametrize("how", BREAKS)
def test_whoever_asks_again_with_the_same_key_has_one_job(
    how: Break, redis: RedisClient, proxy: BreakingRedis, registry: HandlerRegistry
) -> None:
    for at in range(1, MORE_THAN_ENOUGH):
        redis.connection.flushall()
        proxy.arm(0, how)
        client = connect(proxy.url)
        client.ping()
        proxy.arm(at, how)
        submitter = make_submitter(redis=client, queue_name="files", registry=registry)
        try:
            submit(submitter, "order-7")
        except PlatformError:
            proxy.arm(0, how)
            submit(submitter, "order-7")
            assert jobs_left(redis, FILES) == 1
        else:
            return
        finally:
            client.close()
    pytest.fail("it never ran whole")
