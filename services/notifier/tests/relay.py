"""A relay between the notifier and Redis whose cables can be cut without either end noticing."""

import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on, until a cable is cut: then that one swallows them and stays open.

    Args:
        port: where Redis listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cables: list[_Cable] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Where the relay listens, as `REDIS_URL`."""
        port: int = self._listener.getsockname()[1]
        return f"redis://127.0.0.1:{port}/0"

    def cut_subscriptions(self) -> int:
        """Cut the cables that a subscription runs through; return how many there were."""
        found = [cable for cable in self._cables if cable.subscribes and not cable.cut]
        for cable in found:
            cable.cut = True
        return len(found)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ends the waiting; once the thread has ended no cable can come that nobody would close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for cable in self._cables:
            cable.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._cables.append(_Cable(client, socket.create_connection(("127.0.0.1", self._target))))


class _Cable:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._ends = (client, server)
        self.subscribes = False
        self.cut = False
        threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            end.close()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self.subscribes = self.subscribes or b"SUBSCRIBE\r\n" in data
                if not self.cut:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # One of the two ends has gone.
            return
