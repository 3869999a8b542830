"""API keys: what one is, how its text looks, and whether a text is right.

A key's text is `jobs_<key id>_<secret>`. The id is no secret: it stands in lists and logs. Of the secret only
a digest is kept. SHA-256 does for that: the secret is 256 random bits, which nobody guesses however fast the
digest is; the slow functions are for passwords that people think of, and would cost every request their time.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict

from msgspec import Meta
from platform_core.clock import to_iso
from platform_core.errors import PlatformError
from platform_core.job_events import JobDomain

Scope: TypeAlias = Literal["read", "submit", "manage"]

SCOPES: Final[tuple[Scope, ...]] = ("read", "submit", "manage")

MAX_NAME_LENGTH: Final = 64
MAX_DAYS: Final = 3650

_TEXT: Final = re.compile(r"jobs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_VISIBLE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_NO_DIGEST: Final = hashlib.sha256(b"no key").hexdigest()


class ApiKey(TypedDict):
    """A key as it is stored; without its secret.

    Attributes:
        key_id: 12 hex digits.
        name: whose it is, in the words of who made it.
        digest: of the secret, SHA-256 in hex digits.
        scopes: what it is good for.
        domains: whose jobs it sees; none means those of every domain.
        created_at: ISO 8601.
        expires_at: ISO 8601; absent for a key that lasts.
    """

    key_id: Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
    name: str
    digest: str
    scopes: list[Scope]
    domains: list[JobDomain]
    created_at: str
    expires_at: NotRequired[str]


class NewKey(NamedTuple):
    """A key just made; `text` is told to its owner once and kept nowhere."""

    key: ApiKey
    text: str


class KeyNameError(PlatformError):
    """A key can't have this name."""


def make_key(
    *,
    name: str,
    scopes: Sequence[Scope],
    domains: Sequence[JobDomain],
    now: datetime,
    lasts: timedelta | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> NewKey:
    """Make a key.

    Args:
        name: whose it is; 1 to 64 visible characters.
        scopes: what it is good for.
        domains: whose jobs it sees; none for those of every domain.
        now: the time.
        lasts: for how long; None for ever.
        random_bytes: where the randomness comes from.

    Raises:
        KeyNameError: the name is empty, too long, or holds what can't be seen.
    """
    if len(name) > MAX_NAME_LENGTH or _VISIBLE.fullmatch(name) is None:
        raise KeyNameError(f"the name must have 1 to {MAX_NAME_LENGTH} visible characters")
    key_id, secret = random_bytes(6).hex(), random_text(random_bytes)
    key: ApiKey = {
        "key_id": key_id,
        "name": name,
        "digest": digest_of(secret),
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "domains": sorted(set(domains)),
        "created_at": to_iso(now),
    }
    if lasts is not None:
        key["expires_at"] = to_iso(now + lasts)
    return NewKey(key, f"jobs_{key_id}_{secret}")


def random_text(random_bytes: Callable[[int], bytes]) -> str:
    """Return 256 random bits as 43 characters that need no escaping anywhere."""
    return base64.urlsafe_b64encode(random_bytes(32)).rstrip(b"=").decode()


def digest_of(secret: str) -> str:
    """Return the digest by which a secret is known here, SHA-256 in hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_text(text: str) -> tuple[str, str] | None:
    """Return the id and the secret of a key's text; None for what is no key's text."""
    found = _TEXT.fullmatch(text)
    return None if found is None else (found[1], found[2])


def is_right(key: ApiKey | None, secret: str) -> bool:
    """Tell whether this is the key's secret, in a time that tells nothing.

    Args:
        key: the key of the id that was given; None if there is none, which takes as long to find out.
        secret: as given.
    """
    expected = _NO_DIGEST if key is None else key["digest"]
    return hmac.compare_digest(digest_of(secret), expected) and key is not None


def has_expired(key: ApiKey, now: datetime) -> bool:
    """Tell whether a key's time is over."""
    return "expires_at" in key and datetime.fromisoformat(key["expires_at"]) <= now
