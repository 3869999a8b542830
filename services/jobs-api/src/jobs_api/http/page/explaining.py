"""What a page says when it can't be shown: in place of a problem document a page with the same news."""

from collections.abc import Callable
from typing import Final, TypeAlias

from litestar import Request, Response
from litestar.datastructures import State
from platform_core.logging import Logger

from jobs_api.http.page.answers import html_answer
from jobs_api.http.page.rendering import render_problem_page
from jobs_api.http.page.sign_in import ask_to_sign_in
from jobs_api.http.problems import problem_of

UNAUTHORIZED: Final = 401

PageHandlers: TypeAlias = dict[
    int | type[Exception], Callable[[Request[object, object, State], Exception], Response[str]]
]

_HEADINGS: Final = {
    403: "You may not see this",
    404: "There is no such job",
    429: "Too many requests",
    503: "The jobs can't be read just now",
}
_ADVICE: Final = {
    404: "Check the address. A finished job is kept for 30 days.",
    503: "Nothing is lost, and jobs go on. Reload this page in a moment.",
}


def page_exception_handlers(logger: Logger) -> PageHandlers:
    """Return what a page's route answers errors with.

    Args:
        logger: for what nobody foresaw.
    """

    def explain(request: Request[object, object, State], error: Exception) -> Response[str]:
        problem = problem_of(error, logger)
        status = problem["status"]
        if status == UNAUTHORIZED:
            return ask_to_sign_in(request, problem)
        heading = _HEADINGS.get(status, "Something went wrong here")
        text = render_problem_page(heading, _ADVICE.get(status, problem["detail"]))
        return html_answer(text, status, problem.get("headers"))

    return {Exception: explain}
