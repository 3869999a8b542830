"""The guard before all routes: who asks, how fast, and whether they may.

Order matters. A request is counted before it is refused, under its key if it has a right one, else under its
address; so guessing keys is held to the rate as well. While there is no key at all, the API is open to this
machine alone, and two tricks of web pages are shut out: names that lead here (DNS rebinding) and requests
sent from other sites.
"""

import asyncio
import ipaddress
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final, Protocol, TypeAlias, TypedDict, TypeVar
from urllib.parse import parse_qsl, urlsplit

from litestar.datastructures import Headers
from litestar.types.asgi_types import WebSocketResponseBodyEvent, WebSocketResponseStartEvent
from platform_core.clock import Clock
from platform_workers.errors import RedisUnavailableError

from jobs_api.access.key_ring import KeyRing
from jobs_api.access.key_store import SessionStore
from jobs_api.access.keys import ApiKey, has_expired, is_right, split_text
from jobs_api.access.places import StreamPlaces
from jobs_api.access.rates import TokenBuckets
from jobs_api.figures import PATIENCE_SECONDS
from jobs_api.http.access import (
    ANYBODY,
    WEBSOCKET,
    AccessWord,
    Asked,
    Caller,
    Connection,
    caller_of,
    check_domain,
    declared_access,
    forbidden,
    method_of,
    set_caller,
    set_unknown,
)
from jobs_api.http.addresses import check_spelling
from jobs_api.http.known_queries import refuse_unknown_query
from jobs_api.http.problems import ProblemError

MessageT = TypeVar("MessageT")

SESSION_COOKIE: Final = "jobs_session"

MAX_TARGET_BYTES: Final = 8 * 1024
"""The longest path with its query."""

MAX_HEADER_BYTES: Final = 32 * 1024
"""All headers of a request together."""

RETRY_SECONDS: Final = 5

_PLACE: Final = "jobs_stream_place"
_READING: Final = frozenset({"GET", "HEAD", WEBSOCKET})

Send: TypeAlias = Callable[[WebSocketResponseStartEvent | WebSocketResponseBodyEvent], Awaitable[None]]
"""Takes what is sent to the client: here alone what answers a handshake."""

Passage: TypeAlias = Callable[[Asked, object, Send], Awaitable[None]]
"""An ASGI application, of which nothing but its request is looked at."""


class Incoming(Connection, Protocol):
    """A request or the opening of a WebSocket."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by their names in small letters."""


class Arrival:
    """What the guard looks at of a request or of the opening of a WebSocket, before its route sees it."""

    def __init__(self, asked: Asked) -> None:
        self.scope = asked
        self.headers: Mapping[str, str] = Headers(asked["headers"])


class GateParts(TypedDict):
    """What the guard works with.

    Attributes:
        ring: the keys.
        sessions: who is signed in.
        buckets: how fast somebody may ask.
        places: how many streams may be open.
        origins: other web sites that may call this API.
        clock: the time.
    """

    ring: KeyRing
    sessions: SessionStore
    buckets: TokenBuckets
    places: StreamPlaces
    origins: Sequence[str]
    clock: Clock


class Gate:
    """Lets requests through to their routes, or refuses them."""

    def __init__(self, parts: GateParts) -> None:
        self._ring = parts["ring"]
        self._sessions = parts["sessions"]
        self._buckets = parts["buckets"]
        self._places = parts["places"]
        self._origins = frozenset(parts["origins"])
        self._clock = parts["clock"]

    async def admit(self, connection: Incoming) -> None:
        """Let a request through.

        Raises:
            ProblemError: 308, 400, 401, 403, 414, 422, 429, 431 or 503; it says what is missing.
            RedisUnavailableError: it is not known who may come in.
        """
        check_host(connection.scope)
        handler = connection.scope["route_handler"]
        need = declared_access(handler)
        if method_of(connection) == "OPTIONS":
            return
        if need != "probe":
            options: Mapping[str, object] = handler.opt
            admit = self._admit_despite_outage if "despite_outage" in options else self._admit
            await admit(connection, need, options)
        refuse_unknown_query(connection)

    async def _admit_despite_outage(
        self, connection: Incoming, need: AccessWord | None, options: Mapping[str, object]
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._admit(connection, need, options)
        except (RedisUnavailableError, TimeoutError):
            set_unknown(connection)

    async def _admit(
        self, connection: Incoming, need: AccessWord | None, options: Mapping[str, object]
    ) -> None:
        asked = connection.scope
        check_sizes(asked)
        if "page" in options:
            check_spelling(asked)
        caller = await self._count_and_identify(connection, need)
        set_caller(connection, caller)
        if need in {"read", "submit", "manage"}:
            _check_scope(caller, need)
            for domain in _named_domains(connection):
                check_domain(connection, domain)
        if "every_domain" in options and caller.domains is not None:
            detail = "This needs a key for every domain, and this one is for some alone."
            raise forbidden("domain-missing", detail)
        if "stream" in options:
            self._take_place(asked, _who(caller, asked))

    def around(self, app: Passage) -> Passage:
        """Return the application with the guard before it; places for streams are given back afterwards.

        It is no guard of the framework's, which copies a route for each request that a guard looks at: that
        was a quarter of the time of reading a job.
        """

        async def call(asked: Asked, receive: object, send: Send) -> None:
            try:
                await self.admit(Arrival(asked))
                await app(asked, receive, send)
            finally:
                who = asked["state"].pop(_PLACE, None)
                if isinstance(who, str):
                    self._places.give_back(who)

        return call

    async def key_of(self, text: str) -> ApiKey:
        """Return the key that a text is.

        Raises:
            ProblemError: it is no key, or no longer one (401).
            RedisUnavailableError: it is not known which keys there are.
        """
        key_id, secret = split_text(text) or ("", "")
        known = await self._ring.look_up(key_id)
        key, now = known["key"], self._clock.now()
        if not is_right(key, secret) or key is None:
            raise unauthorized("key-unknown", "This is no key of this API.")
        if known["revoked"]:
            raise unauthorized("key-revoked", f"The key {key_id} was revoked.")
        if has_expired(key, now):
            raise unauthorized("key-expired", f"The key {key_id} has expired.")
        await self._ring.note_use(key_id, now)
        return key

    async def signed_in_key(self, connection: Incoming) -> ApiKey | None:
        """Return the key that a browser's session stands for; None if there is no session.

        Raises:
            RedisUnavailableError: it is not known.
        """
        session = session_of(connection)
        if session is None:
            return None
        key_id = await asyncio.to_thread(self._sessions.key_id_of, session)
        return None if key_id is None else await self._usable(key_id)

    async def while_admitted(
        self, connection: Connection, messages: AsyncGenerator[MessageT, None]
    ) -> AsyncGenerator[MessageT, None]:
        """Pass on what a stream says, until whoever opened it would no longer be let in.

        While Redis does not answer, that is not known; but then nothing new is said either.
        """
        async with aclosing(messages):
            async for message in messages:
                with suppress(RedisUnavailableError):
                    if not await self.still_admitted(connection):
                        return
                yield message

    async def still_admitted(self, connection: Connection) -> bool:
        """Tell whether whoever opened a stream would still be let in: the key may have been revoked since.

        Raises:
            RedisUnavailableError: it is not known.
        """
        key_id = caller_of(connection).key_id
        if key_id:
            return await self._usable(key_id) is not None
        return not (await self._ring.look_up(None))["required"]

    async def _count_and_identify(
        self,
        connection: Incoming,
        need: AccessWord | None,
    ) -> Caller:
        try:
            caller = ANYBODY if need == "anyone" else await self._identify(connection)
        except ProblemError:
            self._count(_address(connection.scope))
            raise
        self._count(_who(caller, connection.scope))
        return caller

    async def _identify(self, connection: Incoming) -> Caller:
        given = connection.headers.get("authorization")
        if given is not None:
            return _caller_with(await self.key_of(_bearer(given)), signed_in=False)
        if not (await self._ring.look_up(None))["required"]:
            check_local(connection, self._origins)
            return ANYBODY
        # For what changes nothing alone: so no other site can make a browser do something here.
        if session_of(connection) is None or method_of(connection) not in _READING:
            raise unauthorized("key-missing", "This needs a key. Send it as `Authorization: Bearer KEY`.")
        key = await self.signed_in_key(connection)
        if key is None:
            raise unauthorized("session-over", "You are no longer signed in.")
        return _caller_with(key, signed_in=True)

    async def _usable(self, key_id: str) -> ApiKey | None:
        known = await self._ring.look_up(key_id)
        key = known["key"]
        return None if key is None or known["revoked"] or has_expired(key, self._clock.now()) else key

    def _count(self, who: str) -> None:
        wait = self._buckets.take(who)
        if wait > 0:
            raise _busy(429, "too-many-requests", "Too many requests in a second.", math.ceil(wait))

    def _take_place(self, asked: Asked, who: str) -> None:
        refusal = self._places.take(who)
        if refusal == "too-many":
            detail = "As many event streams are open for you as may be: close one first."
            raise _busy(429, "too-many-streams", detail, RETRY_SECONDS)
        if refusal == "full":
            detail = "As many event streams are open as this server carries."
            raise _busy(503, "streams-full", detail, RETRY_SECONDS)
        asked["state"][_PLACE] = who


def unauthorized(word: str, detail: str) -> ProblemError:
    """Return a 401: it is not known who asks.

    Args:
        word: the kind of problem.
        detail: what is missing, for a person.
    """
    fault = "" if word == "key-missing" else ', error="invalid_token"'
    headers = {"WWW-Authenticate": f'Bearer realm="jobs-api"{fault}'}
    return ProblemError({"status": 401, "word": word, "detail": detail, "headers": headers})


def session_of(connection: Incoming) -> str | None:
    """Return the session that a browser's cookie names; None without one."""
    for cookie in connection.headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == SESSION_COOKIE:
            return value
    return None


def check_host(asked: Asked) -> None:
    """Refuse a request whose `Host` names no host, or of which there are two (RFC 9112, 3.2).

    The address of a request is made of it: a port that is none would be a fault wherever that is looked at.

    Raises:
        ProblemError: 400.
    """
    hosts = [value.decode("latin-1") for name, value in asked["headers"] if name == b"host"]
    try:
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        ports = [None, None]
    if len(ports) > 1 or any("@" in host for host in hosts):
        detail = "Host: expected one host, with a port or without."
        raise ProblemError({"status": 400, "word": "invalid-host", "detail": detail})


def check_sizes(asked: Asked) -> None:
    """Refuse a request whose address or headers are larger than anybody needs.

    Raises:
        ProblemError: 414 or 431.
    """
    if len(asked["raw_path"]) + len(asked["query_string"]) > MAX_TARGET_BYTES:
        raise ProblemError(
            {
                "status": 414,
                "word": "address-too-long",
                "detail": f"The address is too long: at most {MAX_TARGET_BYTES:,} bytes are taken.",
            }
        )
    if sum(len(name) + len(value) for name, value in asked["headers"]) > MAX_HEADER_BYTES:
        raise ProblemError(
            {
                "status": 431,
                "word": "headers-too-large",
                "detail": f"The headers are too large: at most {MAX_HEADER_BYTES:,} bytes are taken.",
            }
        )


def check_local(connection: Incoming, origins: frozenset[str]) -> None:
    """Refuse what a web page of somebody else may have sent here while no key is needed.

    Raises:
        ProblemError: 403.
    """
    host = connection.headers.get("host", "")
    if not _is_local_name(host):
        raise forbidden("not-local", "Without keys this API answers to 127.0.0.1 and localhost alone.")
    origin = connection.headers.get("origin")
    changes = method_of(connection) not in {"GET", "HEAD"}
    if changes and origin is not None and origin not in origins and urlsplit(origin).netloc != host:
        raise forbidden("other-site", "Without keys this API takes nothing from pages of other sites.")


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local_name(host: str) -> bool:
    return is_loopback(urlsplit(f"//{host}").hostname or "")


def _bearer(given: str) -> str:
    scheme, _, text = given.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _caller_with(key: ApiKey, *, signed_in: bool) -> Caller:
    domains = frozenset(key["domains"]) or None
    return Caller(key["key_id"], frozenset(key["scopes"]), domains, signed_in)


def _check_scope(caller: Caller, need: AccessWord | None) -> None:
    if need not in caller.scopes:
        raise forbidden(
            "scope-missing",
            f"This needs the scope `{need}`; the key has {', '.join(sorted(caller.scopes))}.",
            f'realm="jobs-api", error="insufficient_scope", scope="{need}"',
        )


def _named_domains(connection: Incoming) -> list[str]:
    asked = connection.scope
    query = parse_qsl(asked["query_string"].decode("latin-1"), keep_blank_values=True)
    named = [value for name, value in query if name == "domain"]
    if "domain" in asked["path_params"]:
        named.append(asked["path_params"]["domain"])
    return named


def _who(caller: Caller, asked: Asked) -> str:
    return f"key {caller.key_id}" if caller.key_id else _address(asked)


def _address(asked: Asked) -> str:
    client = asked["client"]
    address = client[0] if client is not None else ""
    # Whoever has one address of version 6 has the 2**64 beside it too.
    return address if "." in address else ":".join(address.split(":")[:4])


def _busy(status: int, word: str, detail: str, seconds: int) -> ProblemError:
    headers = {"Retry-After": str(seconds)}
    return ProblemError({"status": status, "word": word, "detail": detail, "headers": headers})
