"""`notifier doctor`: tries what the notifier needs, sends nothing, and says what is wrong."""

from collections.abc import Iterator
from typing import TypedDict

from platform_core.errors import PlatformError
from platform_notify.providers.base import MailProvider
from platform_workers.domains import known_domains
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

from notifier.settings import NotifierSettings


class Finding(TypedDict):
    """One sentence for the operator, and whether all is well."""

    good: bool
    sentence: str


def examine(settings: NotifierSettings, redis: RedisClient, provider: MailProvider) -> Iterator[Finding]:
    """Try Redis and the provider, one after the other; a fault of one does not keep from the next.

    Args:
        settings: they were read without a fault.
        redis: the connection.
        provider: as the settings choose it.
    """
    domains = ", ".join(settings["domains"]) or "every domain"
    yield {"good": True, "sentence": f"The settings are complete; the notifier will listen to {domains}."}
    try:
        redis.ping()
        with_jobs = ", ".join(known_domains(redis).values()) or "none yet"
        yield {"good": True, "sentence": f"Redis answers; domains with jobs: {with_jobs}."}
    except PlatformError as error:
        yield {"good": False, "sentence": f"Redis cannot be used. {tell_fault(error)}"}
    try:
        yield {"good": True, "sentence": provider.check()}
    except PlatformError as error:
        yield {"good": False, "sentence": str(error)}


def tell_fault(error: PlatformError) -> str:
    """Say what was wrong, and where Redis does not answer what to look at first."""
    if isinstance(error, RedisUnavailableError):
        return f"Redis does not answer: {str(error).rstrip('.')}. Is REDIS_URL right?"
    return str(error)
