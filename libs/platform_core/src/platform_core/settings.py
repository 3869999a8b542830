"""Reads a service's settings once, typed, and refuses them all at once.

Each method returns a usable value even for a wrong setting, so that reading goes on and one start shows every
fault. No fault quotes a setting's value: it may be a secret. An empty setting counts as one that is not set.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from platform_core.errors import DecodeError, SettingsError
from platform_core.job_events import JobDomain, job_domain
from platform_core.notifications import validate_email

WordT = TypeVar("WordT", bound=str)

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,1000}")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
# These name a file or nothing, so their URLs have no host.
_HOSTLESS_SCHEMES: Final = frozenset({"file", "unix", "memory"})


class SettingsReader:
    """Reads settings from an environment and collects the faults; end with `finish()`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it is required."""
        value = self.optional_text(name)
        if value is not None:
            return value
        if default is None:
            self.fault(f"{name} is required")
            return ""
        return default

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None if it is not set."""
        value = self._environ.get(name, "").strip()
        return value or None

    def integer(
        self, name: str, default: int | None = None, minimum: int | None = None, maximum: int | None = None
    ) -> int:
        """Return an integer from `minimum` to `maximum`; without a default it is required."""
        text = self.text(name, None if default is None else str(default))
        if not text:
            return 0
        # `int` would take more, such as 1_000 and the digits of other scripts: slips, not what was meant.
        if _INTEGER.fullmatch(text) is None:
            self.fault(f"{name} must be an integer")
            return 0
        value = int(text)
        if minimum is not None and value < minimum:
            self.fault(f"{name} must be at least {minimum}")
        if maximum is not None and value > maximum:
            self.fault(f"{name} must be at most {maximum}")
        return value

    def boolean(self, name: str, default: bool | None = None) -> bool:
        """Return a yes or no: 1, true, yes, on or 0, false, no, off; without a default it is required."""
        text = self.text(name, None if default is None else str(default)).lower()
        if text and text not in _TRUE | _FALSE:
            self.fault(f"{name} must be true or false")
        return text in _TRUE

    def choice(self, name: str, allowed: Sequence[WordT], default: WordT | None = None) -> WordT:
        """Return one of the allowed words; without a default it is required.

        Pass `allowed` as a tuple of a Literal type to get that type back.
        """
        text = self.text(name, default)
        for word in allowed:
            if word == text:
                return word
        if text:
            self.fault(f"{name} must be one of {', '.join(allowed)}")
        return allowed[0]

    def url(self, name: str, schemes: Sequence[str], default: str | None = None) -> str:
        """Return a URL of one of the schemes, with a host where the scheme has one.

        Args:
            name: the setting.
            schemes: the allowed schemes, such as `("redis", "rediss")`.
            default: what holds if it is not set; without a default it is required.
        """
        text = self.text(name, default)
        if text:
            self._check_url(name, text, schemes)
        return text

    def email(self, name: str, default: str | None = None) -> str:
        """Return an email address in normal form; without a default it is required."""
        text = self.text(name, default)
        if not text:
            return ""
        try:
            return validate_email(text, name)
        except DecodeError:
            self.fault(f"{name} must be an email address")
            return ""

    def domains(self, name: str) -> tuple[JobDomain, ...]:
        """Return the domains of a comma-separated list; empty if it is not set, which means every domain."""
        domains: list[JobDomain] = []
        for word in (self.optional_text(name) or "").split(","):
            if word.strip():
                try:
                    domain = job_domain(word.strip())
                except DecodeError as error:
                    self.fault(f"{name} must list domains with commas between: {error.expected}")
                    break
                if domain not in domains:
                    domains.append(domain)
        return tuple(domains)

    def fault(self, message: str) -> None:
        """Record a fault, such as two settings that do not go together; never quote a value in it."""
        self._faults.append(message)

    def finish(self) -> None:
        """End the reading.

        Raises:
            SettingsError: at least one fault was found; it lists them all.
        """
        if self._faults:
            raise SettingsError(tuple(self._faults))

    def _check_url(self, name: str, text: str, schemes: Sequence[str]) -> None:
        try:
            parts = urlsplit(text)
            right_port = parts.port != 0
        except ValueError:
            self.fault(f"{name} is no URL")
            return
        if parts.scheme not in schemes:
            wanted = ", ".join(f"{scheme}://" for scheme in schemes)
            self.fault(f"{name} must be a URL that starts with {wanted}")
        elif not right_port or " " in text or not text.isprintable():
            self.fault(f"{name} is no URL")
        else:
            self._check_place(name, parts)

    def _check_place(self, name: str, parts: SplitResult) -> None:
        if parts.scheme in _HOSTLESS_SCHEMES:
            if parts.scheme != "memory" and not parts.path:
                self.fault(f"{name} must name a path")
        elif not parts.hostname:
            self.fault(f"{name} must name a host")
