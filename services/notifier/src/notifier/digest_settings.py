"""Settings of mail storms: which mails to one recipient are gathered into a digest, and for how long.

    MAIL_DIGEST=failures                                    off, failures (default), successes, all
    MAIL_DIGEST_WINDOW=10m                                  30s, 10m, 2h: 1 second to 24 hours
    MAIL_DIGEST_FIRST=1                                     how many leave at once before that, 1 to 100
    MAIL_DIGEST_DOMAINS=turkic: off; digits: all window=5m first=3

In the last one a domain's words may come in any order; what is not said follows the settings above.
"""

import re
from datetime import timedelta
from typing import Final

from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, job_domain
from platform_core.settings import SettingsReader
from platform_notify.digests import DigestPolicy, DomainDigests, GatheredOutcomes

OUTCOMES: Final[tuple[GatheredOutcomes, ...]] = ("off", "failures", "successes", "all")
DEFAULT_WINDOW: Final = "10m"
MAX_WINDOW: Final = timedelta(hours=24)
MAX_FIRST: Final = 100

_WINDOW = re.compile(r"([1-9][0-9]{0,5})([smh])")
_UNITS: Final = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_FIRST = re.compile(r"[1-9][0-9]{0,2}")

_WINDOW_WORDS: Final = "a number with s, m or h, at most 24h, such as 10m"
_DOMAIN_WORDS: Final = f"{', '.join(OUTCOMES)}, window=10m or first=1"


def read_digest_settings(reader: SettingsReader) -> DigestPolicy:
    """Read the settings; each fault goes to the reader, and names the entry and quotes no value."""
    window = _window(reader.text("MAIL_DIGEST_WINDOW", DEFAULT_WINDOW))
    if window is None:
        reader.fault(f"MAIL_DIGEST_WINDOW must be {_WINDOW_WORDS}")
    general: DomainDigests = {
        "outcomes": reader.choice("MAIL_DIGEST", OUTCOMES, "failures"),
        "window": window or MAX_WINDOW,
        "first": reader.integer("MAIL_DIGEST_FIRST", 1, minimum=1, maximum=MAX_FIRST),
    }
    domains: dict[JobDomain, DomainDigests] = {}
    for number, entry in enumerate(_entries(reader.text("MAIL_DIGEST_DOMAINS", "")), start=1):
        name, _, words = entry.partition(":")
        place = f"MAIL_DIGEST_DOMAINS, entry {number}"
        try:
            domain = job_domain(name.strip())
        except DecodeError as error:
            reader.fault(f"{place}: the domain must be {error.expected}")
            continue
        if domain in domains:
            reader.fault(f"{place}: the domain was named before")
        domains[domain] = _of_domain(reader, place, words.split(), general)
    return {"general": general, "domains": domains}


def _entries(text: str) -> list[str]:
    return [entry for entry in text.split(";") if entry.strip()]


def _of_domain(reader: SettingsReader, place: str, words: list[str], general: DomainDigests) -> DomainDigests:
    rule: DomainDigests = {**general}
    if not words:
        reader.fault(f"{place}: the domain must be followed by ':' and {_DOMAIN_WORDS}")
    kinds = ["outcomes" if word in OUTCOMES else word.partition("=")[0] for word in words]
    if len(kinds) > len({*kinds}):
        # Which of the two was meant nobody can tell.
        reader.fault(f"{place}: outcomes, window and first may each be said once")
    for word in words:
        name, _, value = word.partition("=")
        outcomes = [known for known in OUTCOMES if known == word]
        if outcomes:
            rule["outcomes"] = outcomes[0]
        elif name == "window":
            window = _window(value)
            if window is None:
                reader.fault(f"{place}: window must be {_WINDOW_WORDS}")
            rule["window"] = window or MAX_WINDOW
        elif name == "first" and _FIRST.fullmatch(value) and int(value) <= MAX_FIRST:
            rule["first"] = int(value)
        elif name == "first":
            reader.fault(f"{place}: first must be 1 to {MAX_FIRST}")
        else:
            reader.fault(f"{place}: each word must be one of {_DOMAIN_WORDS}")
    return rule


def _window(text: str) -> timedelta | None:
    found = _WINDOW.fullmatch(text)
    if found is None:
        return None
    window = int(found[1]) * _UNITS[found[2]]
    return window if window <= MAX_WINDOW else None
