"""Signing in with a browser, which can send no key along: `GET` and `POST /sign-in`, `POST /sign-out`.

Whoever shows a key gets a cookie that no script can read and no other site can use (HttpOnly,
SameSite=Strict). It stands for the key for 12 hours or until the key is revoked, and for reading alone, so
that no other site can make a browser change anything here.
"""

import asyncio
import re
from typing import Final
from urllib.parse import parse_qsl

from litestar import Request, Response, Router, post, route
from litestar.datastructures import Cookie, State
from litestar.params import RawBody

from jobs_api.access.key_store import SESSION_SECONDS
from jobs_api.http.access import ANYONE, ANYONES_PAGE
from jobs_api.http.answers import READ
from jobs_api.http.gate import SESSION_COOKIE
from jobs_api.http.page.answers import html_answer
from jobs_api.http.page.rendering import render_sign_in_page
from jobs_api.http.problems import Problem, ProblemError
from jobs_api.http.services import Services

MAX_FORM_BYTES: Final = 4096

# Where one may be led after signing in: to a page of this service and nowhere else.
_PAGES: Final = re.compile(r"jobs/[a-z0-9_]{1,32}/[A-Za-z0-9%._~!$&'()*+,;=@-]{1,400}|schema", re.ASCII)
_START: Final = "sign-in"


def sign_in_routes(services: Services) -> Router:
    """Return the routes."""
    gate, sessions = services["gate"], services["sessions"]

    @route("/sign-in", http_method=READ, include_in_schema=False, opt=ANYONES_PAGE)
    async def show(request: Request[object, object, State]) -> Response[str]:
        """Show the form; or who is signed in."""
        key = await gate.signed_in_key(request)
        name = "" if key is None else key["name"]
        return html_answer(render_sign_in_page(name=name), 200)

    @post("/sign-in", include_in_schema=False, opt=ANYONE, request_max_body_size=MAX_FORM_BYTES)
    async def sign_in(request: Request[object, object, State], body: RawBody) -> Response[str]:
        """Take a key, begin a session, lead to the page that was asked for."""
        if _is_from_elsewhere(request):
            text = render_sign_in_page(fault="The form was sent from another site. Sign in here.")
            return html_answer(text, 403)
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        place = page_to_show(form.get("next", ""))
        try:
            key = await gate.key_of(form.get("key", "").strip())
        except ProblemError as error:
            text = render_sign_in_page(fault=error.problem["detail"], place=place)
            return html_answer(text, error.problem["status"])
        secret = await asyncio.to_thread(sessions.open, key["key_id"])
        return _lead_to(place, _cookie(request, secret, SESSION_SECONDS))

    @post("/sign-out", include_in_schema=False, opt=ANYONE, request_max_body_size=MAX_FORM_BYTES)
    async def sign_out(request: Request[object, object, State]) -> Response[str]:
        """End the session."""
        if _is_from_elsewhere(request):
            # The cookie has not come along, and the answer would take it away all the same.
            text = render_sign_in_page(fault="The form was sent from another site. You are still signed in.")
            return html_answer(text, 403)
        secret: str | None = request.cookies.get(SESSION_COOKIE)
        if secret is not None:
            await asyncio.to_thread(sessions.close, secret)
        return _lead_to(_START, _cookie(request, "", 0))

    return Router("/", route_handlers=[show, sign_in, sign_out])


def _is_from_elsewhere(request: Request[object, object, State]) -> bool:
    """Tell whether a browser says that a page of another site sent this form."""
    return request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}


def ask_to_sign_in(request: Request[object, object, State], problem: Problem) -> Response[str]:
    """Return what a page answers to somebody it does not know: the form, in its place."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        # Whoever comes by a link from elsewhere, as from a mail, may be signed in: the cookie comes along
        # only when this site itself leads here.
        return html_answer(render_sign_in_page(again=True), problem["status"])
    path = request.url.path.lstrip("/")
    root = "../" * path.count("/")
    fault = "" if problem["word"] == "key-missing" else problem["detail"]
    text = render_sign_in_page(place=page_to_show(path), root=root, fault=fault)
    return html_answer(text, problem["status"], problem.get("headers"))


def page_to_show(given: str) -> str:
    """Return where to lead somebody: a page of this service, relative to `/sign-in`.

    Args:
        given: as it came from the form.
    """
    return given if _PAGES.fullmatch(given) else _START


def _cookie(request: Request[object, object, State], value: str, seconds: int) -> Cookie:
    return Cookie(
        SESSION_COOKIE,
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _lead_to(place: str, cookie: Cookie) -> Response[str]:
    # Relative, so that it also works below a path of somebody's proxy.
    headers = {"Location": place, "Cache-Control": "no-store"}
    return Response("", status_code=303, headers=headers, cookies=[cookie])
