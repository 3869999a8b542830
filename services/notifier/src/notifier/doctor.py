"""`notifier doctor`: tries what the notifier needs, sends nothing, and says what is wrong or to be mended."""

from collections.abc import Iterator

from platform_core.errors import PlatformError
from platform_core.job_events import JobDomain, job_domain
from platform_notify.digests import DigestPolicy, DomainDigests
from platform_notify.plain_words import human_duration
from platform_notify.providers.base import MailProvider
from platform_workers.domains import known_domains
from platform_workers.errors import RedisUnavailableError
from platform_workers.redis import RedisClient

from notifier.findings import Finding, fault, ok, warn
from notifier.link_check import open_page
from notifier.redis_advice import advise, read_facts
from notifier.settings import LONGEST_AGE_HOURS, NotifierSettings
from notifier.wiring import GROUP, make_links


def examine(settings: NotifierSettings, redis: RedisClient, provider: MailProvider) -> Iterator[Finding]:
    """Look at the settings and try Redis and the provider; a fault of one does not keep from the next.

    Args:
        settings: they were read without a fault.
        redis: the connection.
        provider: as the settings choose it.
    """
    domains = ", ".join(settings["domains"]) or "every domain"
    yield ok(f"The settings are complete; the notifier will listen to {domains}.")
    for sentence in settings["without_effect"]:
        yield warn(sentence)
    yield from _tell_choices(settings)
    yield from _try_link(settings)
    try:
        yield from _try_redis(settings, redis)
    except PlatformError as error:
        yield fault(f"Redis cannot be used. {tell_fault(error)}")
    try:
        yield ok(provider.check())
    except PlatformError as error:
        yield fault(str(error))


def tell_fault(error: PlatformError) -> str:
    """Say what was wrong, and where Redis does not answer what to look at first."""
    if isinstance(error, RedisUnavailableError):
        return f"Redis does not answer: {str(error).rstrip('.')}. Is REDIS_URL right?"
    return str(error)


def _tell_choices(settings: NotifierSettings) -> Iterator[Finding]:
    yield ok(f"Many mails to one address: {_digest_words(settings['digests'])}.")
    hours = round(settings["max_age"].total_seconds() / 3600)
    yield ok(
        f"Outcomes up to {hours} hours old are mailed; records of mails are kept for"
        f" {LONGEST_AGE_HOURS // 24} days."
    )


def _digest_words(policy: DigestPolicy) -> str:
    told = [f"{_rule_words(policy['general'])} (MAIL_DIGEST)"]
    told += [f"{domain}: {_rule_words(rule)}" for domain, rule in policy["domains"].items()]
    return "; ".join(told)


def _rule_words(rule: DomainDigests) -> str:
    if rule["outcomes"] == "off":
        return "each leaves by itself"
    kind = "mails" if rule["outcomes"] == "all" else f"mails about {rule['outcomes']}"
    return f"{kind} are gathered for {human_duration(rule['window'])} after the first {_times(rule['first'])}"


def _try_link(settings: NotifierSettings) -> Iterator[Finding]:
    links = make_links(settings)
    if links is None:
        yield ok("Mails have no link to stop them, because UNSUBSCRIBE_SECRET is not set.")
        return
    url = settings["public_url"]
    # Nobody has this name, and to look at the page changes nothing.
    answer = open_page(links.link(job_domain("notifier"), ["notifier-doctor"]) or "")
    match answer["status"]:
        case 200:
            yield ok(f"Mails have a link to stop them; one was opened below {url} and works.")
        case 400:
            yield fault(
                f"The links to stop mails do not work: the API at {url} answers that they are none of its"
                " own. Is UNSUBSCRIBE_SECRET the same there?"
            )
        case 404:
            yield fault(
                f"The links to stop mails do not work: there is no page for them at {url}. Is"
                " JOBS_PUBLIC_URL the API's address, and has the API an UNSUBSCRIBE_SECRET?"
            )
        case _:
            yield warn(
                f"Mails have a link to stop them, but none could be opened below {url} from here:"
                f" {answer['detail']}. Try one from outside."
            )
    if not (url or "").startswith("https:"):
        yield warn("JOBS_PUBLIC_URL is no https address: mail programs show no button to stop mails then.")


def _try_redis(settings: NotifierSettings, redis: RedisClient) -> Iterator[Finding]:
    redis.ping()
    logs = known_domains(redis)
    with_jobs = ", ".join(logs.values()) or "none yet"
    yield ok(f"Redis answers; domains with jobs: {with_jobs}.")
    yield from advise(read_facts(redis))
    yield from _tell_first_start(settings, redis, logs)
    heard = settings["domains"] or tuple(settings["digests"]["domains"])
    strange = [name for name in settings["digests"]["domains"] if name in heard and name not in logs.values()]
    if logs and strange:
        yield warn(
            f"MAIL_DIGEST_DOMAINS has rules for {', '.join(strange)}, where the platform has had no job"
            " yet. Is the name right?"
        )


def _tell_first_start(
    settings: NotifierSettings, redis: RedisClient, logs: dict[str, JobDomain]
) -> Iterator[Finding]:
    wanted = {
        log: name for log, name in logs.items() if not settings["domains"] or name in settings["domains"]
    }
    unread = [name for log, name in wanted.items() if redis.xgroup_state(log, GROUP) is None]
    if not unread:
        return
    hours = round(settings["max_age"].total_seconds() / 3600)
    yield warn(
        f"No notifier has heard of the jobs of {', '.join(unread)} yet. The first one mails about all that"
        f" ended in the last {hours} hours and asked for it. If nobody wants these mails, set"
        " NOTIFIER_MAX_AGE_HOURS=1 for its first start."
    )


def _times(number: int) -> str:
    return "one" if number == 1 else str(number)
