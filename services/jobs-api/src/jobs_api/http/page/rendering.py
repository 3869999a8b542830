"""Fills the page's template. What a job says is escaped; style and script are our own and known by hash.

The one module of this service that imports jinja2.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from jinja2 import Environment, FileSystemLoader
from platform_notify.strict_templates import StrictMissing

from jobs_api.http.page.words import LogLine, PageWords

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictMissing,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGE: Final = TEMPLATES.get_template("job.html.jinja")
_UNSUBSCRIBE: Final = TEMPLATES.get_template("unsubscribe.html.jinja")


class JobLinks(TypedDict):
    """Where the page leads, relative to itself: to the job's events until it is done, then to its result.

    Attributes:
        follow: the job's events.
        result: the result as a download.
        elsewhere: the id of a result that is no file of this service; no address.
    """

    follow: NotRequired[str]
    result: NotRequired[str]
    elsewhere: NotRequired[str]


def _hash_of(part: str) -> str:
    text = TEMPLATES.get_template(part).render()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


PAGE_POLICY: Final = (
    f"default-src 'none'; style-src {_hash_of('job.css')}; script-src {_hash_of('job.js')}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's `Content-Security-Policy`: its own style and script, by hash, and this server; nothing else."""

UNSUBSCRIBE_POLICY: Final = (
    f"default-src 'none'; style-src {_hash_of('unsubscribe.css')}; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""That of the page to stop mails: its own style by hash, its own form, no script."""


class UnsubscribeWords(TypedDict):
    """What the page to stop mails says.

    Attributes:
        tone: `calm`, `good` or `bad`, for the colours.
        domain: whose mails its buttons stop; empty for no buttons.
    """

    tone: str
    badge: str
    heading: str
    advice: str
    domain: str


def render_unsubscribe_page(words: UnsubscribeWords) -> str:
    """Return the page to stop mails, or the one that says what came of it."""
    return _UNSUBSCRIBE.render(**words)


def render_job_page(words: PageWords, links: JobLinks, about: str, log: Sequence[LogLine]) -> str:
    """Return the page of a job.

    Args:
        words: what it says.
        links: where it leads.
        about: the name of the file the job works on; empty when unknown.
        log: the job's log.
    """
    follow = links.get("follow", "")
    state = f"{words['percent']} %" if words["running"] else words["badge"]
    return _PAGE.render(
        job=True,
        title=f"{state} · {words['heading']}",
        about=about,
        follow=follow,
        result=links.get("result", ""),
        elsewhere=links.get("elsewhere", ""),
        log=log,
        **words,
    )


def render_problem_page(heading: str, advice: str) -> str:
    """Return a page that says why there is no job to show."""
    return _PAGE.render(
        job=False,
        title=heading,
        tone="bad",
        badge="Sorry",
        heading=heading,
        advice=advice,
        follow="",
    )
