"""A password or key that does not show itself."""

from typing_extensions import override


class Secret:
    """Holds a secret so that no repr, log line, f-string or traceback with local variables shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the secret itself, at the one place that sends it."""
        return self._value

    @override
    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)"

    @override
    def __reduce__(self) -> str:
        """Refuse to be pickled: a pickle would carry the value.

        Raises:
            TypeError: always.
        """
        message = "a secret is not pickled"
        raise TypeError(message)
