"""The signed link by which whoever got a mail can stop such mails, without a password (RFC 8058).

The notifier signs and the API checks, with the same secret (`UNSUBSCRIBE_SECRET`). A token says whose mails
about which domain; it names no address, does not expire (an old mail must still be of use) and can do nothing
but turn mails off. Who changes the secret makes every link in earlier mails worthless.

    v1.<payload>.<signature>     both base64url without padding
    payload                      ["unsubscribe", domain, [user id, ...]] as JSON
    signature                    HMAC-SHA256 of `v1.<payload>`
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, TypedDict
from urllib.parse import urlencode

from platform_core.errors import DecodeError, PlatformError
from platform_core.job_events import JobDomain, job_domain
from platform_core.json_values import JsonValue, decode_json, encode_json
from platform_core.notifications import validate_user_id
from platform_core.settings import SettingsReader

from platform_notify.providers.secret import Secret

MIN_SECRET: Final = 32
"""The fewest characters of a secret."""

MAX_PAYLOAD: Final = 560
"""The most bytes of a payload: the header line with the link must stay within 998 bytes (RFC 5322, 2.1.1)."""

_VERSION: Final = "v1"
_PURPOSE: Final = "unsubscribe"


class Unsubscription(TypedDict):
    """What a token allows: to stop the mails about jobs of this domain for these users.

    Attributes:
        users: one, or those whose jobs a digest told of.
    """

    domain: JobDomain
    users: list[str]


class TokenError(PlatformError):
    """The token is none of ours, or was changed; nothing may be done for whoever brings it."""


def read_unsubscribe_secret(reader: SettingsReader) -> Secret | None:
    """Read `UNSUBSCRIBE_SECRET`, for the notifier and the API alike; None if it is not set."""
    secret = reader.optional_text("UNSUBSCRIBE_SECRET")
    if secret is not None and len(secret) < MIN_SECRET:
        reader.fault(f"UNSUBSCRIBE_SECRET must have at least {MIN_SECRET} characters")
    return None if secret is None else Secret(secret)


class UnsubscribeTokens:
    """Signs and checks tokens with one secret of at least `MIN_SECRET` characters."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def sign(self, domain: JobDomain, users: Sequence[str]) -> str | None:
        """Return the token for the users; None if none of them can have preferences.

        Where there are more than fit into a header the first ones are taken: the next mail is for the others.
        """
        chosen: list[JsonValue] = []
        for user in users:
            if user in chosen:
                continue
            if _can_have_preferences(user) and _size(domain, [*chosen, user]) <= MAX_PAYLOAD:
                chosen.append(user)
        if not chosen:
            return None
        signed = f"{_VERSION}.{_encode(_payload(domain, chosen))}"
        return f"{signed}.{self._signature(signed)}"

    def verify(self, token: str) -> Unsubscription:
        """Return what a token allows.

        Raises:
            TokenError: it was not signed with this secret, or not for this purpose.
        """
        signed, _, signature = token.rpartition(".")
        # As bytes: the comparison takes no text that is not ASCII.
        if not hmac.compare_digest(self._signature(signed).encode(), signature.encode("utf-8", "replace")):
            raise TokenError("the link was changed, or is not one of ours")
        # From here on it is what `sign` wrote, unless the secret is used for something else too.
        version, _, payload = signed.partition(".")
        try:
            found = decode_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            match found:
                case [str(purpose), str(domain), list(users)] if (version, purpose) == (_VERSION, _PURPOSE):
                    return {"domain": job_domain(domain), "users": [str(user) for user in users]}
                case _:
                    pass
        except (DecodeError, ValueError):
            pass
        raise TokenError("the link is of a kind that is not known here")

    def _signature(self, signed: str) -> str:
        key, text = self._secret.reveal().encode(), signed.encode("utf-8", "replace")
        return _encode(hmac.new(key, text, hashlib.sha256).digest())


class UnsubscribeLinks:
    """Makes the links of the mails.

    Args:
        tokens: signs.
        public_url: where people reach the API, an http or https URL; mail programs offer one click only for
            https.
    """

    def __init__(self, tokens: UnsubscribeTokens, public_url: str) -> None:
        self._tokens = tokens
        self._base = public_url.rstrip("/")

    def link(self, domain: JobDomain, users: Sequence[str]) -> str | None:
        """Return the link for the users; None if none of them can have preferences."""
        token = self._tokens.sign(domain, users)
        return None if token is None else f"{self._base}/unsubscribe?{urlencode({'token': token})}"


def _payload(domain: JobDomain, users: Sequence[JsonValue]) -> bytes:
    return encode_json([_PURPOSE, domain, [*users]]).encode()


def _size(domain: JobDomain, users: Sequence[JsonValue]) -> int:
    return len(_payload(domain, users))


def _can_have_preferences(user: str) -> bool:
    try:
        validate_user_id(user, "user_id")
    except DecodeError:
        return False
    return True


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
