"""Which domains there are: each that ever had a job."""

from contextlib import suppress
from typing import Final

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, default_events_log, job_domain

from platform_workers.redis import RedisClient

DOMAINS_KEY: Final = "platform:domains"
"""The set that names every domain that has a job; kept by the script that moves jobs."""


def known_domains(redis: RedisClient) -> dict[str, JobDomain]:
    """Return the durable log's key of every domain that has a job, with the domain, sorted."""
    logs: dict[str, JobDomain] = {}
    for name in redis.smembers(DOMAINS_KEY):
        # Another program could have written a name that is no domain into the set.
        with suppress(DecodeError):
            domain = job_domain(name)
            logs[default_events_log(domain)] = domain
    return logs
