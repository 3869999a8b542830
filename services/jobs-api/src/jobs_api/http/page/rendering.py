"""Fills the page's template. What a job says is escaped; style and script are our own and known by hash.

The one module of this service that imports jinja2.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from jinja2 import Environment, FileSystemLoader
from platform_notify.strict_templates import StrictMissing

from jobs_api.http.openapi.page import Group, ShapeWords
from jobs_api.http.page.words import LogLine, PageWords

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictMissing,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGE: Final = TEMPLATES.get_template("job.html.jinja")
_API: Final = TEMPLATES.get_template("api.html.jinja")
_SIGN_IN: Final = TEMPLATES.get_template("sign_in.html.jinja")
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
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The page's `Content-Security-Policy`: its own style and script, by hash, and this server; nothing else."""

API_PAGE_POLICY: Final = (
    f"default-src 'none'; style-src {_hash_of('api.css')}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The same for the page of the API, which has no script."""
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


def render_job_page(
    words: PageWords, links: JobLinks, about: str, log: Sequence[LogLine], *, signed_in: bool = False
) -> str:
    """Return the page of a job.

    Args:
        words: what it says.
        links: where it leads.
        about: the name of the file the job works on; empty when unknown.
        log: the job's log.
        signed_in: whether the reader can sign out.
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
        signed_in=signed_in,
        **words,
    )


def render_api_page(
    *,
    about: str,
    groups: Sequence[Group],
    shapes: Sequence[ShapeWords],
    rich: Callable[[str], str],
    rich_line: Callable[[str], str],
) -> str:
    """Return the page of the API.

    Args:
        about: what the API is for.
        groups: its operations.
        shapes: what is sent and answered.
        rich: makes paragraphs of HTML of a text, all of it escaped but the marks.
        rich_line: makes HTML of a text that stands within a line.
    """
    return _API.render(about=about, groups=groups, shapes=shapes, rich=rich, rich_line=rich_line)


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
        waits=False,
    )


def render_sign_in_page(
    *, name: str = "", fault: str = "", place: str = "", root: str = "", again: bool = False
) -> str:
    """Return the page on which one signs in.

    Args:
        name: of the key that one is signed in with; empty for nobody.
        fault: why signing in did not work; empty when it was not tried.
        place: the page to show afterwards, relative to this service's root.
        root: this service's root, relative to the page.
        again: ask the browser to come once more, by itself.
    """
    return _SIGN_IN.render(
        title="Signed in" if name else "Sign in",
        tone="bad" if fault else "good" if name else "calm",
        badge=fault or ("Signed in" if name else "A key is needed"),
        name=name,
        next=place,
        root=root,
        again=again,
    )
