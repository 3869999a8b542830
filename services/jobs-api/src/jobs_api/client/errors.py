"""What can go wrong for who uses `jobs`; each kind has an exit code of its own."""

from http import HTTPStatus

from platform_core.errors import PlatformError


class UsageError(PlatformError):
    """The command is wrong, or asks for something that can't be; the message says what to write."""


class ServerUnreachableError(PlatformError):
    """The API does not answer, or what answers is no jobs API: the address or the server is at fault."""


class StoppedError(PlatformError):
    """Whoever started the command stopped it (Ctrl-C); the message says what that means for the job."""


class RefusedError(PlatformError):
    """The API answered and refused; the message says why, in its words.

    Attributes:
        status: the HTTP status.
        word: the kind of problem, such as `job-finished`; empty if the API did not say.
        location: the path of what the refusal is about; empty if the API did not say.
    """

    def __init__(self, message: str, *, status: int, word: str = "", location: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.word = word
        self.location = location


def may_pass(error: ServerUnreachableError | RefusedError) -> bool:
    """Tell whether it is worth asking once more: the API is away, has a fault, or is asked too much."""
    if isinstance(error, ServerUnreachableError):
        return True
    return error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
