"""A way to Redis that breaks at a chosen command: before it, in its middle, or after it was carried out."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from service_kit import PATIENCE

Break: TypeAlias = Literal["before", "half", "after"]
"""Where the connection breaks: the command is lost, half of it arrives, or its answer is lost."""

BREAKS: tuple[Break, ...] = ("before", "half", "after")


class BreakingRedis:
    """Stands before a Redis server and passes on, until the command it was told to break at.

    Attributes:
        url: where clients connect to.
        commands: how many commands were seen since `arm`.
        broke: whether the connection was broken.
    """

    def __init__(self, address: tuple[str, int], port: int) -> None:
        self._address = address
        self.url = f"redis://127.0.0.1:{port}/0"
        self._lock = threading.Lock()
        self._at = 0
        self._how: Break = "before"
        self.commands = 0
        self.broke = False

    def arm(self, at: int, how: Break) -> None:
        """Break at the command of this number from now, from 1; 0 never breaks."""
        with self._lock:
            self._at, self._how, self.commands, self.broke = at, how, 0, False

    def serve(self, inner: socket.socket) -> None:
        """Pass on what one client asks."""
        muted = threading.Event()

        def back() -> None:
            with suppress(OSError):
                while answer := outer.recv(1024 * 1024):
                    if not muted.is_set():
                        inner.sendall(answer)

        with inner, socket.create_connection(self._address, timeout=PATIENCE) as outer:
            answering = threading.Thread(target=back)
            answering.start()
            with suppress(OSError):
                for command in commands_of(inner):
                    how = self._next()
                    if how is not None:
                        muted.set()
                    parts = {"before": 0, "half": len(command) // 2}
                    outer.sendall(command[: parts.get(how or "", len(command))])
                    if how is not None:
                        break
                # The server carries out what it has got, and then it closes.
                outer.shutdown(socket.SHUT_WR)
            answering.join(PATIENCE)

    def _next(self) -> Break | None:
        with self._lock:
            self.commands += 1
            if self.broke or self.commands != self._at:
                # What comes after the break belongs to a process that would be dead.
                return "before" if self.broke else None
            self.broke = True
            return self._how


def commands_of(client: socket.socket) -> Iterator[bytes]:
    """Give what a client writes command by command: `*<n>`, then n times `$<length>` and that many bytes."""
    with client.makefile("rb") as stream:
        while head := stream.readline():
            command = head
            for _ in range(int(head[1:])):
                size = stream.readline()
                command += size + stream.read(int(size[1:]) + 2)
            yield command


@contextmanager
def breaking_redis(url: str) -> Iterator[BreakingRedis]:
    """Stand before the server at `url`."""
    host, _, port = url.removeprefix("redis://").partition("/")[0].rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    own: tuple[str, int] = listener.getsockname()
    proxy = BreakingRedis((host, int(port)), own[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                inner, _ = listener.accept()
                threading.Thread(target=proxy.serve, args=(inner,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)
