"""What a command works with: the terminal, and the API once it is asked for."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeAlias

import httpx

from jobs_api.client.api import JobsApi
from jobs_api.client.connection import Connection
from jobs_api.client.terminal import Terminal
from jobs_api.settings import ClientSettings, read_client_settings

OpenHttp: TypeAlias = Callable[[ClientSettings], httpx.Client]


class Session:
    """One run of the program; a context manager that closes the connection.

    Attributes:
        terminal: where the command writes.

    Args:
        terminal: see above.
        environ: the environment, for the settings.
        open_http: opens the connection.
    """

    def __init__(self, terminal: Terminal, environ: Mapping[str, str], open_http: OpenHttp) -> None:
        self.terminal = terminal
        self._environ = environ
        self._open_http = open_http
        self._stack = ExitStack()

    def connect(self) -> JobsApi:
        """Return the API; a command that needs none never reads its settings. Call it once.

        Raises:
            SettingsError: a setting is wrong.
        """
        http = self._open_http(read_client_settings(self._environ))
        return JobsApi(Connection(self._stack.enter_context(http)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
