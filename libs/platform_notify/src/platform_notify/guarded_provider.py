"""A fence around a provider: whatever it does, the sender gets one result for each mail, in time.

A provider promises not to raise and to come back. This holds it to that: an exception becomes `unexpected`, a
call that takes too long becomes `timeout` and is left to itself, on a thread that no one waits for.
"""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

from platform_core.logging import Logger

from platform_notify.messages import MailMessage
from platform_notify.providers.base import MailProvider, SendResult, failed

MAX_STUCK: Final = 3
"""How many calls may hang at once. Then nothing is given to the provider until one of them comes back."""

# Bound to a name of its own: this is the one place where any exception at all is caught and turned into data.
_ANYTHING: type[Exception] = Exception


class _Call:
    """One batch on its way: what to send, and what came of it."""

    def __init__(self, messages: Sequence[MailMessage]) -> None:
        self.messages = messages
        self.results: list[SendResult] = []
        self.done = threading.Event()


class GuardedProvider:
    """A `MailProvider` that keeps its promises, made of one that may not.

    All calls run on one thread as long as they come back, because a provider may hold a connection for each
    thread. One sender uses it, a batch at a time.

    Args:
        provider: the one that does the work.
        deadline_seconds: how long a call may take.
        logger: hears what the provider did wrong.
    """

    def __init__(self, provider: MailProvider, *, deadline_seconds: float, logger: Logger) -> None:
        self._provider = provider
        self._deadline = deadline_seconds
        self._logger = logger
        self._calls: SimpleQueue[_Call | None] | None = None
        self._stuck: list[_Call] = []

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""
        return self._provider.name

    def send(self, messages: Sequence[MailMessage]) -> list[SendResult]:
        """Send the mails; one result each, in order, at the latest when the deadline is over."""
        self._stuck = [call for call in self._stuck if not call.done.is_set()]
        if len(self._stuck) >= MAX_STUCK:
            return _same(messages, lambda: failed("timeout", "earlier mails hang in the provider"))
        call = _Call(messages)
        if self._calls is None:
            self._calls = self._start_thread()
        self._calls.put(call)
        if call.done.wait(self._deadline):
            return call.results
        self._logger.error("notifier.provider_hangs", provider=self.name, seconds=self._deadline)
        # The thread ends by itself should the call come back one day.
        self._calls.put(None)
        self._calls = None
        self._stuck.append(call)
        late = f"the provider did not come back within {self._deadline:g} s"
        return _same(messages, lambda: failed("timeout", late, ambiguous=True))

    def check(self) -> str:
        """Try the provider's set-up; see `MailProvider.check`."""
        return self._provider.check()

    def close(self) -> None:
        """Let the thread end and close the provider."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None
        self._provider.close()

    def _start_thread(self) -> "SimpleQueue[_Call | None]":
        calls: SimpleQueue[_Call | None] = SimpleQueue()
        # A daemon: a call that hangs must not keep the process from ending.
        threading.Thread(target=self._work, args=(calls,), name=f"send-{self.name}", daemon=True).start()
        return calls

    def _work(self, calls: "SimpleQueue[_Call | None]") -> None:
        while (call := calls.get()) is not None:
            call.results = self._contained(call.messages)
            call.done.set()

    def _contained(self, messages: Sequence[MailMessage]) -> list[SendResult]:
        try:
            results = self._provider.send(messages)
        except _ANYTHING as error:
            # Only its type: the text of an unknown exception may hold anything, also a key.
            fault = f"the provider raised {type(error).__name__}"
        else:
            if len(results) == len(messages):
                return results
            fault = f"the provider gave {len(results)} results for {len(messages)} mails"
        self._logger.error("notifier.provider_broken", provider=self.name, fault=fault)
        return _same(messages, lambda: failed("unexpected", fault, ambiguous=True))


def _same(messages: Sequence[MailMessage], result: Callable[[], SendResult]) -> list[SendResult]:
    return [result() for _ in messages]
