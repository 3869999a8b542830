"""How pages are answered: never kept, never guessed at, and under the page's policy."""

from typing import Final

from litestar import Response

from jobs_api.http.page.rendering import PAGE_POLICY

_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def html_answer(text: str, status: int, headers: dict[str, str] | None = None) -> Response[str]:
    """Return a page as an answer.

    Args:
        text: the page.
        status: its HTTP status.
        headers: sent besides those of every page.
    """
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS | (headers or {}))
