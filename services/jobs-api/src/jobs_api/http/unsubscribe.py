"""The link in a mail: a page with a button (GET), and the button or a mail program's one click (POST).

GET changes nothing, because programs that look for harmful links follow every link of a mail. The token in
the address is all that is needed: it allows nothing but to turn mails off (RFC 8058).
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from litestar import Request, Response, Router, post, route
from litestar.datastructures import State
from litestar.params import FromQuery, RawBody
from platform_notify.unsubscribe import TokenError, Unsubscription
from platform_workers.errors import RedisUnavailableError

from jobs_api.http.access import ANYONE
from jobs_api.http.answers import READ
from jobs_api.http.multipart_body import boundary_of, read_fields
from jobs_api.http.page.rendering import UNSUBSCRIBE_POLICY, UnsubscribeWords, render_unsubscribe_page
from jobs_api.http.problems import ProblemError, opt_out_unknown, problem_of
from jobs_api.http.services import Services

MAX_BODY_BYTES: Final = 16 * 1024

_HEADERS: Final = {
    "Content-Security-Policy": UNSUBSCRIBE_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def unsubscribe_routes(services: Services) -> Router:
    """Return the routes of `/unsubscribe`."""
    tokens, store, logger = services["unsubscribe"], services["preferences"], services["logger"]

    def read(token: str | None) -> Unsubscription:
        if tokens is None:
            raise _refusal(
                404, "Here it can't be checked, because there is no secret for it. Ask whoever runs the jobs."
            )
        try:
            return tokens.verify(token or "")
        except TokenError as error:
            raise _refusal(
                400, f"It can't be used: {error}. Take the whole link from the mail; nothing was changed."
            ) from error

    @route("/", http_method=READ, opt=ANYONE, sync_to_thread=True, include_in_schema=False)
    def ask(token: FromQuery[str | None] = None) -> Response[str]:
        """Show what the link would stop, with buttons that do it."""
        domain = read(token)["domain"]
        return _page(
            200,
            {
                "tone": "calm",
                "badge": "Mails",
                "heading": "Stop these mails?",
                "advice": f"You get mails when jobs of {domain} end. The jobs themselves go on as before.",
                "domain": domain,
            },
        )

    @post(
        "/",
        opt=ANYONE,
        status_code=200,
        sync_to_thread=True,
        request_max_body_size=MAX_BODY_BYTES,
        include_in_schema=False,
    )
    def stop(
        request: Request[object, object, State], body: RawBody, token: FromQuery[str | None] = None
    ) -> Response[str]:
        """Turn the mails off; doing it again changes nothing."""
        allowed = read(token)
        everything = _wants_everything(request.headers.get("content-type", ""), body)
        try:
            for user in allowed["users"]:
                store.opt_out(user, None if everything else allowed["domain"])
        except RedisUnavailableError as error:
            logger.warning("http.redis_away", error=str(error))
            raise opt_out_unknown() from error
        logger.info("http.unsubscribed", domain="all" if everything else allowed["domain"])
        which = "of this platform" if everything else f"about jobs of {allowed['domain']}"
        return _page(
            200,
            {
                "tone": "good",
                "badge": "Done",
                "heading": f"You will get no more mails {which}",
                "advice": "One on its way may still come. To get them again, ask whoever runs your jobs.",
                "domain": "",
            },
        )

    def explain(_request: Request[object, object, State], error: Exception) -> Response[str]:
        problem = problem_of(error, logger)
        return _page(
            problem["status"],
            {
                "tone": "bad",
                "badge": "Sorry",
                "heading": "This link does not work"
                if problem["word"] == "unsubscribe"
                else "This did not work",
                "advice": problem["detail"],
                "domain": "",
            },
        )

    handlers: dict[
        int | type[Exception], Callable[[Request[object, object, State], Exception], Response[str]]
    ] = {Exception: explain}
    return Router("/unsubscribe", route_handlers=[ask, stop], exception_handlers=handlers)


def _wants_everything(content_type: str, body: bytes) -> bool:
    """Read the form: a mail program sends `List-Unsubscribe=One-Click` alone, the page which button it was.

    Raises:
        ProblemError: it is another form; whoever sent it may have meant something else.
    """
    boundary = boundary_of(content_type)
    if boundary is None:
        fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    else:
        fields = read_fields(boundary, body)
    scope = fields.get("scope", "domain")
    if fields.get("List-Unsubscribe") != "One-Click" or scope not in {"domain", "all"}:
        raise _refusal(
            400, "The request is not the one of the button or of a mail program; nothing was changed."
        )
    return scope == "all"


def _refusal(status: int, detail: str) -> ProblemError:
    return ProblemError({"status": status, "word": "unsubscribe", "detail": detail})


def _page(status: int, words: UnsubscribeWords) -> Response[str]:
    text = render_unsubscribe_page(words)
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)
