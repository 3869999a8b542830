"""Who may do what: what each route declares, and what a route may ask about its caller.

A route says `opt=READS` (or `SUBMITS`, `MANAGES`, `ANYONE`, `PROBES`); an application with a route that says
nothing is not built. The guard (`jobs_api.http.gate`) asks for it. It also holds a key limited to domains to
them wherever a domain stands in the path or in the query; where one stands in a body, or where a list spans
domains, the route asks `check_domain` and `allowed_domains`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, TypedDict

from litestar import Litestar
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.types.internal_types import RouteHandlerType
from platform_core.job_events import JobDomain

from jobs_api.access.keys import SCOPES
from jobs_api.access.keys import Scope as KeyScope
from jobs_api.http.problems import ProblemError

AccessWord: TypeAlias = KeyScope | Literal["anyone", "probe"]

READS: Final[dict[str, object]] = {"access": "read"}
SUBMITS: Final[dict[str, object]] = {"access": "submit"}
MANAGES: Final[dict[str, object]] = {"access": "manage"}
ANYONE: Final[dict[str, object]] = {"access": "anyone"}
"""No key is needed; requests are counted all the same."""
PROBES: Final[dict[str, object]] = {"access": "probe"}
"""No key is needed and nothing is counted: who watches the process is always answered."""
STREAMS: Final[dict[str, object]] = {"access": "read", "stream": True}
"""A stream of events: needs `read`, and one of the places for streams."""
READS_PAGE: Final[dict[str, object]] = {"access": "read", "page": True}
"""A page for a person: needs `read`; whoever spells its address in another way is led to it."""
ANYONES_PAGE: Final[dict[str, object]] = {"access": "anyone", "page": True}
"""The same for a page that needs no key."""
READS_ALL: Final[dict[str, object]] = {"access": "read", "every_domain": True}
"""What is shown belongs to no domain; a key limited to some is refused."""
METERS: Final[dict[str, object]] = {**READS_ALL, "despite_outage": True}
"""As `READS_ALL`; but while Redis does not answer, so that it is not known who asks, it asks `is_unknown`."""
MANAGES_ALL: Final[dict[str, object]] = {"access": "manage", "every_domain": True}
"""What is changed belongs to no domain; a key limited to some is refused."""

WEBSOCKET: Final = "WEBSOCKET"

_WORDS: Final[tuple[AccessWord, ...]] = (*SCOPES, "anyone", "probe")
_CALLER: Final = "jobs_caller"
_UNKNOWN: Final = "jobs_caller_unknown"


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        key_id: of the key; empty for anybody while the API is open.
        scopes: what the key is good for.
        domains: whose jobs it sees; None for those of every domain.
        signed_in: whether a browser's session stands for the key.
    """

    key_id: str
    scopes: frozenset[KeyScope]
    domains: frozenset[JobDomain] | None
    signed_in: bool


ANYBODY: Final = Caller("", frozenset(SCOPES), None, signed_in=False)
"""Whoever asks while there is no key."""


class Asked(TypedDict):
    """What is looked at of a request, or of the opening of a WebSocket: ASGI's words for it."""

    client: tuple[str, int] | None
    route_handler: RouteHandlerType
    path_params: dict[str, str]
    path_template: str
    raw_path: bytes
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    state: dict[str, object]


class Connection(Protocol):
    """A request or a WebSocket."""

    @property
    def scope(self) -> Asked:
        """What the server says of it."""


def set_unknown(connection: Connection) -> None:
    """Keep that it is not known who asks, because Redis does not answer."""
    connection.scope["state"][_UNKNOWN] = True


def is_unknown(connection: Connection) -> bool:
    """Tell whether it is not known who asks: what is no secret may be answered, and nothing else."""
    return _UNKNOWN in connection.scope["state"]


def caller_of(connection: Connection) -> Caller:
    """Return who asks. Where no key is needed that is `ANYBODY`."""
    caller = connection.scope["state"].get(_CALLER)
    return caller if isinstance(caller, Caller) else ANYBODY


def method_of(connection: Connection) -> str:
    """Return the method of a request; `WEBSOCKET` for one."""
    asked: Mapping[str, object] = connection.scope
    return str(asked.get("method", WEBSOCKET))


def set_caller(connection: Connection, caller: Caller) -> None:
    """Remember who asks."""
    connection.scope["state"][_CALLER] = caller


def allowed_domains(connection: Connection) -> frozenset[JobDomain] | None:
    """Return whose jobs may be shown to whoever asks; None for those of every domain."""
    return caller_of(connection).domains


def check_domain(connection: Connection, domain: str) -> None:
    """Make sure that whoever asks may see and touch jobs of this domain.

    Raises:
        ProblemError: 403; it names the domain.
    """
    domains = allowed_domains(connection)
    if domains is not None and domain not in domains:
        raise forbidden(
            "domain-missing",
            f"This key is for jobs of other domains ({', '.join(sorted(domains))}), not of {domain[:32]!r}.",
        )


def domain_to_follow(connection: Connection, given: str | None) -> str | None:
    """Return the domain of which whoever asks wants to hear, and may; None for every domain.

    A key for one domain hears of that one. A key for several must say which: a stream is of one domain or of
    all.

    Raises:
        ProblemError: 403; it names the domains.
    """
    domains = allowed_domains(connection)
    if given is not None or domains is None:
        return given
    if len(domains) == 1:
        return next(iter(domains))
    raise forbidden(
        "domain-missing", f"This key is for some domains alone: ask for one of {', '.join(sorted(domains))}."
    )


def forbidden(word: str, detail: str, challenge: str = "") -> ProblemError:
    """Return a 403: who asks is known, and may not do this.

    Args:
        word: the kind of problem.
        detail: what is missing, for a person.
        challenge: the same for a program, in the header `WWW-Authenticate` (RFC 6750); empty for none.
    """
    headers = {"WWW-Authenticate": f"Bearer {challenge}"} if challenge else {}
    return ProblemError({"status": 403, "word": word, "detail": detail, "headers": headers})


def declared_access(handler: BaseRouteHandler) -> AccessWord | None:
    """Return what a route declares; None when it says nothing that is known here."""
    options: Mapping[str, object] = handler.opt
    said = options.get("access")
    return next((word for word in _WORDS if word == said), None)


def declarations(app: Litestar) -> Iterable[tuple[str, str, AccessWord | None]]:
    """Yield every route: its path, its method (`WEBSOCKET` for one), and what it declares."""
    for found in app.routes:
        if isinstance(found, HTTPRoute):
            for handler in found.route_handlers:
                for method in sorted(str(word) for word in handler.http_methods):
                    if method != HttpMethod.OPTIONS:
                        yield found.path_format, method, declared_access(handler)
        else:
            yield found.path_format, found.scope_type.upper(), declared_access(found.route_handler)


def check_declarations(app: Litestar) -> Litestar:
    """Return the application, if every route says who may use it.

    Raises:
        LookupError: some do not; it names them.
    """
    silent = [f"{method} {path}" for path, method, need in declarations(app) if need is None]
    if silent:
        raise LookupError(f"these routes do not say who may use them (opt=READS, ...): {', '.join(silent)}")
    return app
