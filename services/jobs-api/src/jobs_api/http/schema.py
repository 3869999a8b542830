"""The API's own description: `GET /schema/openapi.json` for programs, `GET /schema` (and `/`) for people."""

from collections.abc import Mapping, Sequence

from litestar import Litestar, Request, Response, Router, route
from litestar.datastructures import State
from platform_core.json_values import encode_json

from jobs_api.http.access import ANYONE, READS, READS_PAGE, AccessWord, Connection, declarations
from jobs_api.http.answers import READ
from jobs_api.http.openapi.document import ABOUT, make_document, make_schemas
from jobs_api.http.openapi.page import ShapeWords, groups, rich, rich_line, shape_words
from jobs_api.http.page.answers import html_answer
from jobs_api.http.page.explaining import page_exception_handlers
from jobs_api.http.page.rendering import API_PAGE_POLICY, render_api_page
from jobs_api.http.problems import NOTHING_HERE, ProblemError
from jobs_api.http.services import Services


class Description:
    """What the application is described as; there once all its routes are."""

    def __init__(self) -> None:
        self.text = b""
        self.shapes: Sequence[ShapeWords] = ()
        self.access: Mapping[tuple[str, str], AccessWord | None] = {}
        self._methods: Mapping[str, str] = {}

    def describe(self, app: Litestar) -> None:
        """Read the application's routes."""
        routes = [*declarations(app)]
        schemas = make_schemas()
        self.text = encode_json(make_document(routes, schemas)).encode()
        self.shapes = shape_words(schemas)
        self.access = {(path, method.lower()): need for path, method, need in routes}
        methods: dict[str, list[str]] = {}
        for path, method, _ in routes:
            methods.setdefault(path, ["OPTIONS"]).append(method)
        self._methods = {path: ", ".join(sorted(names)) for path, names in methods.items()}

    async def answer_options(self, request: Request[object, object, State]) -> Response[None] | None:
        """Answer OPTIONS with the methods of an address; nothing else.

        Where two routes share an address the framework names those of the first one alone.
        """
        if request.method != "OPTIONS":
            return None
        connection: Connection = request
        methods = self._methods[connection.scope["path_template"]]
        return Response(None, status_code=204, headers={"Allow": methods})


def schema_routes(services: Services, description: Description) -> Router:
    """Return the three routes."""

    @route("/", http_method=READ, opt=ANYONE, include_in_schema=False)
    async def front(request: Request[object, object, State]) -> Response[None]:
        """Send a browser to the page; for programs there is nothing here."""
        accepted = request.headers.get("accept", "")
        if "text/html" not in accepted:
            raise ProblemError({"status": 404, "word": "request", "detail": NOTHING_HERE})
        # Relative, so that it also leads there below a path of somebody's proxy.
        return Response(None, status_code=303, headers={"Location": "schema", "Vary": "Accept"})

    @route("/openapi.json", http_method=READ, opt=READS, include_in_schema=False)
    async def document() -> Response[bytes]:
        """Give the OpenAPI document."""
        return Response(description.text, media_type="application/json")

    @route(
        "/",
        http_method=READ,
        opt=READS_PAGE,
        sync_to_thread=True,
        include_in_schema=False,
        exception_handlers=page_exception_handlers(services["logger"]),
    )
    def page(request: Request[object, object, State]) -> Response[str]:
        """Show it to a person."""
        base = str(request.base_url).rstrip("/")
        text = render_api_page(
            about=ABOUT,
            groups=groups(description.access, base),
            shapes=description.shapes,
            rich=rich,
            rich_line=rich_line,
        )
        return html_answer(text, 200, {"Content-Security-Policy": API_PAGE_POLICY})

    return Router("/", route_handlers=[front, Router("/schema", route_handlers=[document, page])])
