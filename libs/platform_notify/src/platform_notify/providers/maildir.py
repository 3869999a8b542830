"""Mails as files in a Maildir folder: the embedded default, and what the demo and many tests read.

The layout is the standard one (tmp, new, cur), so any mail reader opens it. A mail's file is named after its
delivery id: delivering it twice leaves one file.
"""

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from platform_core.clock import Clock

from platform_notify.messages import MailMessage
from platform_notify.providers.base import (
    SENDING_SECONDS,
    ProviderCheckError,
    SenderAddress,
    SendResult,
    failed,
    one_by_one,
    refusal,
    sent,
)
from platform_notify.providers.mime import compose, message_id

# A Maildir name holds no `/` and no `:` (it starts the flags) and does not start with a dot.
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class MaildirConfig(TypedDict):
    """Where the mails go.

    Attributes:
        path: the Maildir folder; made if it does not exist (its parents too).
        sender: who the mails come from.
    """

    path: Path
    sender: SenderAddress


class MaildirProvider:
    """Writes each mail as a file: first to `tmp`, then linked into `new`, so nobody reads half a mail."""

    def __init__(self, config: MaildirConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""
        return "maildir"

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        """Write the mails; one result each, in order. A fault of the file system is `server`: try later."""
        try:
            self._make_folders()
            read = (self._config["path"] / "cur").iterdir()
            already_read = {file.name.partition(":")[0] for file in read}
        except OSError as error:
            return [failed("server", f"{type(error).__name__}: {error}") for _ in messages]
        return one_by_one(
            messages, lambda message: self._send_one(message, already_read), self._clock, seconds
        )

    def check(self) -> str:
        """Make the folders, and write and remove a file.

        Raises:
            ProviderCheckError: the folder cannot be written.
        """
        path = self._config["path"]
        probe = path / "tmp" / f"check.{os.getpid()}"
        try:
            self._make_folders()
            probe.write_bytes(b"")
            probe.unlink()
            waiting = len(list((path / "new").iterdir()))
        except OSError as error:
            fault = f"{type(error).__name__}: {error}"
        else:
            return f"Maildir {path} can be written; {waiting} unread."
        raise ProviderCheckError(f"The Maildir cannot be written: {fault}.")

    def close(self) -> None:
        """Nothing is held open."""

    def _send_one(self, message: MailMessage, already_read: set[str]) -> SendResult:
        refused = refusal(message)
        if refused is not None:
            return refused
        name = _file_name(message["delivery_id"])
        ids = [message_id(message, self._config["sender"])]
        if name in already_read:
            return sent(ids, f"cur/{name} was there already")
        text = compose(message, self._config["sender"], self._clock.now(), "\n")
        try:
            return sent(ids, self._deliver(name, text))
        except OSError as error:
            return failed("server", f"{type(error).__name__}: {error}")

    def _deliver(self, name: str, text: bytes) -> str:
        folder = self._config["path"]
        # Two notifiers that write the same delivery at once are kept apart until one wins the link.
        draft = folder / "tmp" / f"{name}.{os.getpid()}.{threading.get_ident()}"
        try:
            with draft.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            (folder / "new" / name).hardlink_to(draft)
        except FileExistsError:
            return f"new/{name} was there already"
        finally:
            draft.unlink(missing_ok=True)
        return f"new/{name} written"

    def _make_folders(self) -> None:
        # Not `mailbox.Maildir(create=True)`: it leaves a folder that exists already as it is.
        for name in ("tmp", "new", "cur"):
            (self._config["path"] / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _file_name(delivery_id: str) -> str:
    if _FILE_NAME.fullmatch(delivery_id) is not None:
        return delivery_id
    return hashlib.sha256(delivery_id.encode()).hexdigest()
