"""The errors of the contracts, named for what a caller does about them.

`DecodeError` and `UnknownEventError` are kept apart on purpose: the first is a fault to count and keep, the
second is somebody else's message and never an error.
"""

from typing_extensions import override


class PlatformError(Exception):
    """The root of every error this library raises."""


class DecodeError(PlatformError):
    """A value does not have its declared shape, on its way in or on its way out.

    The message names the place and the types, never the value: a value may be a secret or an address.

    Attributes:
        path: where the fault lies, from the root of the message, such as `$.progress`.
        expected: what should stand there, such as `int <= 100`.
        found: the type of what stands there, such as `str`, or `missing`.
    """

    path: str
    expected: str
    found: str

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    @override
    def __str__(self) -> str:
        """Give the fault as one line."""
        return f"{self.path}: expected {self.expected}, found {self.found}"


class UnknownEventError(PlatformError):
    """A well-formed message that belongs to another family or a later version: skip it, log no error.

    Attributes:
        event_type: the `type` field of the message; at most 128 printable ASCII characters.
    """

    event_type: str

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type)
        self.event_type = event_type

    @override
    def __str__(self) -> str:
        """Give the type that nobody here knows."""
        return f"unknown event type {self.event_type}"


class SettingsError(PlatformError):
    """The settings of a service are wrong; the message lists every fault, one a line.

    Attributes:
        faults: one sentence for each fault, in the order they were found; never a setting's value.
    """

    faults: tuple[str, ...]

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    @override
    def __str__(self) -> str:
        """Give all faults, one a line."""
        return "\n".join(self.faults)


class JobUserError(PlatformError):
    """A handler raises this for bad input: the job fails with `error_kind` `user` and is not tried again.

    Its text is shown to the person who submitted the job, so it says what is wrong and where.
    """
